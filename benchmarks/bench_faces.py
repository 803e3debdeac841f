"""How fast and how surely faces are found: python benchmarks/bench_faces.py [FOLDER OF VIDEOS].

Compares onnxruntime with OpenCV's own network runner on one thread, then the former at several
sizes.
"""

import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from portrait_video import portrait

from triaffect.faces.detection import WEIGHTS, CenterFace
from triaffect.faces.tracking import Tracker
from triaffect.media.video import VideoFrames

CLIPS = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "clips"


class OpenCv(CenterFace):
    """OpenCV's network runner, which takes the shape of what it is given."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.network = cv2.dnn.readNetFromONNX(str(WEIGHTS / "detector.onnx"))

    def maps(self, blob: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Run the network."""
        self.network.setInput(blob)
        return list(self.network.forward(["heat", "scale", "offset", "landmarks"]))


def videos(folder: Path) -> dict[str, list[NDArray[np.uint8]]]:
    """All frames of all videos, so that decoding is not timed."""
    if not folder.is_dir():
        print(f"no folder {folder}: a rendered portrait instead")
        return {"portrait": [portrait()] * 50}
    return {p.name: [f.rgb for f in VideoFrames(p)] for p in sorted(folder.iterdir())}


def measure(detector: CenterFace, clips: Iterable[Sequence[NDArray[np.uint8]]]) -> str:
    """Frames per second, and the least share of frames with a face of any clip."""
    shares, tracks, seconds, frames = [], [], 0.0, 0
    for clip in clips:
        tracker, ids, found = Tracker(), set(), 0
        detector(clip[0])
        start = time.perf_counter()
        for index, rgb in enumerate(clip):
            faces = detector(rgb)
            ids.update(tracker.update(index / 25, faces).tolist())
            found += len(faces) > 0
        seconds += time.perf_counter() - start
        frames += len(clip)
        shares.append(found / len(clip))
        tracks.append(len(ids))
    return f"{frames / seconds:12.1f} {min(shares):11.3f} {max(tracks):10d}"


def main() -> None:
    cv2.setNumThreads(1)
    clips = videos(Path(sys.argv[1]) if len(sys.argv) > 1 else CLIPS).values()
    print(f"{'runner':26} {'size':>5} {'frames/s':>12} {'face share':>11} {'tracks':>10}")
    for runner in (CenterFace, OpenCv):
        print(f"{runner.__name__:26} {320:5d} {measure(runner(320), clips)}")
    for size in (128, 224, 480, 640):
        print(f"{'CenterFace':26} {size:5d} {measure(CenterFace(size), clips)}")


if __name__ == "__main__":
    main()
