"""The table as a page of Markdown."""

import tempfile
from pathlib import Path

from bench.models.ends import stop_ids
from tests.encoding_table.kinds import KINDS
from tests.encoding_table.users import USERS, Place, fault

HEAD = """# One encoding

What every part of the bench reads of the same rows, by the kind of tokenizer and template. `=`: the ids are those of
`bench.models.encoding`, and so are the tokens that are learned; else the first row that is another. RLOO, GRPO, PPO,
the reward's gradient and samples read prompts, behind which they write; the others whole texts. LIMA's are a few of
SFT's, and IPO's and cDPO's are DPO's rows with another loss. Made by `python -m tests.encoding_table`, on the kinds in
`tests/encoding_table/kinds.py`.

"""


def page() -> str:
    """The table, and below it what prompts read as, what ends a completion, and where sampling stops."""
    columns = ["template", *USERS]
    table, reads = [columns, ["---"] * len(columns)], []
    for name, kind in KINDS.items():
        with tempfile.TemporaryDirectory() as folder:
            place = Place(kind, Path(folder))
            cells = ["=" if (found := fault(place, user)) is None else found for user in USERS]
            stops = ", ".join(f"`{stop}`" for stop in place.tokenizer.convert_ids_to_tokens(stop_ids(place.tokenizer)))
        table.append([name, *cells])
        reads.append(f"- {name}: `{kind.reads[0]!r}`, the completion, `{kind.reads[1]}`; stops at {stops}")
    rows = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in table]
    return HEAD + "\n".join([*rows, "", *reads]) + "\n"
