"""Frames to aligned, tracked faces."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triaffect.io.exports import lazy_exports

if TYPE_CHECKING:
    from triaffect.faces.alignment import align, align_all
    from triaffect.faces.detection import CenterFace, Detections, FaceDetector, open_detector
    from triaffect.faces.quality import sharpness
    from triaffect.faces.shot_cuts import CutFinder
    from triaffect.faces.stream import FaceStream, FrameFaces
    from triaffect.faces.tracking import FaceFollower, Tracker

__all__ = [
    "CenterFace",
    "CutFinder",
    "Detections",
    "FaceDetector",
    "FaceFollower",
    "FaceStream",
    "FrameFaces",
    "Tracker",
    "align",
    "align_all",
    "open_detector",
    "sharpness",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "alignment": ["align", "align_all"],
        "detection": ["CenterFace", "Detections", "FaceDetector", "open_detector"],
        "quality": ["sharpness"],
        "shot_cuts": ["CutFinder"],
        "stream": ["FaceStream", "FrameFaces"],
        "tracking": ["FaceFollower", "Tracker"],
    },
)
