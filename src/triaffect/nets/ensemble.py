"""Several networks that answer as one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from triaffect.nets.outputs import Outputs


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
