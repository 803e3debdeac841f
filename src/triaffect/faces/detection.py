"""Detect faces: the `FaceDetector` protocol, and CenterFace, which implements it.

A part begins and ends at multiples of 32 pixels of the detector's input, where its coarsest map
has its cells: so every pixel falls on the same cells as when the whole picture is looked at,
and a face's box and landmarks come out nearly the same: on eight clips of talking people half
of the time within 0.3 % of its size, with faces of 19 pixels within 2 %; shifting the picture
by a few pixels changes them by 1.5 %.

A large picture is searched at two sizes: a quarter of its own, which shows large faces best and at
least cost, and one at which the smallest faces of interest are large enough. Each face is read at
the smaller size if that shows it at least `_CLEAR_PX` high.

CenterFace (Xu et al., 2019, arXiv:1911.03599) sees a face as a peak in a map. Contract of its
network: input float32 (1, 3, H, W), RGB in 0-255, H and W multiples of 32. Outputs at a
quarter of the size: heat (probability that a face's centre is here), scale (log height, log
width, in cells), offset (centre's y, x within the cell), landmarks (five times y, x as
fractions of the box).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from triaffect.errors import ModelError
from triaffect.io.onnx_session import open_session
from triaffect.types import BoolArray, FloatArray

if TYPE_CHECKING:
    import onnxruntime

WEIGHTS = Path(__file__).resolve().parents[1] / "weights" / "detector"
"""The shipped network, with its source, license and hash."""

INPUT = "pictures"


def open_detector(folder: Path = WEIGHTS) -> onnxruntime.InferenceSession:
    """Open the CenterFace network on one CPU thread.

    Args:
        folder: Holds ``detector.onnx``, and its SHA-256 in ``detector.json``.

    Returns:
        The session; the module describes its input and outputs.

    Raises:
        ModelError: A file is missing or not the one that was shipped.
    """
    path, remedy = folder / "detector.onnx", "install triaffect again"
    try:
        content = path.read_bytes()
        sha256 = json.loads((folder / "detector.json").read_text("utf-8"))["sha256"][path.name]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ModelError("the shipped face detector", str(error), remedy, where=folder) from error
    if hashlib.sha256(content).hexdigest() != sha256:
        got = "another content: it is damaged or replaced"
        raise ModelError("the shipped face detector", got, remedy, where=path)
    return open_session(content, where=path)


MULTIPLE = 32

_MARGIN, _LEAST_MARGIN_PX = 0.25, 24
"""Around a box, in its sides and in pixels: how far a face may move, and what the network needs
to see beside a small face to be as sure of it."""

_WORTH = 0.8
"""Parts that are more than this of the picture are not worth being cut out."""

_SHOWN = 0.85
"""A part that shows less than this of a face's box cannot say where the face is."""


@dataclass(frozen=True)
class Region:
    """A part of the detector's input; edges are multiples of 32 pixels.

    Attributes:
        left: First column.
        top: First row.
        right: Column after the last.
        bottom: Row after the last.
    """

    left: int
    top: int
    right: int
    bottom: int

    @staticmethod
    def whole(shape: tuple[int, ...]) -> Region:
        """Return the region that is all of an input of shape (…, H, W)."""
        return Region(0, 0, shape[-1], shape[-2])

    @property
    def area(self) -> int:
        """Count the pixels."""
        return (self.right - self.left) * (self.bottom - self.top)

    def joined(self, other: Region) -> Region:
        """Return the least region around both.

        Examples:
            >>> Region(0, 0, 64, 32).joined(Region(32, 64, 96, 128))
            Region(left=0, top=0, right=96, bottom=128)
        """
        return Region(
            min(self.left, other.left),
            min(self.top, other.top),
            max(self.right, other.right),
            max(self.bottom, other.bottom),
        )

    def of(self, blob: NDArray[Any]) -> NDArray[Any]:
        """Return a view of this part of an input (…, H, W)."""
        return blob[..., self.top : self.bottom, self.left : self.right]

    def shows(self, boxes: FloatArray, shape: tuple[int, ...]) -> BoolArray:
        """Find the boxes that it does not cut off; what the picture cuts off counts as shown.

        Args:
            boxes: x, y, width, height in pixels of the input, shape (N, 4).
            shape: Shape (…, H, W) of the whole input.

        Returns:
            Shape (N,): True where at least 85 % of the box's area lies in the region.
        """
        low = np.array([self.left or -np.inf, self.top or -np.inf])
        high = np.array([self.right, self.bottom], np.float64)
        high[high == shape[:-3:-1]] = np.inf
        start, end = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
        shown = np.clip(np.minimum(end, high) - np.maximum(start, low), 0, None)
        return np.asarray(shown.prod(axis=1) >= _SHOWN * boxes[:, 2:].prod(axis=1), np.bool_)


def regions(boxes: FloatArray, shape: tuple[int, ...]) -> list[Region]:
    """Choose the parts of a detector's input in which to look for faces that were in boxes.

    Args:
        boxes: x, y, width, height in pixels of the input, shape (N, 4).
        shape: Shape (…, H, W) of the input, H and W multiples of 32.

    Returns:
        Parts that together cover every box's surroundings, no two of which would be smaller as
        one; the whole input if they are nearly all of it.

    Examples:
        >>> regions(np.array([[100, 100, 40, 40]], np.float32), (1, 3, 384, 640))
        [Region(left=64, top=64, right=192, bottom=192)]
    """
    limit = np.array(shape[:-3:-1])
    centre, size = boxes[:, :2] + boxes[:, 2:] / 2, boxes[:, 2:]
    reach = size / 2 + np.maximum(_MARGIN * size, _LEAST_MARGIN_PX)
    low = np.clip(np.floor((centre - reach) / MULTIPLE) * MULTIPLE, 0, limit - MULTIPLE)
    high = np.clip(np.ceil((centre + reach) / MULTIPLE) * MULTIPLE, low + MULTIPLE, limit)
    edges = np.concatenate([low, high], axis=1).astype(int).tolist()
    parts: list[Region] = []
    for left, top, right, bottom in edges:
        grown = Region(left, top, right, bottom)
        while smaller := [p for p in parts if p.joined(grown).area <= p.area + grown.area]:
            parts.remove(smaller[0])
            grown = grown.joined(smaller[0])
        parts.append(grown)
    whole = Region.whole(shape)
    return parts if sum(part.area for part in parts) < _WORTH * whole.area else [whole]


_STRIDE = 4
_LEAST_SPREAD_PX = 0.1
"""Landmarks closer together than this in both directions cannot be aligned."""


@dataclass(frozen=True)
class Detections:
    """The faces of one picture, the surest first.

    Attributes:
        boxes: x, y, width, height in pixels of the picture; may reach over its edge,
            float32, shape (N, 4).
        landmarks: Left eye, right eye, nose, left and right mouth corner as the viewer sees
            them, in pixels, float32, shape (N, 5, 2).
        confidence: Score in [0, 1], float32, shape (N,).
    """

    boxes: FloatArray
    landmarks: FloatArray
    confidence: FloatArray

    def __len__(self) -> int:
        """Count the faces."""
        return len(self.confidence)

    def take(self, rows: NDArray[np.intp]) -> Detections:
        """Select faces by number, shape (n,), in that order."""
        return Detections(self.boxes[rows], self.landmarks[rows], self.confidence[rows])

    @staticmethod
    def stack(parts: Sequence[Detections]) -> Detections:
        """Join the faces of at least one part, in their order."""
        return Detections(
            np.concatenate([part.boxes for part in parts]),
            np.concatenate([part.landmarks for part in parts]),
            np.concatenate([part.confidence for part in parts]),
        )

    @staticmethod
    def concat(parts: Sequence[Detections]) -> Detections:
        """Join the faces of at least one part, the surest first; equally sure ones keep order."""
        every = Detections.stack(parts)
        return every.take(np.argsort(-every.confidence, kind="stable"))


NO_FACES = Detections(np.empty((0, 4), "f4"), np.empty((0, 5, 2), "f4"), np.empty(0, "f4"))
"""The faces of a picture without any."""


class FaceDetector(Protocol):
    """Finds faces in one picture; the same picture always gives the same faces."""

    def __call__(self, rgb: NDArray[np.uint8]) -> Detections:
        """Find the faces of an RGB picture, uint8, shape (height, width, 3)."""

    def around(self, rgb: NDArray[np.uint8], boxes: FloatArray, sweep: bool = False) -> Detections:
        """Find the faces near boxes, at less cost than searching all of the picture.

        Args:
            rgb: The picture, uint8, shape (height, width, 3).
            boxes: x, y, width, height in pixels of the picture, shape (N, 4).
            sweep: Search all of the picture as well, for faces that are not small.

        Returns:
            The faces that the whole search would find there, and maybe others.
        """

    def find_large(self, rgb: NDArray[np.uint8]) -> Detections:
        """Find the large faces of a whole picture, roughly and at a fraction of the cost.

        Args:
            rgb: The picture, uint8, shape (height, width, 3).
        """


SMALL_PX = 160
"""Longest side of a picture that may be the crop of one face."""

CROP_DETECTION_SIZE, CROP_THRESHOLD = 128, 0.3
"""Pixels to which such a crop is brought before its face is searched, and the least confidence;
by trial on FER+, where 98 % of the faces are detected so, but 85 % at the usual size."""

CROP_SHARE = 0.4
"""Least share of a crop's longer side that its face takes; of 300 of FER+ all take 0.48 or more.
A small picture whose surest face takes less is a small picture of a scene."""

LARGE_CROP_SHARE = 0.65
"""That of a larger picture in which the usual search finds nothing: of crops of FER+ and LFW nearly
all take 0.66 or more, and the heads of animals that look like a face less."""


class CenterFace:
    """The CenterFace network on one CPU thread.

    A picture of at most `SMALL_PX` that one face fills is read as the crop of that face: its
    surest detection is the only one. So a face keeps being detected when somebody has cut it
    out, and training (on corpora of crops) and prediction see the same.

    Args:
        size: The picture's longer side is resized to this many pixels, a multiple of 32,
            its shape kept; None takes `search_sizes`, or reads the picture as a crop. Faces less
            than about 17 of these pixels high are missed, and so are some that fill the picture.
        threshold: Least confidence of a face.
        again: Least confidence of a face near where one was.
        overlap: Of two boxes with a larger intersection over union the surer one is kept.
        min_face_px: The shorter side of the smallest faces to be found, in pixels of the picture;
            0 for about 40, in pictures of more than 1,422 pixels for 1/36 of the longer side.

    Raises:
        ModelError: The network's file is missing or damaged.
        ValueError: The size is no multiple of 32.
    """

    def __init__(
        self,
        size: int | None = None,
        threshold: float = 0.5,
        again: float = 0.4,
        overlap: float = 0.3,
        min_face_px: float = 0.0,
    ) -> None:
        if size is not None and (size % MULTIPLE or size <= 0):
            raise ValueError(f"a size that is a multiple of {MULTIPLE} expected, got {size}")
        self.size, self.threshold, self.again, self.overlap = size, threshold, again, overlap
        self.min_face_px = min_face_px
        self._session = open_detector()

    def with_min_face(self, min_face_px: float) -> CenterFace:
        """Return a detector with the same network that finds faces from another size up.

        Args:
            min_face_px: As that of the class.

        Returns:
            The other detector; this one stays as it is.
        """
        other = copy(self)
        other.min_face_px = min_face_px
        return other

    def __call__(self, rgb: NDArray[np.uint8]) -> Detections:
        """Find the faces of an RGB picture, uint8, shape (height, width, 3)."""
        if self.size is None and max(rgb.shape[:2]) <= SMALL_PX:
            face = self.search_crop(rgb)
            if len(face):
                return face
        return self._search_sizes(rgb, None, sweep=True)

    def search_crop(self, rgb: NDArray[np.uint8]) -> Detections:
        """Find the face that fills a picture of any size, as if somebody had cut it out.

        The usual search misses one in five of faces cut out along their boxes, and nearly all of
        those cut closer.

        Args:
            rgb: The picture, uint8, shape (height, width, 3).

        Returns:
            Its surest face if that takes enough of the picture, else none.
        """
        longer_side = max(rgb.shape[:2])
        is_small = longer_side <= SMALL_PX
        threshold = CROP_THRESHOLD if is_small else self.threshold
        surest = alignable(self._search(rgb, CROP_DETECTION_SIZE, threshold))
        share = CROP_SHARE if is_small else LARGE_CROP_SHARE
        if len(surest) and surest.boxes[0, 2:].max() >= share * longer_side:
            return surest.take(np.zeros(1, np.intp))
        return NO_FACES

    def around(self, rgb: NDArray[np.uint8], boxes: FloatArray, sweep: bool = False) -> Detections:
        """Find the faces near where some were.

        The network sees the same pixels, at the same size, as when it sees the whole picture,
        but only around the boxes (`triaffect.faces.detection`).

        Args:
            rgb: The picture, uint8, shape (height, width, 3).
            boxes: x, y, width, height in pixels of the picture, shape (N, 4).
            sweep: Search all of the picture at the first of its sizes as well.

        Returns:
            The faces of at least the confidence `again`, in a sweep `threshold`, the surest first.
        """
        if self.size is None and max(rgb.shape[:2]) <= SMALL_PX:
            return self(rgb)
        return self._search_sizes(rgb, boxes, sweep)

    def find_large(self, rgb: NDArray[np.uint8]) -> Detections:
        """Find the large faces of a whole picture at half the first of its search sizes.

        Args:
            rgb: The picture, uint8, shape (height, width, 3).

        Returns:
            Its faces twice as large as the smallest that `around` finds in a sweep, or larger; the
            landmarks are rough.
        """
        longer_side = max(rgb.shape[:2])
        if self.size is None and longer_side <= SMALL_PX:
            return self(rgb)
        size = self.size or usual_size(longer_side)
        return self._search(rgb, -(-size // (2 * MULTIPLE)) * MULTIPLE, self.threshold)

    def _search(self, rgb: NDArray[np.uint8], size: int, threshold: float) -> Detections:
        """Find the faces of the whole picture, its longer side brought to a size."""
        blob, zoom = fitted(rgb, size)
        return self._detect(blob, zoom, [Region.whole(blob.shape)], threshold)

    def _search_sizes(
        self, rgb: NDArray[np.uint8], boxes: FloatArray | None, sweep: bool
    ) -> Detections:
        """Search at each size of the picture: all of it, or around the boxes that it shows best.

        Args:
            rgb: The picture, uint8, shape (height, width, 3).
            boxes: x, y, width, height, shape (N, 4); None to search all at every size.
            sweep: Search all at the first size.

        Returns:
            The faces, the surest first; of one seen at two sizes, that of the size it is clear at.
        """
        longer_side = max(rgb.shape[:2])
        sizes = (self.size,) if self.size else search_sizes(longer_side, self.min_face_px)
        clear_px = _CLEAR_PX * longer_side / sizes[0] if len(sizes) > 1 else 0.0
        large: list[Detections] = []
        small: list[Detections] = []
        unclear: list[Detections] = []
        for size in sizes:
            is_first = size == sizes[0]
            near = None if boxes is None else boxes[(boxes[:, 3] >= clear_px) == is_first]
            is_whole = near is None or (sweep and is_first)
            if near is not None and not len(near) and not is_whole:
                continue
            blob, zoom = fitted(rgb, size)
            parts = [Region.whole(blob.shape)]
            if near is not None and not is_whole:
                parts = regions(near * np.concatenate([zoom, zoom]), blob.shape)
            faces = self._detect(blob, zoom, parts, self.threshold if is_whole else self.again)
            is_clear = faces.boxes[:, 3] >= clear_px
            (large if is_first else small).append(faces.take(np.flatnonzero(is_clear == is_first)))
            unclear.append(faces.take(np.flatnonzero(is_clear != is_first)))
        if len(sizes) == 1:
            return large[0] if large else NO_FACES
        by_rank = Detections.stack([NO_FACES, *large, *small, *unclear])
        selected = by_rank.take(suppressed(by_rank.boxes, self.overlap))
        return Detections.concat([selected])

    def _detect(
        self, blob: FloatArray, zoom: FloatArray, parts: Sequence[Region], threshold: float
    ) -> Detections:
        """Find the faces that parts of the network's input show whole, in the picture's pixels."""
        shown = []
        for part in parts:
            maps = self._session.run(None, {INPUT: np.ascontiguousarray(part.of(blob))})
            heat, scale, offset, landmarks = maps
            faces = decoded(heat[0, 0], scale[0], offset[0], landmarks[0], threshold)
            if part == Region.whole(blob.shape):
                shown.append(faces)
                continue
            corner = np.array([part.left, part.top], np.float32)
            boxes = faces.boxes + np.pad(corner, (0, 2))
            moved = Detections(boxes, faces.landmarks + corner, faces.confidence)
            shown.append(moved.take(np.flatnonzero(part.shows(boxes, blob.shape))))
        every = shown[0] if len(shown) == 1 else Detections.concat(shown)
        selected = every.take(suppressed(every.boxes, self.overlap))
        xy = np.float32(1) / zoom
        boxes = selected.boxes * np.concatenate([xy, xy])
        return Detections(boxes, selected.landmarks * xy, selected.confidence)


_CLEAR_PX = 24
"""Height in the network's input from which on a face is read at the first of two sizes."""

_RELIABLE_PX = 18
"""Shorter side in the network's input of the smallest faces that are searched for."""

_SMALL_FACE_PX, _USUAL_LIMIT, _LIMIT = 40, 640, 2048
"""Shorter side of the smallest faces unless another is chosen, in the picture's pixels, and the
largest input for them; the largest of all, which takes a gigabyte."""


def search_sizes(longer_side: int, min_face_px: float = 0.0) -> tuple[int, ...]:
    """Choose the sizes at which a picture is searched.

    The first is `usual_size`. If faces of interest are too small in it, there is a second one that
    shows the smallest of them 18 pixels wide, or as wide as 2,048 pixels of the longer side can.

    Args:
        longer_side: Pixels of the picture's longer side.
        min_face_px: Shorter side of the smallest faces to be found, in pixels of the picture;
            0 for 40, and no size above 640.

    Returns:
        One or two multiples of 32, rising.

    Examples:
        >>> search_sizes(640), search_sizes(1280), search_sizes(3840)
        ((320,), (320, 576), (640,))
        >>> search_sizes(1280, min_face_px=20), search_sizes(1280, min_face_px=200)
        ((320, 1152), (320,))
    """
    usual = usual_size(longer_side)
    cells = _RELIABLE_PX * longer_side / (min_face_px or _SMALL_FACE_PX) / MULTIPLE
    fine = min(int(np.ceil(cells)) * MULTIPLE, _LIMIT if min_face_px else _USUAL_LIMIT)
    return (usual, fine) if fine > usual else (usual,)


def usual_size(longer_side: int) -> int:
    """Choose the size at which a picture is searched for large faces: a quarter of its longer side.

    It is a multiple of 32, at least 320 and at most 640 pixels. So a face is found from about 68
    pixels of height up in a full HD frame, in smaller frames from 5 % of the longer side. A
    quarter loses no face whose 112-pixel crop is worth having.

    Examples:
        >>> usual_size(640), usual_size(1920), usual_size(3840)
        (320, 480, 640)
    """
    quarter = -(-longer_side // (4 * MULTIPLE)) * MULTIPLE
    return min(max(quarter, 320), 640)


def fitted(rgb: NDArray[np.uint8], size: int) -> tuple[FloatArray, FloatArray]:
    """Resize the longer side to `size` and pad with black at the right or bottom.

    Args:
        rgb: The picture, uint8, shape (height, width, 3).
        size: Pixels of its longer side, before H and W are padded to multiples of 32.

    Returns:
        The network's input (1, 3, H, W), and the factors that x and y were multiplied by, (2,).
    """
    height, width = rgb.shape[:2]
    factor = size / max(height, width)
    w, h = max(1, round(width * factor)), max(1, round(height * factor))
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    small = cv2.resize(rgb, (w, h), interpolation=how)
    blob = np.zeros((1, 3, -(-h // MULTIPLE) * MULTIPLE, -(-w // MULTIPLE) * MULTIPLE), "f4")
    for plane, channel in zip(blob[0], cv2.split(small), strict=True):
        plane[:h, :w] = channel
    return blob, np.array([w / width, h / height], np.float32)


def decoded(
    heat: FloatArray,
    scale: FloatArray,
    offset: FloatArray,
    landmarks: FloatArray,
    threshold: float,
) -> Detections:
    """Turn the network's maps into faces, in pixels of its input, the surest first.

    Args:
        heat: Shape (h, w).
        scale: Shape (2, h, w).
        offset: Shape (2, h, w).
        landmarks: Shape (10, h, w).
        threshold: Least confidence.

    Returns:
        A face for each cell of at least that confidence, so that several may be of one person.
    """
    (cells,) = (heat >= threshold).ravel().nonzero()
    if not len(cells):
        return NO_FACES
    cells = cells[(-heat.ravel()[cells]).argsort(kind="stable")]
    confidence, positions = heat.ravel()[cells], np.empty((len(cells), 2), np.float32)
    positions[:, 1], positions[:, 0] = np.divmod(cells, heat.shape[1])
    scale, offset, landmarks = (
        each.reshape(len(each), -1).take(cells, axis=1).T for each in (scale, offset, landmarks)
    )
    # the maps hold (y, x); reversed, they are (x, y) like everything here
    size = _STRIDE * np.exp(scale[:, ::-1])
    centre = _STRIDE * (positions + offset[:, ::-1] + np.float32(0.5))
    corner = centre - size / 2
    fractions = landmarks.reshape(-1, 5, 2)[:, :, ::-1]
    points = corner[:, None] + fractions * size[:, None]
    return Detections(np.concatenate([corner, size], axis=1), points, confidence)


def alignable(faces: Detections) -> Detections:
    """Select the detections whose landmarks are distinct points; noise can give others."""
    spread = np.ptp(faces.landmarks, axis=1).max(axis=1) if len(faces) else np.empty(0)
    distinct = spread > _LEAST_SPREAD_PX  # False for NaN as well
    return faces if distinct.all() else faces.take(np.flatnonzero(distinct))


def suppressed(boxes: FloatArray, overlap: float) -> NDArray[np.intp]:
    """Select one box of those that overlap (non-maximum suppression).

    Args:
        boxes: x, y, width, height, the surest first, shape (N, 4).
        overlap: Largest intersection over union with a surer selected box.

    Returns:
        Ascending numbers of the selected boxes.

    Examples:
        >>> boxes = np.array([[0, 0, 10, 10], [1, 0, 10, 10], [20, 0, 10, 10]], np.float32)
        >>> suppressed(boxes, 0.3).tolist()
        [0, 2]
    """
    selected: list[int] = []
    rest = np.arange(len(boxes))
    while len(rest):
        best, rest = rest[:1], rest[1:]
        selected.append(int(best[0]))
        if len(rest):
            rest = rest[iou(boxes[best], boxes[rest])[0] <= overlap]
    return np.asarray(selected, np.intp)


def iou(one: FloatArray, other: FloatArray) -> FloatArray:
    """Compute the intersection over union of every pair of boxes.

    Args:
        one: x, y, width, height, shape (N, 4).
        other: Likewise, shape (M, 4).

    Returns:
        Shape (N, M), in [0, 1].

    Examples:
        >>> iou(np.array([[0.0, 0.0, 2.0, 2.0]]), np.array([[0.0, 0.0, 2.0, 1.0]])).tolist()
        [[0.5]]
    """
    low = np.maximum(one[:, None, :2], other[None, :, :2])
    high = np.minimum((one[:, :2] + one[:, 2:])[:, None], (other[:, :2] + other[:, 2:])[None])
    sides = np.maximum(high - low, 0)
    shared = sides[..., 0] * sides[..., 1]
    area = (one[:, 2] * one[:, 3])[:, None] + (other[:, 2] * other[:, 3])[None]
    result: FloatArray = shared / np.maximum(area - shared, np.float32(1e-9))
    return result
