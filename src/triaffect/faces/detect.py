"""Finding faces: the `FaceDetector` contract and CenterFace, which fulfils it.

CenterFace (Xu et al., 2019, arXiv:1911.03599) sees a face as a peak in a map. Contract of its
network: input float32 (1, 3, H, W), RGB in 0-255, H and W multiples of 32. Outputs at a
quarter of the size: heat (probability that a face's centre is here), scale (log height, log
width, in cells), offset (centre's y, x within the cell), landmarks (five times y, x as
fractions of the box).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from triaffect.faces.centerface import INPUT, any_size_model, centerface_file
from triaffect.faces.regions import MULTIPLE, Region, regions
from triaffect.types import FloatArray

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
        """Some of the faces, in the order asked for."""
        return Detections(self.boxes[rows], self.landmarks[rows], self.confidence[rows])

    @staticmethod
    def concat(parts: Sequence[Detections]) -> Detections:
        """The faces of all parts, the surest first."""
        every = Detections(
            np.concatenate([part.boxes for part in parts]),
            np.concatenate([part.landmarks for part in parts]),
            np.concatenate([part.confidence for part in parts]),
        )
        return every.take(np.argsort(-every.confidence, kind="stable"))


class FaceDetector(Protocol):
    """Finds faces in one picture; the same picture always gives the same faces."""

    def __call__(self, rgb: NDArray[np.uint8]) -> Detections:
        """Find the faces of an RGB picture, uint8, shape (height, width, 3)."""

    def around(self, rgb: NDArray[np.uint8], boxes: FloatArray) -> Detections:
        """Find those that are near boxes (N, 4): the same ones, and maybe others, for less."""


class CenterFace:
    """The CenterFace network on one CPU thread.

    Args:
        size: The picture's longer side is resized to this many pixels, a multiple of 32,
            its shape kept; None takes `usual_size`. Faces less than about 17 of these
            pixels high are missed, and so are some that fill the whole picture.
        threshold: Least confidence of a face.
        again: Least confidence of a face near where one was.
        overlap: Of two boxes with a larger intersection over union the surer one is kept.

    Raises:
        ModelError: The network's file is missing or is not the one this decoding fits.
    """

    def __init__(
        self,
        size: int | None = None,
        threshold: float = 0.5,
        again: float = 0.4,
        overlap: float = 0.3,
    ) -> None:
        if size is not None and (size % MULTIPLE or size <= 0):
            raise ValueError(f"a size that is a multiple of {MULTIPLE} expected, got {size}")
        self.size, self.threshold, self.again, self.overlap = size, threshold, again, overlap
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3  # it would warn of counters in the file left unused
        self._session = onnxruntime.InferenceSession(
            any_size_model(centerface_file()), options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, rgb: NDArray[np.uint8]) -> Detections:
        """Find the faces of an RGB picture, uint8, shape (height, width, 3)."""
        blob, zoom = self._fitted(rgb)
        return self._kept([self._within(blob, Region.whole(blob.shape), self.threshold)], zoom)

    def around(self, rgb: NDArray[np.uint8], boxes: FloatArray) -> Detections:
        """Find the faces near where some were, x, y, width, height in pixels, shape (N, 4).

        The network sees the same pixels, at the same size, as when it sees the whole picture,
        but only around the boxes (`triaffect.faces.regions`).
        """
        blob, zoom = self._fitted(rgb)
        near = regions(boxes * np.tile(zoom, 2), blob.shape)
        return self._kept([self._within(blob, region, self.again) for region in near], zoom)

    def _fitted(self, rgb: NDArray[np.uint8]) -> tuple[FloatArray, FloatArray]:
        return fitted(rgb, self.size or usual_size(max(rgb.shape[:2])))

    def _within(self, blob: FloatArray, region: Region, threshold: float) -> Detections:
        """Faces of a part of the network's input, in its pixels, that the part shows whole."""
        heat, scale, offset, landmarks = self.maps(np.ascontiguousarray(region.of(blob)))
        found = decoded(heat[0, 0], scale[0], offset[0], landmarks[0], threshold)
        corner = np.array([region.left, region.top], np.float32)
        boxes = found.boxes + np.pad(corner, (0, 2))
        moved = Detections(boxes, found.landmarks + corner, found.confidence)
        return moved.take(np.flatnonzero(region.shows(boxes, blob.shape)))

    def _kept(self, parts: Sequence[Detections], zoom: FloatArray) -> Detections:
        """One detection a face, in pixels of the picture."""
        found = Detections.concat(parts)
        kept = found.take(suppressed(found.boxes, self.overlap))
        xy = np.float32(1) / zoom
        return Detections(kept.boxes * np.tile(xy, 2), kept.landmarks * xy, kept.confidence)

    def maps(self, blob: FloatArray) -> list[FloatArray]:
        """Run the network: heat, scale, offset, landmarks as the module describes them."""
        maps: list[FloatArray] = self._session.run(None, {INPUT: blob})
        return maps


def usual_size(longer_side: int) -> int:
    """A quarter of a picture's longer side, but at least 320 and at most 640 pixels.

    So a face is found from about 68 pixels of height up in a full HD frame, in smaller frames
    from 5 % of the longer side. A quarter loses no face whose 112-pixel crop is worth having.
    """
    quarter = -(-longer_side // (4 * MULTIPLE)) * MULTIPLE
    return min(max(quarter, 320), 640)


def fitted(rgb: NDArray[np.uint8], size: int) -> tuple[FloatArray, FloatArray]:
    """Resize the longer side to `size` and pad with black at the right or bottom.

    Returns:
        The network's input (1, 3, H, W), and the factors that x and y were multiplied by, (2,).
    """
    height, width = rgb.shape[:2]
    factor = size / max(height, width)
    w, h = max(1, round(width * factor)), max(1, round(height * factor))
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    small = cv2.resize(rgb, (w, h), interpolation=how)
    blob = np.zeros((1, 3, -(-h // MULTIPLE) * MULTIPLE, -(-w // MULTIPLE) * MULTIPLE), "f4")
    blob[0, :, :h, :w] = small.transpose(2, 0, 1)
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
    """
    rows, columns = np.nonzero(heat >= threshold)
    confidence = heat[rows, columns]
    order = np.argsort(-confidence, kind="stable")
    rows, columns, confidence = rows[order], columns[order], confidence[order]
    cells = np.stack([columns, rows], axis=1).astype(np.float32)
    # the maps hold (y, x); reversed, they are (x, y) like everything here
    size = _STRIDE * np.exp(scale[::-1, rows, columns].T)
    centre = _STRIDE * (cells + offset[::-1, rows, columns].T + np.float32(0.5))
    corner = centre - size / 2
    fractions = landmarks[:, rows, columns].T.reshape(-1, 5, 2)[:, :, ::-1]
    points = corner[:, None] + fractions * size[:, None]
    return Detections(np.concatenate([corner, size], axis=1), points, confidence)


def alignable(found: Detections) -> Detections:
    """The detections whose landmarks are distinct points; noise can give others."""
    spread = np.ptp(found.landmarks, axis=1).max(axis=1) if len(found) else np.empty(0)
    return found.take(np.flatnonzero(spread > _LEAST_SPREAD_PX))  # False for NaN as well


def suppressed(boxes: FloatArray, overlap: float) -> NDArray[np.intp]:
    """Which boxes, surest first, no surer kept one overlaps by more than `overlap`."""
    kept: list[int] = []
    rest = np.arange(len(boxes))
    while len(rest):
        kept.append(int(rest[0]))
        rest = rest[1:][iou(boxes[rest[:1]], boxes[rest[1:]])[0] <= overlap]
    return np.asarray(kept, np.intp)


def iou(one: FloatArray, other: FloatArray) -> FloatArray:
    """Intersection over union of every pair of boxes.

    Args:
        one: x, y, width, height, shape (N, 4).
        other: Likewise, shape (M, 4).

    Returns:
        Shape (N, M), in [0, 1].
    """
    low = np.maximum(one[:, None, :2], other[None, :, :2])
    high = np.minimum((one[:, :2] + one[:, 2:])[:, None], (other[:, :2] + other[:, 2:])[None])
    shared = np.prod(np.clip(high - low, 0, None), axis=-1)
    area = np.prod(one[:, 2:], axis=-1)[:, None] + np.prod(other[:, 2:], axis=-1)[None]
    result: FloatArray = shared / np.maximum(area - shared, np.float32(1e-9))
    return result
