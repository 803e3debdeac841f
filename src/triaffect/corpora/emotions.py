"""The one table that says which of the eight expressions a corpus's own emotion name means.

Corpora name acted or voted emotions in their own words. The eight expressions have no
contempt and no boredom, so both count as ``other``; calm speech counts as ``neutral``.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from triaffect.tasks.expression import EXPRESSIONS
from triaffect.types import FloatArray

MEANING = MappingProxyType(
    {
        # the expressions themselves
        "neutral": "neutral",
        "anger": "anger",
        "disgust": "disgust",
        "fear": "fear",
        "happiness": "happiness",
        "sadness": "sadness",
        "surprise": "surprise",
        # RAVDESS
        "calm": "neutral",
        "happy": "happiness",
        "sad": "sadness",
        "angry": "anger",
        "fearful": "fear",
        "surprised": "surprise",
        # FER+
        "contempt": "other",
        # EMO-DB
        "boredom": "other",
    }
)
"""Expression by a corpus's own name of the emotion."""


def one_hot(emotion: str) -> FloatArray:
    """Distribution over the expressions that a single named emotion stands for, shape (8,)."""
    distribution: FloatArray = fold(np.ones((1, 1), np.float32), [emotion])[0]
    return distribution


def fold(
    amounts: NDArray[np.integer] | NDArray[np.floating], emotions: Sequence[str]
) -> FloatArray:
    """Add up votes for a corpus's own emotions by the expression they mean.

    Args:
        amounts: Votes or probabilities, shape (N, len(emotions)).
        emotions: The corpus's own name of each column; all of them in `MEANING`.

    Returns:
        Amounts by expression, shape (N, 8).
    """
    folded = np.zeros((len(amounts), len(EXPRESSIONS)), np.float32)
    for k, emotion in enumerate(emotions):
        folded[:, EXPRESSIONS.index(MEANING[emotion])] += amounts[:, k]
    return folded
