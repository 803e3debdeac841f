"""Variants of the face detector beside the shipped one: python benchmarks/compare_detectors.py.

    python benchmarks/compare_detectors.py FACES LONDON CLIPS [--pictures N]

FACES holds ``omi``, ``lfw`` and ``scenes``. Variants: 8 bits (weights in 7, calibrated on pictures
that are not compared) of every convolution, of all but the first and the last, and of dense 1x1
ones alone; and the network as it is on smaller and larger inputs. Printed: processor time of a
search of 320x192, by turns; the share of the original's faces of at least 20 pixels that is found;
false faces in pictures of scenes; how far landmarks are, in per cent of the eye distance, beside
what a shift of the picture by 5 and 3 pixels changes.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from triaffect.faces.detection import INPUT, WEIGHTS, CenterFace, Detections, fitted, iou
from triaffect.media.probe import read_image
from triaffect.media.video import VideoFrames

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for `tools` beside this folder

from tools.quantize_network import quantize

SIZE, OTHER_SIZES, LEAST_PX, SAME, SEED, TURNS = 320, (160, 224, 256, 640), 20, 0.3, 0, 15
CALIBRATION, MARGIN, RIGHT, DOWN = 48, 0.5, 5, 3

Picture = NDArray[np.uint8]


class Variant(CenterFace):
    """CenterFace with another network, or another size.

    Args:
        network: The ONNX file.
        size: Of its input.
    """

    def __init__(self, network: bytes, size: int = SIZE) -> None:
        super().__init__(size)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(network, options)

    def search_s(self, picture: Picture) -> float:
        """Seconds of processor that the network takes for one picture."""
        blob, _ = fitted(picture, self.size or SIZE)
        start_s = time.process_time()
        self._session.run(None, {INPUT: blob})
        return time.process_time() - start_s


def pictures(folders: list[Path], count: int) -> Iterator[Picture]:
    """Pictures of folders by turns, drawn at random; faces cut out tightly get a margin."""
    for folder in folders:
        paths = sorted(folder.rglob("*.jpg"))
        for path in random.Random(SEED).sample(paths, min(count // len(folders), len(paths))):
            picture = read_image(path)
            side = round(MARGIN * max(picture.shape[:2]))
            yield cv2.copyMakeBorder(picture, side, side, side, side, cv2.BORDER_REPLICATE)


def frames(clips: Path, every: int = 8) -> Iterator[Picture]:
    """Every so many frames of videos."""
    for path in sorted(clips.iterdir()):
        yield from (each.rgb for each in VideoFrames(path) if each.index % every == every - 1)


def variants(network: bytes, calibration: list[Picture]) -> dict[str, Variant]:
    """The original first."""
    inputs = [{INPUT: fitted(each, SIZE)[0]} for each in calibration]
    layers = [n for n in onnx.load_from_string(network).graph.node if n.op_type == "Conv"]
    ends = {layers[0].output[0], *(n.output[0] for n in layers[-4:])}
    shapes = {
        each.name: tuple(each.dims) for each in onnx.load_from_string(network).graph.initializer
    }

    def is_end(node: onnx.NodeProto) -> bool:
        return not ends.isdisjoint(node.output)

    def is_not_dense(node: onnx.NodeProto) -> bool:
        return shapes.get(node.input[1], (0, 0, 0, 0))[2:] != (1, 1)

    eight: dict[str, Callable[[onnx.NodeProto], bool]] = {
        "8 bits": lambda node: False,
        "8 bits but for the ends": is_end,
        "8 bits of 1x1 alone": is_not_dense,
    }
    return {
        "as it is": Variant(network),
        **{name: Variant(quantize(network, inputs, ["Conv"], f)) for name, f in eight.items()},
        **{f"as it is, {size} pixels": Variant(network, size) for size in OTHER_SIZES},
    }


def partners(original: Detections, other: Detections) -> Iterator[tuple[int, int]]:
    """Pairs of the original's faces of at least `LEAST_PX` with another's, -1 where missed."""
    overlap = iou(original.boxes, other.boxes)
    for k in np.flatnonzero(original.boxes[:, 2:].min(axis=1) >= LEAST_PX).tolist():
        best = int(overlap[k].argmax()) if len(other) else -1
        yield k, best if best >= 0 and overlap[k, best] >= SAME else -1


def compare(
    detector: Variant, original: Variant, faces: list[Picture], scenes: list[Picture], moved: bool
) -> str:
    """Cells of the table: share found, false faces, landmarks; or of the original, shifted."""
    found, apart = [], []
    for picture in faces:
        shown = np.roll(picture, (DOWN, RIGHT), (0, 1)) if moved else picture
        one, other = original(picture), detector(shown)
        for k, j in partners(one, other):
            found.append(j >= 0)
            if j >= 0:
                points = other.landmarks[j] - (np.array([RIGHT, DOWN]) if moved else 0)
                eyes = np.hypot(*(one.landmarks[k, 0] - one.landmarks[k, 1]))
                apart.append(np.hypot(*(points - one.landmarks[k]).T).mean() / eyes)
    false = sum(len(detector(each)) for each in scenes)
    return (
        f"{100 * np.mean(found):.1f} % of {len(found)} | {false} | {100 * np.median(apart):.1f} %"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("faces", "london", "clips"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--pictures", type=int, default=120)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    folders = [arguments.faces / "omi", arguments.faces / "lfw", arguments.london]
    drawn = list(pictures(folders, 2 * arguments.pictures))
    scenes = [read_image(p) for p in sorted((arguments.faces / "scenes").glob("*.jpg"))]
    calibration = drawn[::2][:CALIBRATION] + scenes[: CALIBRATION // 4]
    every = variants((WEIGHTS / "detector.onnx").read_bytes(), calibration)
    original, wide = every["as it is"], np.full((360, 640, 3), 90, np.uint8)
    faces, scenes = drawn[1::2] + list(frames(arguments.clips)), scenes[CALIBRATION // 4 :]
    seconds = [{name: each.search_s(wide) for name, each in every.items()} for _ in range(TURNS)]
    print(f"{len(faces)} pictures with faces, {len(scenes)} scenes")
    print(
        "| variant | ms a search | faces found | false faces | landmarks |\n|---|---|---|---|---|"
    )
    for name, each in every.items():
        cost = 1000 * np.median([turn[name] for turn in seconds])
        print(f"| {name} | {cost:.1f} | {compare(each, original, faces, scenes, False)} |")
    print(f"| as it is, shifted | | {compare(original, original, faces, [], True)} |")


if __name__ == "__main__":
    main()
