"""What following known faces changes: python benchmarks/check_detection_interval.py CLIPS.

Every clip is predicted as it is while the whole picture is searched every so many seconds, and
compared with searching all of every frame, row by row. The last line is what to hold that
against: every frame searched, without sound, and the picture shifted by a few pixels.

Printed of all rows, as median, 95 % and largest: the farthest of the five landmarks in per cent
of the face's size, valence and arousal, probabilities; then how often the expression is the same.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import triaffect
from triaffect.media.video import VideoFrames
from triaffect.prediction.predictor import Predictor

EVERY_S = (0.2, 0.4, 1.0)
RIGHT, DOWN = 5, 3
LANDMARKS = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")

Numbers = NDArray[np.float64]


def differences(whole: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """One row for each that both have: landmarks, valence and arousal, probabilities, same."""
    both = whole.merge(other, on=["frame", "face_id"], suffixes=("", "_other"))
    places = [f"{name}_{axis}" for name in LANDMARKS for axis in "xy"]
    said = [name for name in whole if name.startswith(("p_", "AU"))]

    def largest(names: list[str]) -> Numbers:
        others = [f"{name}_other" for name in names]
        # arousal has no value without a voice
        return np.nanmax(np.abs(both[names].to_numpy(float) - both[others].to_numpy(float)), axis=1)

    size = np.sqrt(both["box_w"] * both["box_h"])
    return pd.DataFrame(
        {
            "landmarks": 100 * largest(places) / size,
            "affect": largest(["valence", "arousal"]),
            "probabilities": largest(said),
            "same": both["expression"] == both["expression_other"],
        }
    )


def silent(predictor: Predictor, path: Path, right: int, down: int) -> pd.DataFrame:
    """A clip's table without its sound, its pictures shifted, its landmarks where they were."""
    pictures = (
        (each.time_s, np.roll(each.rgb, (down, right), (0, 1))) for each in VideoFrames(path)
    )
    table = pd.concat(predictor.stream(iter(pictures)), ignore_index=True)
    for name in LANDMARKS:
        table[f"{name}_x"] -= right
        table[f"{name}_y"] -= down
    return table


def told(name: str, found: list[pd.DataFrame], rows: int) -> Iterator[str]:
    """One line."""
    every = pd.concat(found)
    yield f"{name:28}"
    for column, digits in (("landmarks", 1), ("affect", 3), ("probabilities", 3)):
        values = every[column]
        three = (values.median(), values.quantile(0.95), values.max())
        yield f"  {column} " + ", ".join(f"{value:.{digits}f}" for value in three)
    yield f"  same {every['same'].mean():.4f}  rows {len(every)} of {rows}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", type=Path)
    clips = sorted(parser.parse_args().clips.iterdir())
    searching = triaffect.load().with_options(triaffect.Options(detection_interval_s=0))
    whole = [searching.predict(path) for path in clips]
    rows = sum(map(len, whole))
    for every_s in EVERY_S:
        predictor = searching.with_options(triaffect.Options(detection_interval_s=every_s))
        pairs = zip(whole, map(predictor.predict, clips), strict=True)
        print(*told(f"all every {every_s} s", [differences(*pair) for pair in pairs], rows), sep="")
    moved = [
        differences(silent(searching, path, 0, 0), silent(searching, path, RIGHT, DOWN))
        for path in clips
    ]
    print(*told(f"shifted by {RIGHT} and {DOWN} pixels", moved, rows), sep="")


if __name__ == "__main__":
    main()
