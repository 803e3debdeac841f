"""Follow faces from frame to frame, online.

Each face is expected to go on as it moved; the detections of a frame are given to the tracks so
that the sum of what does not fit (distance of the centres in face sizes, plus the logarithm
of the ratio of sizes) is least. Unlike the overlap of boxes, that still tells near from far
where boxes do not touch, and so survives sparse sampling and short gaps.

Now and then the whole picture is searched; in between, faces are followed by their gray levels
(`triaffect.faces.registration`) and, where these change, searched for near where they were, which
costs less. A cut, or a face that is not found again, makes it search the whole picture at once. A
cut also ends every track, and whoever is shown after it gets a new number, unless it is the same
face in the same place: a hand, or another that comes between, is no cut.
New faces that are small in a large picture are searched for less often: after a cut, and on a
slower clock. While all goes well, two of three searches of the whole picture are rough ones.

A face that a hand hides, or that leans out of the picture, comes back where it went on to or where
it was last seen. In time-lapse, with seconds from one frame to the next, faces are followed by
where they are and by what they look like, and cuts mean nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from triaffect.faces.alignment import align_all
from triaffect.faces.detection import NO_FACES, Detections, FaceDetector, alignable, iou
from triaffect.faces.registration import FaceRegistration
from triaffect.faces.shot_cuts import CutFinder
from triaffect.types import BoolArray, FloatArray, IntArray

_Floats = NDArray[np.float64]

_MISFIT_AT_ONCE = 0.6
"""Most misfit from one frame to the next: 0.6 face sizes away, or 1.8 times as large."""

_MISFIT_PER_S = 1.0
"""How much more is allowed for each second since the face was last seen."""

_POSITION_MEMORY_S, _SPEED_MEMORY_S = 0.04, 0.25
"""An observation counts for more, the longer ago these were: position and speed before it."""

_COAST_S = 0.6
"""An unseen face is expected to come to rest within about this time."""

_HIDDEN_S, _HIDDEN_MISFIT = 0.1, 0.2
"""A face unseen for longer may also come back where it was last seen; that counts so much less."""

_SPARSE_MISFIT, _UNALIKE = 3.0, 4.0
"""Most misfit between frames further apart than the longest gap, and most unlikeness then, as
`describe_looks` measures it: of 34 people at most 3.4 between a neutral and a smiling portrait in
19 of 20, and at least 4.0 between those of two people in 9 of 10."""

_ALIKE = 2.5
"""Most unlikeness of a face before and after a cut that was none: far below that of two people."""

_SLACK_S = 1e-6
"""Times are sums of floats."""


@dataclass
class _TrackState:
    """Where one face was last seen.

    Attributes:
        track_id: Its number.
        seen_s: When it was last seen.
        position: Centre x, centre y, logarithm of size, filtered.
        speed: Change of `position` per second.
        looks: As `describe_looks` describes the face; None if that was not needed.
        is_cut: Whether there was a cut since then, so that only its looks bring it back.
    """

    track_id: int
    seen_s: float
    position: _Floats
    speed: _Floats
    looks: _Floats | None = None
    is_cut: bool = False


class Tracker:
    """Gives the faces of successive frames stable numbers, from 0 in order of appearance.

    Those that appear in the same frame are numbered from left to right.

    Only faces seen within the last `gap_s` are remembered, so memory does not grow.

    It goes by seconds, not by frames, so the pace of the frames may vary.

    Args:
        gap_s: A face unseen for longer gets a new number when it comes back, unless frames are
            further apart than that.
    """

    def __init__(self, gap_s: float = 1.0) -> None:
        self.gap_s = gap_s
        self._tracks: list[_TrackState] = []
        self._next_id = 0
        self._time_s = -math.inf

    def forget(self, looks: Mapping[int, _Floats] | None = None) -> None:
        """Give every face to come a new number, as after a cut.

        Args:
            looks: As `describe_looks` describes the faces before it, by number; these keep their
                numbers where they come back in the same place and look the same.
        """
        for track in self._tracks:
            if looks and track.track_id in looks:
                track.looks, track.is_cut = looks[track.track_id], True
        self._tracks = [track for track in self._tracks if track.is_cut]

    @property
    def needs_looks(self) -> bool:
        """Whether some of the faces can only be brought back by their looks, after a cut."""
        return any(track.is_cut for track in self._tracks)

    def is_sparse(self, time_s: float) -> bool:
        """Tell whether a frame comes so long after the one before that only looks tell who is who.

        Args:
            time_s: When the frame is shown.
        """
        return self.gap_s + _SLACK_S < time_s - self._time_s < math.inf

    def update(
        self, time_s: float, detections: Detections, looks: _Floats | None = None
    ) -> IntArray:
        """Number the faces of the next frame.

        Args:
            time_s: When the frame is shown; frames may be left out.
            detections: Its faces, N of them.
            looks: As `describe_looks` describes them, shape (N, 192); needed only of a sparse
                frame and the one before.

        Returns:
            The track of each face, shape (N,); no two are equal.

        Raises:
            ValueError: The frame does not come after the one before.
        """
        if time_s <= self._time_s:
            raise ValueError(f"a frame after {self._time_s:g} s expected, got {time_s:g} s")
        is_sparse, tracks = self.is_sparse(time_s), self._remembered(time_s)
        self._time_s = time_s
        since_s = [time_s - track.seen_s for track in tracks]
        expected = [
            track.position + _COAST_S * (1 - np.exp(-unseen_s / _COAST_S)) * track.speed
            for track, unseen_s in zip(tracks, since_s, strict=True)
        ]
        boxes = detections.boxes.astype(np.float64)
        log_size = np.log(np.sqrt(np.maximum(boxes[:, 2] * boxes[:, 3], 1e-6)))
        centre = boxes[:, :2] + boxes[:, 2:] / 2
        positions = np.concatenate([centre, log_size[:, None]], axis=1)
        ids = np.full(len(positions), -1, np.int64)
        pairs = (
            _match_looks(tracks, positions, looks)
            if is_sparse and looks is not None
            else self._matches(tracks, expected, since_s, positions, looks)
        )
        for row, column in pairs:
            track, surprise = tracks[row], positions[column] - expected[row]
            memory_s = np.array([_POSITION_MEMORY_S, _SPEED_MEMORY_S])
            position_gain, speed_gain = 1 - np.exp(-since_s[row] / memory_s)
            track.speed = track.speed + speed_gain * surprise / since_s[row]
            track.position = expected[row] + position_gain * surprise
            track.seen_s, track.is_cut = time_s, False
            track.looks = None if looks is None else looks[column]
            ids[column] = track.track_id
        new = np.flatnonzero(ids < 0)
        for column in new[np.argsort(positions[new, 0], kind="stable")].tolist():
            ids[column] = self._next_id
            looked = None if looks is None else looks[column]
            still = np.zeros(3)
            tracks.append(_TrackState(self._next_id, time_s, positions[column], still, looked))
            self._next_id += 1
        self._tracks = tracks
        return ids

    def _remembered(self, time_s: float) -> list[_TrackState]:
        """Tracks seen within the longest gap; in time-lapse, a face may miss one frame."""
        sparse_s = 2 * (time_s - self._time_s) if self.is_sparse(time_s) else 0.0
        return [
            track
            for track in self._tracks
            if time_s - track.seen_s <= self.gap_s + _SLACK_S
            or (time_s - track.seen_s <= sparse_s + _SLACK_S and track.looks is not None)
        ]

    def _matches(
        self,
        tracks: list[_TrackState],
        expected: list[_Floats],
        since_s: list[float],
        positions: _Floats,
        looks: _Floats | None,
    ) -> list[tuple[int, int]]:
        """Pair the tracks, where they are expected or were last, with the faces at (M, 3)."""
        unlike, hidden = _misfits(expected, positions), np.array(since_s) > _HIDDEN_S
        if hidden.any():
            back = _misfits([track.position for track in tracks], positions) + _HIDDEN_MISFIT
            unlike[hidden] = np.minimum(unlike, back)[hidden]
        allowed = unlike < (_MISFIT_AT_ONCE + _MISFIT_PER_S * np.array(since_s))[:, None]
        is_cut = np.array([track.is_cut for track in tracks], np.bool_)
        if is_cut.any():
            unalike = np.full(unlike.shape, np.inf) if looks is None else _unalike(tracks, looks)
            allowed &= ~is_cut[:, None] | (unalike < _ALIKE)
        # One prize for every pair, or a long unseen track, allowed more, would win the prize.
        prize = _MISFIT_AT_ONCE + _MISFIT_PER_S * self.gap_s
        cost = np.where(allowed, unlike - prize, 0)
        return [(i, j) for i, j in least_assignment(cost) if allowed[i, j]]


def _match_looks(
    tracks: list[_TrackState], positions: _Floats, looks: _Floats
) -> list[tuple[int, int]]:
    """Pair tracks with the faces of a frame seconds later, at (M, 3), that look like them."""
    unlike = _misfits([track.position for track in tracks], positions)
    unalike = _unalike(tracks, looks)
    allowed = (unlike < _SPARSE_MISFIT) & (unalike < _UNALIKE)
    cost = np.where(allowed, unlike / _SPARSE_MISFIT + unalike / _UNALIKE - 2, 0)
    return [(i, j) for i, j in least_assignment(cost) if allowed[i, j]]


def _unalike(tracks: list[_TrackState], looks: _Floats) -> _Floats:
    """How little faces with such looks, (M, 192), look like the tracks, (N, M)."""
    unalike: _Floats = np.full((len(tracks), len(looks)), np.inf)
    for row, track in enumerate(tracks):
        if track.looks is not None:
            unalike[row] = np.sqrt(np.square(looks - track.looks).mean(axis=1))
    return unalike


def _misfits(centers: list[_Floats], positions: _Floats) -> _Floats:
    """How ill positions (M, 3) fit tracks, (N, M): face sizes between, plus log ratio of sizes."""
    where = np.array(centers).reshape(-1, 3)
    difference = where[:, None] - positions[None]
    size = np.exp((where[:, None, 2] + positions[None, :, 2]) / 2)
    distance = np.hypot(difference[..., 0], difference[..., 1]) / size
    misfit: _Floats = distance + np.abs(difference[..., 2])
    return misfit


def describe_looks(crops: NDArray[np.uint8]) -> _Floats:
    """Describe what faces look like, coarsely: colors, and where they are light and dark.

    The root mean square of differences tells people apart under one light.

    Args:
        crops: Aligned faces, RGB, uint8, shape (N, 112, 112, 3).

    Returns:
        CIELAB colors of 8 by 8 squares, the lightness whatever the exposure, shape (N, 192).
    """
    looks = np.empty((len(crops), 8 * 8 * 3))
    for number, crop in enumerate(crops):
        lab = cv2.cvtColor(crop, cv2.COLOR_RGB2LAB)[16:96, 16:96].astype(np.float32)
        tiny = cv2.resize(lab, (8, 8), interpolation=cv2.INTER_AREA).astype(np.float64)
        light = tiny[..., 0] - tiny[..., 0].mean()
        tiny[..., 0] = light * 12 / max(8.0, float(light.std()))
        looks[number] = tiny.ravel()
    return looks


def least_assignment(cost: _Floats) -> list[tuple[int, int]]:
    """Pair rows with columns, as many as the shorter side has, at least total cost.

    The Hungarian method: rows are added one at a time, each along the cheapest path that
    reassigns the earlier ones.

    Args:
        cost: Finite costs, shape (N, M).

    Returns:
        The pairs, in order of their rows.

    Examples:
        >>> least_assignment(np.array([[1.0, 2.0], [1.0, 9.0]]))
        [(0, 1), (1, 0)]
    """
    if cost.shape[0] > cost.shape[1]:
        return sorted((i, j) for j, i in least_assignment(cost.T))
    rows, columns = cost.shape
    cheapest = cost.argmin(axis=1).tolist() if columns else []
    if len(set(cheapest)) == rows:  # no two rows want the same column
        return list(enumerate(cheapest))
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


SWEEP_PERIODS = 3
"""While every face is followed by its gray levels and a rough look at the whole picture shows no
other, it is searched in every third of the periods alone."""

_SMALL_FACES_S = 4.0
"""Seconds between searches for new small faces, where the detector tells small from large."""

_SAME = 0.3
"""Least intersection over union of a face's box with that of the frame before."""

_STAY = 1.5
"""Of too many faces the largest are taken; one taken in the frame before counts as so much
larger, lest two of about the same size take turns."""

_ROUNDING_S = 1e-3
"""Containers round times to milliseconds: a frame so much before a period begins is in it."""


def period(time_s: NDArray[np.float64], length_s: float) -> IntArray:
    """Number the periods that moments lie in, from 0.

    Args:
        time_s: Moments in seconds, any shape.
        length_s: Seconds of a period.

    Returns:
        Numbers of the same shape; a moment up to 1 ms before a period's start belongs to it.

    Examples:
        >>> period(np.array([0.0, 0.1, 0.1996, 0.2]), 0.2).tolist()
        [0, 0, 1, 1]
    """
    number: IntArray = np.floor((time_s + _ROUNDING_S) / length_s).astype(np.int64)
    return number


class FaceFollower:
    """Finds the faces of one source's frames and gives them numbers.

    Args:
        detector: Finds faces in one picture.
        detection_interval_s: The whole picture is searched in the first frame of every so many
            seconds, roughly two times out of three; 0 searches all of every frame.
        min_face_px: Faces whose box has a shorter side than this are passed over.
        max_faces: At most so many faces of a frame, the largest; None for all.
    """

    def __init__(
        self,
        detector: FaceDetector,
        detection_interval_s: float = 0.0,
        min_face_px: float = 0.0,
        max_faces: int | None = None,
    ) -> None:
        self._detector, self._interval_s = detector, detection_interval_s
        self._min_face_px, self._max_faces = min_face_px, max_faces
        self._tracker, self._cuts = Tracker(), CutFinder()
        self._period, self._small_period = -1, -1
        self._before: tuple[NDArray[np.uint8], Detections, IntArray] | None = None
        self._registered: dict[bytes, FaceRegistration] = {}
        self._current = self._lost = np.empty((0, 4), np.float32)

    def __call__(self, rgb: NDArray[np.uint8], time_s: float) -> tuple[Detections, IntArray]:
        """Detect and number the faces of the next frame.

        Args:
            rgb: The frame, uint8, shape (height, width, 3).
            time_s: When it is shown, in seconds; later than the one before.

        Returns:
            The faces in order of their numbers, and the numbers, shape (N,).
        """
        is_sparse, is_first = self._tracker.is_sparse(time_s), self._cuts.is_first
        if self._cuts(rgb, time_s) and not is_sparse:
            self._tracker.forget(self._looks_before())
            self._current = self._lost = self._current[:0]
            self._small_period = -1
        detections = self._select(self._detect(rgb, time_s))
        looks = None
        if is_sparse or is_first or self._tracker.needs_looks:
            looks = describe_looks(align_all(rgb, detections.landmarks))
        tracks = self._tracker.update(time_s, detections, looks)
        order = np.argsort(tracks)
        faces = detections.take(order), tracks[order]
        self._before = rgb, *faces
        return faces

    def _looks_before(self) -> dict[int, _Floats]:
        """What the faces of the frame before look like, by number."""
        if self._before is None:
            return {}
        rgb, detections, tracks = self._before
        looks = describe_looks(align_all(rgb, detections.landmarks))
        return dict(zip(tracks.tolist(), looks, strict=True))

    def _detect(self, rgb: NDArray[np.uint8], time_s: float) -> Detections:
        """Search near the faces of the frame before, or all of the picture if that is due.

        It is due on clocks that frames do not set, so that two videos of one scene at different
        paces are searched at the same moments, and where a face is not found again.
        """
        before, at_s = (self._period, self._small_period), np.array(time_s)
        self._small_period = int(period(at_s, _SMALL_FACES_S))
        self._period = int(period(at_s, self._interval_s)) if self._interval_s else 0
        if not self._interval_s or self._small_period > before[1]:
            self._lost = self._lost[:0]
            return alignable(self._detector(rgb))
        is_due = self._period != before[0]
        is_rough = self._period // SWEEP_PERIODS == before[0] // SWEEP_PERIODS
        if len(self._current) and (not is_due or is_rough):
            detections, near = self._register(rgb)
            if not len(near) and not (is_due and self._sees_others(rgb, detections)):
                return detections
            if len(near) and not is_due:
                detected = alignable(self._detector.around(rgb, near))
                is_new = ~(iou(detected.boxes, detections.boxes) > _SAME).any(axis=1)
                detections = Detections.concat([detections, detected.take(np.flatnonzero(is_new))])
                if _matched(self._current, detections.boxes).all():
                    return detections
        if is_due or not len(self._current):
            self._lost = self._lost[:0]
        near = np.concatenate([self._current, self._lost])
        return alignable(self._detector.around(rgb, near, sweep=True))

    def _sees_others(self, rgb: NDArray[np.uint8], detections: Detections) -> bool:
        """Tell whether a rough look at the whole picture shows a face that is not followed."""
        seen = alignable(self._detector.find_large(rgb))
        return bool((iou(seen.boxes, detections.boxes) <= _SAME).all(axis=1).any())

    def _register(self, rgb: NDArray[np.uint8]) -> tuple[Detections, FloatArray]:
        """Follow the faces of the frame before by their gray levels.

        Args:
            rgb: The frame, uint8, shape (height, width, 3).

        Returns:
            Those that look as they did, and the boxes of the others and those just lost, (M, 4).
        """
        assert self._before is not None  # noqa: S101 - there are faces in it
        before, faces, _ = self._before
        registered: dict[bytes, FaceRegistration] = {}
        followed: list[Detections] = []
        others = list(self._lost)
        for row, box in enumerate(faces.boxes):
            face = self._registered.get(box.tobytes())
            if face is None:
                face = FaceRegistration(before, faces.take(np.array([row])))
            located = face.locate(rgb) if before.shape == rgb.shape else None
            if located is None or any(
                (iou(located.boxes, x.boxes) > _SAME).any() for x in followed
            ):
                others.append(box)
            else:
                registered[located.boxes.tobytes()] = face
                followed.append(located)
        self._registered = registered
        return Detections.stack([NO_FACES, *followed]), np.array(others, "f4").reshape(-1, 4)

    def _select(self, detections: Detections) -> Detections:
        """Take the large enough and largest; they, and those just lost, are searched for next."""
        detections = select_faces(
            detections, self._min_face_px, self._max_faces, favored=self._current
        )
        gone = np.concatenate([self._lost, self._current])
        self._lost = gone[~_matched(gone, detections.boxes)]
        self._current = detections.boxes
        return detections


def select_faces(
    detections: Detections,
    min_face_px: float = 0.0,
    max_faces: int | None = None,
    favored: FloatArray | None = None,
) -> Detections:
    """Select the faces of a frame that are large enough, and the largest of them.

    Args:
        detections: The faces.
        min_face_px: The least shorter side of a box, in pixels.
        max_faces: At most so many; None for all.
        favored: Boxes (M, 4) whose faces count for half as large again, as those of the frame
            before; None for none.

    Returns:
        Those faces, in their order.
    """
    is_large = detections.boxes[:, 2:].min(axis=1) >= min_face_px
    if not is_large.all():
        detections = detections.take(np.flatnonzero(is_large))
    if max_faces is None or len(detections) <= max_faces:
        return detections
    area = detections.boxes[:, 2:].prod(axis=1)
    if favored is not None:
        area = np.where(_matched(detections.boxes, favored), _STAY * area, area)
    largest = np.argsort(-area, kind="stable")[:max_faces]
    return detections.take(np.sort(largest))


def _matched(boxes: FloatArray, detected: FloatArray) -> BoolArray:
    """Which boxes (N, 4) a detected one (M, 4) overlaps, each at most one of them: shape (N,)."""
    overlap, matched = iou(boxes, detected), np.zeros(len(boxes), np.bool_)
    for column in overlap.T if len(boxes) else ():
        best = int(np.argmax(np.where(matched, -1, column)))
        matched[best] |= column[best] >= _SAME
    return matched
