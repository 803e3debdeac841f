"""Where things were put on the frames of a video before, so that they stay there.

A box jitters by a few pixels, a list of units grows and shrinks, two classes are about as likely:
what is written beside a face would jump at every frame. Here it goes by the box of before while
that has hardly moved, keeps its side, and a class stays until another is clearly likelier.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

_STILL = 0.03
"""A box that moves by less, of its height, does not move its words."""
_FOLLOWED, _THERE = 0.35, 0.008
"""Of a longer way words go so much at each frame, until they are that near: they glide."""
_FAR = 0.5
"""A box farther away, of its height, is somewhere else: words jump to it."""
_SMOOTH_S = 0.3
"""Time constant in seconds of the mean over the probabilities of classes."""
_CLEARLY = 0.1
"""By so much another class must be likelier to take the place of the one that is written."""
_REFRESH_S = 0.5
"""The probability that is written is renewed so rarely, in seconds."""
_AWAY_S = 1.0
"""Of a face that was away for longer nothing is remembered."""

_Pixels = tuple[int, int, int, int]


@dataclass(frozen=True)
class PanelPosition:
    """How a face's panel was put.

    Attributes:
        side: Number of the place beside the box; None for not yet.
        length: 0 with the units' names, 1 with their short names, 2 without.
        wide: Pixels that it took across.
        high: Pixels that it took down.
        has_plane: Whether the plane stood in it.
    """

    side: int | None = None
    length: int = 0
    wide: int = 0
    high: int = 0
    has_plane: bool = False


@dataclass
class _Words:
    """What was written of one task of classes."""

    means: dict[str, float]
    time_s: float
    title: str
    share: float
    since_s: float


@dataclass
class _Held:
    """What is remembered of a face."""

    box: tuple[float, float, float, float] | None = None
    is_gliding: bool = False
    panel: PanelPosition = PanelPosition()
    words: list[_Words] = field(default_factory=list)


class WordPositions:
    """What was put where on the frames of one video, by number of the face; None is the voice."""

    def __init__(self) -> None:
        self._held: dict[int | None, _Held] = {}

    def hold_box(self, face: int, box: _Pixels) -> _Pixels:
        """Return the box by which words are put.

        Args:
            face: Number of the face.
            box: x, y, width and height in pixels, on this frame.

        Returns:
            The box of before, or on its way to this one.
        """
        held = self._held.setdefault(face, _Held())
        before = held.box or box
        height = max(1, box[3])
        way = max(abs(new - old) for new, old in zip(box, before, strict=True)) / height
        held.is_gliding = way > (_THERE if held.is_gliding else _STILL)
        part = 1.0 if way > _FAR else _FOLLOWED if held.is_gliding else 0.0
        pairs = zip(box, before, strict=True)
        x, y, wide, high = (old + part * (new - old) for new, old in pairs)
        held.box = (x, y, wide, high)
        return round(x), round(y), round(wide), round(high)

    def panel_of(self, face: int | None) -> PanelPosition:
        """Return how a face's panel was put before.

        Args:
            face: Number of the face.
        """
        return self._held.get(face, _Held()).panel

    def keep_panel(self, face: int | None, position: PanelPosition) -> None:
        """Remember how a face's panel was put.

        Args:
            face: Number of the face.
            position: How.
        """
        self._held.setdefault(face, _Held()).panel = position

    def steady_words(
        self, face: int | None, scores: Sequence[Mapping[str, float]], time_s: float
    ) -> str:
        """Write the likeliest classes, so that they can be read.

        >>> positions = WordPositions()
        >>> positions.steady_words(0, [{"neutral": 0.6, "happiness": 0.4}], 0.0)
        'neutral 60%'
        >>> positions.steady_words(0, [{"neutral": 0.48, "happiness": 0.52}], 0.04)
        'neutral 60%'

        Args:
            face: Number of the face.
            scores: Of each task the probability of each class, by its title.
            time_s: Time of the frame in seconds.

        Returns:
            Class and probability of each task; a class changes when another is clearly likelier
            over some frames, the probability twice a second.
        """
        held = self._held.setdefault(face, _Held())
        if len(held.words) != len(scores) or time_s - held.words[0].time_s > _AWAY_S:
            held.words = [_begin(own, time_s) for own in scores]
            if held.box is not None and face is not None:
                held.panel = PanelPosition()
        for words, own in zip(held.words, scores, strict=True):
            _follow(words, own, time_s)
        return ", ".join(f"{words.title} {words.share:.0%}" for words in held.words)


def _begin(scores: Mapping[str, float], time_s: float) -> _Words:
    likeliest = max(scores, key=scores.__getitem__)
    return _Words(dict(scores), time_s, likeliest, scores[likeliest], time_s)


def _follow(words: _Words, scores: Mapping[str, float], time_s: float) -> None:
    """Take in the probabilities of the next frame."""
    part = 1 - math.exp(-max(0.0, time_s - words.time_s) / _SMOOTH_S)
    before = words.means
    words.means = {
        title: before.get(title, score) + part * (score - before.get(title, score))
        for title, score in scores.items()
    }
    words.time_s = time_s
    likeliest = max(words.means, key=words.means.__getitem__)
    is_other = words.means[likeliest] > words.means.get(words.title, 0.0) + _CLEARLY
    if is_other or time_s - words.since_s >= _REFRESH_S or words.title not in words.means:
        words.title = likeliest if is_other or words.title not in words.means else words.title
        words.share, words.since_s = words.means[words.title], time_s
