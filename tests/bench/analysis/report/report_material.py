"""What reports are tried on, beside synthetic runs: claims with verdicts, and texts that no page may run."""

import pandas as pd

from tests.bench.analysis.synthetic_run import seal

NASTY = '</script><script>document.title = "hacked"</script><img src=x onerror=alert(1)> & "quoted"'


def claims(*verdicts):
    """As `bench.analysis.claims.table.as_frame` gives them."""
    same = {"source": "D0", "world": "sampled", "planted": "", "published": "", "seeds": "3"}
    same |= {"effect": "gold: a − b = 0.21 ± 0.05", "details": ["a: 0.5", "b: 0.3"]}
    rows = enumerate(verdicts, 1)
    return pd.DataFrame([{"id": n, "says": f"Sentence {n}.", "verdict": verdict, **same} for n, verdict in rows])


def rewrite(directory, change):
    """Change the completions of every cell."""
    for file in directory.glob("cells/*/completions.parquet"):
        change(pd.read_parquet(file)).to_parquet(file)
    seal(directory)
