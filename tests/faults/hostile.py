"""Inputs that mean no good, or do none: matrices, settings, labels, folders, paths, models, disks, terminals."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import os
import random
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

from tests.faults.commands import Outcome, bench, start, surroundings
from tests.faults.trial import Fault, Found
from tests.faults.world import World, examine, figures, is_whole

QUICK = 60.0
"""Seconds within which a mistake is told."""

MOST_LINES = 40
"""Lines of what is told of a mistake: a terminal's frame, or a sound table before it, among them."""

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def faults(world: World, rng: random.Random) -> Iterator[Fault]:
    """Each input by itself."""
    for name in MATRICES:
        yield Fault("a hostile matrix", name, partial(_matrix, name))
    for name in ARGUMENTS:
        yield Fault("a hostile argument", name, partial(_argument, world, name))
    for number in range(len(LABELS)):
        yield Fault("a hostile label, in a pipe", f"label {number}", partial(_label, world, LABELS[number], False))
        yield Fault("a hostile label, in a terminal", f"label {number}", partial(_label, world, LABELS[number], True))
    for folder in ("?", "e[1]", "a b", "*", "ü'\"", "{x}", "-x", "#1", "%s"):
        yield Fault("an odd path", folder, partial(_path, world, folder, False))
        if folder in ("?", "e[1]"):
            yield Fault("an odd path", f"{folder}, stages run", partial(_path, world, folder, True), True)
    yield Fault("modules in the working folder", "six", partial(_modules, world), True)
    for name in MODELS:
        yield Fault("a damaged model", name, partial(_model, world, name), True)
    for command in ("run", "table", "pack", "judge", "claims", "report", "plot"):
        slow = command in ("report", "plot")
        for limit in (0, 2000):
            yield Fault(
                "a full disk", f"{command} after {limit} bytes", partial(_full_disk, world, command, limit), slow
            )
    for command in ("table", "report", "run"):
        yield Fault("a terminal without letters", command, partial(_plain_letters, world, command), command != "table")
    yield Fault("a packed run that unpacks to gigabytes", "records.jsonl.gz", partial(_bomb, world), True)


MATRICES: dict[str, bytes] = {
    "a name of 5,000 letters": b"tasks: strings\nmodels: {t: {model: " + b"x" * 5000 + b"}}\nmethods: sft\n",
    "a task of 5,000 letters": b"tasks: " + b"x" * 5000 + b"\nmethods: sft\n",
    "a plug-in of 5,000 letters": b"tasks: strings\nmethods: sft\nplugins: [" + b"x" * 5000 + b"]\n",
    "claims of 5,000 letters": b"tasks: strings\nmethods: sft\nclaims: " + b"x" * 5000 + b"\n",
    "10,000,000 cells": b"tasks: strings\nmethods:\n  ppo: {"
    + b", ".join(
        name + b": [" + b", ".join(b"0.%d" % i for i in range(1, 11)) + b"]"
        for name in (b"kl_weight", b"gamma", b"gae_lambda", b"learning_rate", b"clip_range", b"entropy_weight")
    )
    + b"}\nseeds: 10\n",
    "a user that there is not": b'tasks: strings\nmethods: sft\nplugins: ["~nosuchuser/x.py"]\n',
    "a model of a user that there is not": b"tasks: strings\nmodels: {t: {model: ~nosuchuser/x}}\nmethods: sft\n",
    "a NUL in a path": b'tasks: strings\nmethods: sft\nplugins: ["a\\0b.py"]\n',
    "a NUL in claims": b'tasks: strings\nmethods: sft\nclaims: "a\\0b"\n',
    "a NUL in a model": b'tasks: strings\nmodels: {t: {model: "./a\\0b"}}\nmethods: sft\n',
    "nested 5,000 deep": b"tasks: strings\nmethods: " + b"[" * 5000 + b"]" * 5000 + b"\n",
    "mappings nested 5,000 deep": b"tasks: strings\nmethods: " + b"{a: " * 5000 + b"1" + b"}" * 5000 + b"\n",
    "aliases that multiply": b"a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
    + b"".join(b"a%d: &a%d [%s]\n" % (i, i, b", ".join([b"*a%d" % (i - 1)] * 9)) for i in range(1, 9))
    + b"tasks: *a8\nmethods: sft\n",
    "an alias of itself": b"tasks: strings\nmethods: &m {sft: *m}\n",
    "a number of 5,000 digits": b"tasks: strings\nmethods: sft\nseeds: " + b"9" * 5000 + b"\n",
    "a seed beyond 64 bits": b"tasks: strings\nmethods: sft\nseeds: [99999999999999999999]\n",
    "no number": b"tasks: strings\nmethods: {dpo: {beta: .nan}}\n",
    "an infinite number": b"tasks: strings\nmethods: {dpo: {beta: .inf}}\n",
    "a name that leads out": b"name: ../../x\ntasks: strings\nmethods: sft\n",
    "no UTF-8": b"tasks: strings\nmethods: sft # \xff\xfe\n",
    "UTF-16": "tasks: strings\nmethods: sft\n".encode("utf-16"),
    "an object of Python": b"tasks: !!python/object/apply:os.system ['touch owned']\nmethods: sft\n",
    "a key that is a list": b"tasks: strings\nmethods: {[1, 2]: {method: sft}}\n",
    "a key twice": b"tasks: strings\nmethods: sft\nmethods: dpo\n",
    "control characters": b'tasks: "\\e]0;owned\\a"\nmethods: "\\e[31msft"\n',
    "markup": b'tasks: "[/red] [link=x]"\nmethods: "[/mean]"\n',
    "nothing": b"",
    "a list": b"[]\n",
    "a tab": b"tasks:\n\t- strings\n",
    "a cut": b"tasks: {t: {",
    "zeros": b"\0" * 4096,
}

ARGUMENTS: dict[str, tuple[object, ...]] = {
    "a judge's setting nested deep": ("judge", "run", "--judge", "gold", "--set", "tie_band=" + "[" * 3000),
    "a judge's setting in control characters": ("judge", "run", "--judge", "gold", "--set", "tie_band=\x1b[31m"),
    "a URL that is none": ("judge", "run", "--judge", "chat", "--set", "url=http://[::1", "--set", "model=m"),
    "a judge's model that is a pickle": ("judge", "run", "--judge", "reward_model", "--set", "path=pickle"),
    "a judge's model that is damaged": ("judge", "run", "--judge", "reward_model", "--set", "path=damaged"),
    "a file where a folder is to be": ("diff", "run", "run", "--out", "file"),
    "seeds beyond all bounds": ("tune", "matrix.yaml", "--seeds", "99999999999999999999"),
    "trials beyond all bounds": ("tune", "matrix.yaml", "--trials", "99999999999999999999", "--seeds", "0"),
    "jobs beyond all bounds": ("run", "matrix.yaml", "--jobs", "-99999999999999999999"),
    "a run that is a file": ("table", "file"),
    "a run of 5,000 letters": ("table", "x" * 5000),
    "a matrix of 5,000 letters": ("run", "x" * 5000),
    "a matrix that is a folder": ("run", "run"),
    "a store that is a file": ("run", "matrix.yaml", "--store", "file", "--out", "new"),
    "an output below a file": ("run", "matrix.yaml", "--store", "store", "--out", "file/out"),
    "an output below /dev/full": ("run", "matrix.yaml", "--store", "store", "--out", "/dev/full/out"),
    "an output of 5,000 letters": ("run", "matrix.yaml", "--store", "store", "--out", "x" * 5000),
    "a condition that is none": ("run", "matrix.yaml", "--only", "\x1b[31m=1", "--out", "new"),
    "an arm that there is not": ("table", "run", "--against", "[/red]\x1b[31m"),
    "a margin that is no number": ("table", "run", "--margin", "gold=nan"),
    "a plug-in that is no Python": ("run", "matrix.yaml", "--plugin", "file", "--out", "new"),
    "a name that is none": ("describe", "\x1b]0;owned\x07[/red]"),
}

LABELS = (
    "dpo [/x] y",
    "[red]b[/red] [link=http://evil]x[/link]",
    "<script>document.title='owned'</script>",
    '"><img src=x onerror="x">',
    "a|b|c",
    "\\input{/etc/passwd} $x^2$ %n & #1 ~{}",
    "\x1b[31mred\x1b[0m \x1b]0;owned\x07",
    "abc\u202etxt.exe\u202c",
    "../../x",
    "{{7*7}} {% raw %} ${7*7} <!-- ",
    "line1\nline2",
    "=cmd|' /C calc'!A0",
    "x\x00y",
    "\r\rCR\x0b\x0c\u2028\u2029",
    "&lt;b&gt; &amp;",
    "[click](javascript:alert(1))",
)


def _told(outcome: Outcome) -> Found:
    """A mistake is told in few lines, without control characters, and ends the command with exit status 1 or 2."""
    lines = [line for line in outcome.text.splitlines() if line.strip()]
    raw = _CONTROL.search(outcome.text.replace("\r\n", "\n"))  # a terminal ends its lines so
    noticed = outcome.code in (1, 2) and len(lines) <= MOST_LINES and not raw
    note = "" if noticed else f"\nexit status {outcome.code}, {len(lines)} lines, control characters: {bool(raw)}"
    return Found(noticed, not noticed and not outcome.traceback, outcome.traceback, said=outcome.text[-3000:] + note)


def _matrix(name: str, work: Path) -> Found:
    (work / "m.yaml").write_bytes(MATRICES[name])
    return _told(bench(work, "run", "m.yaml", "--out", "new", "--store", "store", "--jobs", 1, timeout=QUICK))


def _argument(world: World, name: str, work: Path) -> Found:
    world.copy(work)
    shutil.copyfile(world.folder / "fewer.yaml", work / "matrix.yaml")
    (work / "file").write_text("not what you think")
    for kind in ("pickle", "damaged"):
        model = next(world.store.glob("reward_model/*/model.safetensors"), None) or next(
            world.store.glob("reward_model/*/*/model.safetensors")
        )
        shutil.copytree(model.parent, work / kind)
        (work / kind / "model.safetensors").write_bytes(model.read_bytes()[:3000])
    (work / "pickle" / "model.safetensors").rename(work / "pickle" / "pytorch_model.bin")
    (work / "pickle" / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch owned'\ntR.")
    found = _told(bench(work, *ARGUMENTS[name], timeout=QUICK))
    owned = [*work.rglob("owned")]
    return Found(found.noticed, found.silent or bool(owned), found.traceback, said=found.said)


def _label(world: World, label: str, terminal: bool, work: Path) -> Found:
    """An arm with this label is refused, or runs; what is printed and written then means no more than it should."""
    matrix = json.loads(json.dumps({"name": "odd", "tasks": "strings", "seeds": 1}))
    lines = (world.folder / "fewer.yaml").read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if line.split(":")[0] in ("models", "stages", "evaluation")]
    methods = json.dumps({"sft": {}, label: {"method": "dpo"}})
    text = "\n".join([*(f"{key}: {value}" for key, value in matrix.items()), *kept, f"methods: {methods}"])
    (work / "odd.yaml").write_text(text + "\n", encoding="utf-8")
    command = ("run", "odd.yaml", "--out", "out", "--store", world.store)
    outcome = bench(work, *command, terminal=terminal)
    if outcome.code == 2 and not outcome.traceback:
        return _told(outcome)
    commands = [outcome, bench(work, "table", "out", terminal=terminal), bench(work, "pack", "--keep", "out")]
    if not terminal:
        commands.append(bench(work, "plot", "out"))
    text = "".join(each.text for each in commands)
    bad = [f"exit status {each.code}" for each in commands if each.code]
    if not terminal and _CONTROL.search(text):
        bad.append("control characters on the terminal")
    if "\x1b]" in text or "\x1b[31mred" in text or "\u202e" in text:
        bad.append("the label acts on the terminal")
    for file in [path for path in sorted((work / "out").rglob("*.*")) if path.is_file()]:
        content = file.read_bytes()
        if file.suffix in (".md", ".html", ".tex", ".csv", ".svg") and _CONTROL.search(content.decode()):
            bad.append(f"control characters in {file.name}")
        if file.suffix in (".md", ".html") and b"<script>document" in content:
            bad.append(f"a script in {file.name}")
        if file.suffix == ".svg":
            try:
                ElementTree.fromstring(content)
            except ElementTree.ParseError as error:
                bad.append(f"{file.name}: {error}")
    traceback = any(each.traceback for each in commands)
    return Found(False, bool(bad) and not traceback, traceback, said=f"{text}\n{bad}")


def _path(world: World, name: str, remake: bool, work: Path) -> Found:
    """Working folder, output and store have this name, and beside the store lies another that its pattern fits."""
    folder = work / name
    folder.mkdir()
    for store in (name, "s1", "x"):
        shutil.copytree(world.store, folder / f"store-{store}")
    for kind in ("evaluation", "policy", "reward_model") if remake else ():
        shutil.rmtree(folder / f"store-{name}" / kind)
    out, store = f"./{name}.out", f"./store-{name}"
    command = ("run", world.folder / "small.yaml", "--out", out, "--store", store, "--only", "seed=0")
    outcome = bench(folder, *command)
    whole = outcome.code == 0 and is_whole(world, folder / f"{name}.out", costs=False, judged=False, only="seed0")
    return Found(False, not whole and not outcome.traceback, outcome.traceback, said=outcome.text)


def _modules(world: World, work: Path) -> Found:
    """Modules lie in the working folder that the bench has as well: none of them is imported."""
    owned = work.parent / "owned"
    line = f"open({str(owned)!r}, 'a').write(__name__ + ' ')\n"
    for module in ("random", "json", "numpy", "tasks", "methods", "bench"):
        (work / f"{module}.py").write_text(line)
    for package in ("tasks", "methods", "bench"):
        (work / package).mkdir()
        (work / package / "__init__.py").write_text(line)
    command = ["run", str(world.folder / "small.yaml"), "--out", "run", "--store", "store", "--only", "seed=0"]
    outcome = _from_nothing(work, *command, "--only", "arm=sft")
    whole = outcome.code == 0 and is_whole(world, work / "run", costs=False, judged=False, only="sft-seed0")
    said = f"{outcome.text}\nimported: {owned.read_text() if owned.exists() else 'nothing'}"
    return Found(False, owned.exists() or not whole, outcome.traceback, said=said)


def _from_nothing(work: Path, *arguments: str, **environment: str) -> Outcome:
    """The command as the shell starts it: the working folder is not on the path of modules."""
    code = "from bench.cli import main; main()"
    paths = {"PYTHONPATH": sys.path[0]}
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, *arguments],
        cwd=work,
        env=os.environ | surroundings(work) | paths | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=300,
    )
    return Outcome(done.returncode, done.stdout.decode(errors="replace"))


MODELS = ("a weight missing", "weights by other names", "weights cut", "weights swapped, of the same size and time")


def _model(world: World, name: str, work: Path) -> Found:
    """A model in a folder: what is not whole is refused, and what was swapped runs anew."""
    from safetensors.torch import load_file, save_file

    folder = Path(shutil.copytree(next(world.store.glob("base/*/")), work / "model"))
    weights = next(folder.rglob("model.safetensors"))
    tensors = load_file(weights)
    lines = (world.folder / "fewer.yaml").read_text(encoding="utf-8").splitlines()
    named = [f"models: {{t: {{model: ./{weights.parent.relative_to(work)}}}}}"]
    (work / "m.yaml").write_text("\n".join(named + [line for line in lines if not line.startswith("models")]))
    command = ("run", "m.yaml", "--store", "store", "--only", "seed=0", "--out")
    first = ""
    if name == "weights cut":
        weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
    elif name.startswith("weights swapped"):
        first = bench(work, *command, "first").text
        times = weights.stat()
        save_file({key: tensor.flip(0).contiguous() for key, tensor in tensors.items()}, weights, {"format": "pt"})
        os.utime(weights, ns=(times.st_atime_ns, times.st_mtime_ns))
    else:
        prefix = "" if name == "a weight missing" else "x."
        gone = next(key for key in tensors if "h.0" in key) if not prefix else ""
        kept = {f"{prefix}{key}": tensor for key, tensor in tensors.items() if key != gone}
        save_file(kept, weights, {"format": "pt"})
    outcome = bench(work, *command, "second")
    if name.startswith("weights swapped"):
        one, two = (
            {k: v for k, v in figures(work / out)[1].items() if k.startswith("records")} for out in ("first", "second")
        )
        measures = [{key: _measures(value) for key, value in each.items()} for each in (one, two)]
        return Found(False, measures[0] == measures[1] or not two, outcome.traceback, said=first + outcome.text)
    return Found(outcome.code != 0, outcome.code == 0, outcome.traceback, said=outcome.text)


def _measures(records: str) -> list[object]:
    return [json.loads(records)[0].get(name) for name in ("gold", "perplexity_reference", "entropy", "proxy")]


def _full_disk(world: World, command: str, limit: int, work: Path) -> Found:
    """No file may grow beyond `limit` bytes: the command says so, and the same carries on when there is room."""
    run = world.copy(work)
    if command == "run":
        shutil.rmtree(run)
    arguments = {
        "run": ("run", world.folder / "small.yaml", "--out", "run", "--store", world.store, *world.only()),
        "judge": ("judge", "run", "--judge", "gold", "--store", world.store),
        "pack": ("pack", "--keep", "run"),
    }.get(command, (command, "run"))

    def fill() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

    full = start(work, *arguments, before=fill).wait()
    again = bench(work, *arguments)
    if command == "run" and again.code == 0:
        bench(work, "judge", "run", "--judge", "gold", "--store", world.store)
    table = bench(work, "table", "run")
    found = examine(world, run, "run", table, [])
    traceback = full.traceback or again.traceback or found.traceback
    healed = again.code == 0 and not found.silent
    return Found(full.code in (1, 2), found.silent, traceback, healed, said=full.text + again.text + found.said)


def _plain_letters(world: World, command: str, work: Path) -> Found:
    world.copy(work)
    arguments = [command, "run"]
    if command == "run":
        arguments = [
            "run",
            str(world.folder / "small.yaml"),
            "--out",
            "run",
            "--store",
            str(world.store),
            *world.only(),
        ]
    outcome = _from_nothing(work, *arguments, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    return Found(False, outcome.code != 0 and not outcome.traceback, outcome.traceback, said=outcome.text)


def _bomb(world: World, work: Path) -> Found:
    """Packed records of 4 MB hold 4 GB, and the manifest has their checksum."""
    run = world.copy(work, "packed")
    member = gzip.compress(b" " * (1 << 26), mtime=0)
    (run / "records.jsonl.gz").write_bytes(member * 64)
    with contextlib.suppress(ImportError, FileNotFoundError):
        from bench.records.sealing import write_sealed

        manifest = json.loads((run / "manifest.json").read_text(encoding="utf-8"))
        digest = hashlib.sha256((run / "records.jsonl.gz").read_bytes()).hexdigest()
        write_sealed(run / "manifest.json", {"files": manifest["files"] | {"records.jsonl.gz": digest}})

    def little_memory() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (8 << 30, resource.RLIM_INFINITY))

    outcome = start(work, "table", "run", before=little_memory).wait()
    found = _told(outcome)
    return Found(found.noticed and "records.jsonl.gz" in outcome.text, found.silent, found.traceback, said=found.said)
