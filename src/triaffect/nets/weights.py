"""Weights from a file into a network."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from triaffect.errors import ModelError

NAMED = 3
"""How many names an error lists."""


def load_weights(network: nn.Module, path: Path) -> None:
    """Fill a network from a safetensors file that holds exactly its parameters and buffers.

    Raises:
        ModelError: No such file, no safetensors, or names and shapes of another network.
    """
    if not path.is_file():
        raise ModelError("a safetensors file", "no such file", where=path)
    try:
        given = load_file(path)
    except SafetensorError as problem:
        raise ModelError("a safetensors file", f"another one ({problem})", where=path) from problem
    # torch counts batches but never uses the count while momentum is fixed.
    own = {k: v for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked")}
    given = {k: v for k, v in given.items() if not k.endswith("num_batches_tracked")}
    _check(own, given, type(network).__name__, path)
    network.load_state_dict(given, strict=False)


def _check(own: dict[str, Tensor], given: dict[str, Tensor], network: str, path: Path) -> None:
    lacking = [name for name in own if name not in given]
    strange = [name for name in given if name not in own]
    misshapen = [
        f"{name} {tuple(given[name].shape)} for {tuple(own[name].shape)}"
        for name in own
        if name in given and given[name].shape != own[name].shape
    ]
    for problem, names in (("lacks", lacking), ("has", strange), ("has", misshapen)):
        if names:
            more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
            got = f"one that {problem} {', '.join(names[:NAMED])}{more}"
            raise ModelError(f"the weights of {network}", got, where=path)
