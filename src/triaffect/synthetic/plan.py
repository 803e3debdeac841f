"""Which videos a corpus has: who is in them, in which split, for how long, showing what."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from triaffect.synthetic.emotion import EXPRESSION_SHARES
from triaffect.types import Split

_RATES = (30.0, 30.0, 30.0, 30000 / 1001, 25.0, 24.0)
_SEGMENT_S = 0.9
"""Mean time for which one expression is shown."""
_PEOPLE_PER_PAIR = 12
"""In every so many people two share a video."""


@dataclass(frozen=True)
class Plan:
    """What a made corpus is made from; the same plan gives the same corpus.

    Attributes:
        people: Number of people; each is in one video and one split only.
        seconds: Mean length of a video.
        seed: Of everything random.
    """

    people: int = 60
    seconds: float = 2.0
    seed: int = 0


@dataclass(frozen=True)
class Role:
    """One person in one video.

    Attributes:
        name: The name of the person's video, ``_left`` or ``_right`` included.
        person: Number of the person.
        expressions: Codes of what is shown, in order.
        tasks: The tasks that have a single-task file of it.
    """

    name: str
    person: int
    expressions: tuple[int, ...]
    tasks: tuple[str, ...]


@dataclass(frozen=True)
class VideoPlan:
    """One video.

    Attributes:
        name: Of its file, without the suffix.
        split: Where its people belong.
        rate: Frames a second.
        frames: Number of frames.
        roles: The people in it, from the left.
    """

    name: str
    split: Split
    rate: float
    frames: int
    roles: tuple[Role, ...]


def plan_videos(plan: Plan, size: tuple[int, int]) -> list[VideoPlan]:
    """All videos of a corpus.

    Args:
        plan: What to make.
        size: Width and height of the frames, which the names tell as Aff-Wild2's do.
    """
    random = np.random.default_rng([plan.seed, 0])
    videos: list[VideoPlan] = []
    person = 0
    for split, people in _people_by_split(plan.people).items():
        pairs = round(people / _PEOPLE_PER_PAIR)
        groups = [2] * pairs + [1] * (people - 2 * pairs)
        per_role = max(1, round(plan.seconds / _SEGMENT_S))
        deck = _deal(people * per_role, random)
        role = 0
        for group in random.permutation(groups):
            rate = float(random.choice(_RATES))
            frames = max(2, round(plan.seconds * random.uniform(0.8, 1.2) * rate))
            name = f"{len(videos) + 1}-{round(rate)}-{size[0]}x{size[1]}"
            roles = []
            for side in ("_left", "_right") if group > 1 else ("",):
                shown = tuple(deck[role * per_role : (role + 1) * per_role])
                roles.append(Role(name + side, person, shown, _tasks(role, split)))
                role, person = role + 1, person + 1
            videos.append(VideoPlan(name, split, rate, frames, tuple(roles)))
    return videos


def _people_by_split(people: int) -> dict[Split, int]:
    held_out = max(1, round(people / 6))
    return {
        Split.TRAIN: people - 2 * held_out,
        Split.VALIDATION: held_out,
        Split.TEST: held_out,
    }


def _deal(count: int, random: np.random.Generator) -> list[int]:
    """Expressions in the declared shares as nearly as whole numbers allow, shuffled."""
    exact = EXPRESSION_SHARES / EXPRESSION_SHARES.sum() * count
    whole = np.floor(exact).astype(int)
    by_rest = np.argsort(-(exact - whole), kind="stable")
    whole[by_rest[: count - whole.sum()]] += 1
    codes = np.repeat(np.arange(len(whole)), whole)
    return [int(code) for code in random.permutation(codes)]


def _tasks(role: int, split: Split) -> tuple[str, ...]:
    """Single-task sets that annotate the n-th person of a split; the first has all, as has test."""
    if split is Split.TEST:
        return ("VA", "EXPR", "AU")
    cycle: tuple[tuple[str, ...], ...] = (
        ("VA", "EXPR", "AU"),
        ("VA", "AU"),
        ("EXPR",),
        ("VA", "EXPR"),
        ("AU",),
        ("VA",),
        ("EXPR", "AU"),
    )
    return cycle[role % len(cycle)]
