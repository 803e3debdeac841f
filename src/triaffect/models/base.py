"""What networks take and return, their weights, and ensembles of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from triaffect.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor


def extra_input(stream: str) -> str:
    """Name of the input with a further stream's vectors."""
    return f"extra.{stream}"


def extra_presence(stream: str) -> str:
    """Name of the input that says which of them are there."""
    return f"extra.{stream}.present"


@dataclass(frozen=True)
class Outputs:
    """One forward pass over N rows.

    Attributes:
        raw: Raw outputs by task key, before the task's activation, shape (N, K) each.
        domain: Logits of what the discriminator tells apart, shape (N, classes); None if the
            network has no discriminator.
        features: The shared features that heads and discriminator see, shape (N, D).
    """

    raw: dict[str, Tensor]
    domain: Tensor | None
    features: Tensor


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


class Ensemble(nn.Module):
    """The mean of what networks say, of each task by those that know it.

    Raw outputs are averaged: of a softmax task that is the geometric mean of the members'
    distributions, brought back to a sum of 1.

    Args:
        members: Networks of the same inputs; their tasks may differ.
    """

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Inputs of one member to raw outputs (N, K) of every task that some member knows."""
        said = [member(inputs) for member in self.members]
        keys = dict.fromkeys(key for each in said for key in each.raw)
        raw = {
            key: torch.stack([each.raw[key].float() for each in said if key in each.raw]).mean(0)
            for key in keys
        }
        return Outputs(raw=raw, domain=None, features=torch.cat([s.features for s in said], 1))
