"""Weighing up the tasks that have stopped improving."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping


class StagnationWeights:
    """w_k = exp(rate · n_k), with n_k the epochs since task k's validation score was best.

    Args:
        keys: The tasks.
        rate: How fast a weight grows with each epoch without improvement.
    """

    def __init__(self, keys: Iterable[str], rate: float = 0.5) -> None:
        self._rate = rate
        self._best: dict[str, float | None] = dict.fromkeys(keys)
        self._stagnant = dict.fromkeys(self._best, 0)

    def update(self, scores: Mapping[str, float]) -> None:
        """Take in an epoch's validation scores by task key, higher being better."""
        for key, best in self._best.items():
            if best is None or scores[key] > best:
                self._best[key], self._stagnant[key] = scores[key], 0
            else:
                self._stagnant[key] += 1

    def weights(self) -> dict[str, float]:
        """Weight of each task by key, for the epoch to come."""
        return {key: math.exp(self._rate * n) for key, n in self._stagnant.items()}

    def state_dict(self) -> dict[str, dict[str, float | None]]:
        """Everything to resume from, as JSON can hold it."""
        return {"best": dict(self._best), "stagnant": dict(self._stagnant)}

    def load_state_dict(self, state: Mapping[str, Mapping[str, float | None]]) -> None:
        """Resume from `state_dict`."""
        self._best = dict(state["best"])
        self._stagnant = {key: int(n or 0) for key, n in state["stagnant"].items()}
