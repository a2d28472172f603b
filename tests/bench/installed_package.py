"""Lays a package out as an installer does: its modules, and beside them what it says of itself."""

from __future__ import annotations

from pathlib import Path


def install(
    site: Path, name: str, files: dict[str, str], entry_points: dict[str, str] | None = None, version: str = "1.0"
) -> Path:
    """Put `files` (content by path) and the metadata of the distribution `name` into the folder `site`.

    Args:
        entry_points: by ``"group name"``, e.g. ``{"methods mine": "my_package.module:Mine"}``.
    """
    about = site / f"{name.replace('-', '_')}-{version}.dist-info"
    texts = {site / path: text for path, text in files.items()}
    texts[about / "METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    texts[about / "entry_points.txt"] = "\n".join(
        f"[alignment_bench.{key.split()[0]}]\n{key.split()[1]} = {value}" for key, value in (entry_points or {}).items()
    )
    texts[about / "RECORD"] = "".join(f"{path.relative_to(site)},,\n" for path in [*texts, about / "RECORD"])
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return site
