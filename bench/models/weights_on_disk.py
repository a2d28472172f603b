"""What a model's folder holds, read from its configuration and the headers of its weights: quick, without torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_WEIGHTS, _INDEX = "model.safetensors", "model.safetensors.index.json"
_LAYERS = ("num_hidden_layers", "n_layer", "num_layers", "n_layers")
_LONGEST_HEADER = 100_000_000  # bytes; the format's own limit


def fault_of(folder: Path) -> str | None:
    """Why the model in `folder` (transformers' format) cannot be whole, in a few words; None if nothing speaks against.

    The weights must be there, in safetensors (pickles run code when they are read), with every shard that the index
    names, each as long as its header says; and there cannot be more layers than weights.
    """
    try:
        config = _json(folder / "config.json")
        if (folder / _WEIGHTS).is_file():
            shards = [_WEIGHTS]
        elif (folder / _INDEX).is_file():
            shards = sorted({str(name) for name in dict(_json(folder / _INDEX)["weight_map"]).values()})
        else:
            pickles = [
                name for name in ("pytorch_model.bin", "pytorch_model.bin.index.json") if (folder / name).exists()
            ]
            return f"{pickles[0]} is a pickle: save the model as safetensors" if pickles else f"there is no {_WEIGHTS}"
        tensors = 0
        for name in shards:
            if not (folder / name).is_file():
                return f"{name} is missing, which {_INDEX} names"
            count = _tensors_in(folder / name)
            if count is None:
                return f"{name} is damaged or cut short"
            tensors += count
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"its files cannot be read: {' '.join(str(error).split())[:200]}"
    for key in _LAYERS:
        if isinstance(layers := config.get(key), int) and layers > tensors:
            return f"config.json has {key} {layers}, and there are {tensors} weights in all"
    return None


def fault_of_kind(folder: Path) -> str | None:
    """Why the model in `folder` is of a kind that is not aligned here; None if its configuration says nothing else."""
    try:
        config = _json(folder / "config.json")
    except (OSError, ValueError):
        return None  # `fault_of` says so
    return encoder_decoder(folder, config.get("model_type", "")) if config.get("is_encoder_decoder") else None


def encoder_decoder(source: str | Path, kind: str) -> str:
    """The refusal of such a model."""
    return f"the model in {source} is an encoder–decoder ({kind}): name a causal language model, such as Llama or GPT-2"


def _json(file: Path) -> dict[str, Any]:
    content = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError(f"{file.name} is no mapping")
    return content


def _tensors_in(file: Path) -> int | None:
    """How many tensors a safetensors file holds; None if it is not as long as its header says, or has none."""
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        if length > _LONGEST_HEADER:
            return None
        try:
            header = json.loads(opened.read(length))
            tensors = [entry for name, entry in header.items() if name != "__metadata__"]
            end = max((entry["data_offsets"][1] for entry in tensors), default=0)
        except (ValueError, KeyError, TypeError, IndexError, AttributeError):
            return None
    return len(tensors) if file.stat().st_size == 8 + length + end else None
