"""Following faces from frame to frame, online and without looking at the pixels.

Each face is expected to go on as it moved; the detections of a frame are given to the tracks so
that the sum of what does not fit (distance of the centres in face sizes, plus the logarithm
of the ratio of sizes) is least. Unlike the overlap of boxes, that still tells near from far
where boxes do not touch, and so survives sparse sampling and short gaps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from triaffect.faces.detect import Detections
from triaffect.types import IntArray

_Floats = NDArray[np.float64]

_MISFIT_AT_ONCE = 0.6
"""Most misfit from one frame to the next: 0.6 face sizes away, or 1.8 times as large."""

_MISFIT_PER_S = 1.0
"""How much more is allowed for each second since the face was last seen."""

_PLACE_MEMORY_S, _SPEED_MEMORY_S = 0.04, 0.25
"""An observation counts for more, the longer ago these were: place and speed before it."""

_COAST_S = 0.6
"""An unseen face is expected to come to rest within about this time."""

_SLACK_S = 1e-6
"""Times are sums of floats."""


@dataclass
class _Track:
    """Where one face was last seen.

    Attributes:
        track_id: Its number.
        seen_s: When it was last seen.
        place: Centre x, centre y, logarithm of size, filtered.
        speed: Change of `place` per second.
    """

    track_id: int
    seen_s: float
    place: _Floats
    speed: _Floats


class Tracker:
    """Gives the faces of successive frames stable numbers, from 0 in order of appearance.

    Only faces seen within the last `gap_s` are remembered, so memory does not grow.

    It goes by seconds, not by frames, so the pace of the frames may vary.

    Args:
        gap_s: A face unseen for longer gets a new number when it comes back.
    """

    def __init__(self, gap_s: float = 1.0) -> None:
        self.gap_s = gap_s
        self._tracks: list[_Track] = []
        self._next_id = 0
        self._time_s = -math.inf

    def forget(self) -> None:
        """Give every face to come a new number, as after a cut."""
        self._tracks = []

    def update(self, time_s: float, detections: Detections) -> IntArray:
        """Number the faces of the next frame.

        Args:
            time_s: When the frame is shown; frames may be left out.
            detections: Its faces, N of them.

        Returns:
            The track of each face, shape (N,); no two are equal.

        Raises:
            ValueError: The frame does not come after the one before.
        """
        if time_s <= self._time_s:
            raise ValueError(f"a frame after {self._time_s:g} s expected, got {time_s:g} s")
        self._time_s = time_s
        self._tracks = [t for t in self._tracks if self._since_s(t) <= self.gap_s + _SLACK_S]
        places = _places(detections)
        ids = np.full(len(places), -1, np.int64)
        for row, column in self._matches(places):
            track = self._tracks[row]
            self._follow(track, places[column])
            ids[column] = track.track_id
        for column in np.flatnonzero(ids < 0).tolist():
            ids[column] = self._start(places[column])
        return ids

    def _since_s(self, track: _Track) -> float:
        return self._time_s - track.seen_s

    def _expected(self, track: _Track) -> _Floats:
        moving_s = _COAST_S * (1 - np.exp(-self._since_s(track) / _COAST_S))
        place: _Floats = track.place + moving_s * track.speed
        return place

    def _follow(self, track: _Track, seen: _Floats) -> None:
        expected, since_s = self._expected(track), self._since_s(track)
        surprise = seen - expected
        place_gain, speed_gain = 1 - np.exp(-since_s / np.array([_PLACE_MEMORY_S, _SPEED_MEMORY_S]))
        track.speed = track.speed + speed_gain * surprise / since_s
        track.place = expected + place_gain * surprise
        track.seen_s = self._time_s

    def _matches(self, places: _Floats) -> list[tuple[int, int]]:
        """Pairs of (track, face) that belong together."""
        expected = np.array([self._expected(t) for t in self._tracks]).reshape(-1, 3)
        since_s = np.array([self._since_s(t) for t in self._tracks])
        unlike = misfit(expected, places)
        allowed = unlike < (_MISFIT_AT_ONCE + _MISFIT_PER_S * since_s)[:, None]
        # One prize for every pair, or a long unseen track, allowed more, would win the prize.
        prize = _MISFIT_AT_ONCE + _MISFIT_PER_S * self.gap_s
        cost = np.where(allowed, unlike - prize, 0)
        return [(i, j) for i, j in least_assignment(cost) if allowed[i, j]]

    def _start(self, place: _Floats) -> int:
        self._tracks.append(_Track(self._next_id, self._time_s, place, np.zeros(3)))
        self._next_id += 1
        return self._next_id - 1


def _places(detections: Detections) -> _Floats:
    """Centre x, centre y, logarithm of size of each box, shape (N, 3)."""
    boxes = detections.boxes.astype(np.float64)
    size = np.sqrt(np.maximum(boxes[:, 2] * boxes[:, 3], 1e-6))
    centre = boxes[:, :2] + boxes[:, 2:] / 2
    return np.concatenate([centre, np.log(size)[:, None]], axis=1)


def misfit(one: _Floats, other: _Floats) -> _Floats:
    """Distance in face sizes plus the logarithm of the ratio of sizes, for every pair.

    Args:
        one: Centre x, centre y, logarithm of size, shape (N, 3).
        other: Likewise, shape (M, 3).

    Returns:
        Shape (N, M), 0 where two are equal.
    """
    difference = one[:, None] - other[None]
    size = np.exp((one[:, None, 2] + other[None, :, 2]) / 2)
    distance = np.hypot(difference[..., 0], difference[..., 1]) / size
    result: _Floats = distance + np.abs(difference[..., 2])
    return result


def least_assignment(cost: _Floats) -> list[tuple[int, int]]:
    """Pairs (row, column), as many as the shorter side has, of least total cost.

    The Hungarian method: rows are added one at a time, each along the cheapest path that
    reassigns the earlier ones.

    Args:
        cost: Finite costs, shape (N, M).
    """
    if cost.shape[0] > cost.shape[1]:
        return sorted((i, j) for j, i in least_assignment(cost.T))
    rows, columns = cost.shape
    row_price, column_price = np.zeros(rows), np.zeros(columns + 1)
    owner = np.full(columns + 1, -1)  # the last column stands for "not assigned yet"
    for row in range(rows):
        owner[columns] = row
        at, came_from = columns, np.full(columns, columns)
        distance, done = np.full(columns, np.inf), np.zeros(columns + 1, bool)
        while owner[at] >= 0:
            done[at] = True
            reduced = cost[owner[at]] - row_price[owner[at]] - column_price[:columns]
            better = ~done[:columns] & (reduced < distance)
            distance[better], came_from[better] = reduced[better], at
            at = int(np.argmin(np.where(done[:columns], np.inf, distance)))
            step = distance[at]
            row_price[owner[done]] += step
            column_price[done] -= step
            distance[~done[:columns]] -= step
        while at != columns:
            owner[at], at = owner[came_from[at]], int(came_from[at])
    return sorted((int(owner[j]), j) for j in range(columns) if owner[j] >= 0)
