"""A face held still gets one answer: a picture, a video's first frame, the same after ten seconds.

    python benchmarks/check_held_still.py default DATA/faces/lfw --pictures 30

Of each picture (the first so many by name in which a face is found) a video of ten seconds at five
frames a second is made that shows nothing else. Its first row and its last are compared with the
picture's: valence and arousal may differ by 0.02, the probability of a unit by 0.05. The video is
compressed as any other, so what is compared is what a user gets; with ``--raw`` the frames are
handed over as they are. The program ends with 1 if a difference is too large.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import skimage.io
from in_memory import DEFAULT
from numpy.typing import NDArray

import triaffect
from triaffect.errors import TriaffectError
from triaffect.io.atomic import write_json
from triaffect.media.writer import write_video
from triaffect.tasks.action_units import ACTION_UNITS

SECONDS, RATE = 10, 5
LIMITS = {"values": 0.02, "units": 0.05}
COLUMNS = {"values": ["valence", "arousal"], "units": list(ACTION_UNITS.columns)}
Pixels = NDArray[np.uint8]


def even(rgb: Pixels) -> Pixels:
    """The picture without a last odd row and column, which video codecs do not take."""
    height, width = (side // 2 * 2 for side in rgb.shape[:2])
    return np.ascontiguousarray(rgb[:height, :width])


def largest_face(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the face that is largest in the first frame; none where no face is."""
    first = table[table["frame"] == table["frame"].iloc[0]]
    area = (first["box_w"] * first["box_h"]).fillna(0)
    if not area.max():
        return table.iloc[:0]
    return table[table["face_id"] == first.loc[area.idxmax(), "face_id"]]


def held_rows(model: triaffect.Predictor, rgb: Pixels, *, raw: bool) -> pd.DataFrame:
    """Rows of the largest face of a video that shows one picture for ten seconds."""
    frames = [rgb] * (SECONDS * RATE + 1)
    if raw:
        return largest_face(model.predict((k / RATE, each) for k, each in enumerate(frames)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "held.mp4")
        write_video(path, iter(frames), RATE, None)
        return largest_face(model.predict(path))


def compare(still: pd.DataFrame, video: pd.DataFrame) -> dict[str, float]:
    """How far the first row and the last of a video are from a picture's, by kind of output."""
    result = {}
    for kind, columns in COLUMNS.items():
        own = still[columns].to_numpy(float)[0]
        for name, row in (("first", 0), ("last", -1)):
            apart = np.abs(video[columns].to_numpy(float)[row] - own)
            result[f"{kind}_{name}"] = float(np.nanmax(apart, initial=0.0))
    return result


def differences(
    model: triaffect.Predictor, folder: Path, count: int, *, raw: bool
) -> Iterator[dict[str, Any]]:
    """Compare the first so many pictures of a folder in which a face is found."""
    compared = 0
    for path in sorted(folder.rglob("*.jpg")):
        if compared == count:
            return
        rgb = even(skimage.io.imread(path)[..., :3])
        still = largest_face(model.predict(rgb))
        if still.empty:
            continue
        video = held_rows(model, rgb, raw=raw)
        if video.empty:
            print(f"{path.name}: the video shows no face where the picture does")
            continue
        compared += 1
        yield {"clip": path.name, **compare(still, video)}


def main() -> None:
    """Compare, print the largest and mean differences, and end with 1 if one is too large."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="model folder or run, or default")
    parser.add_argument("folder", type=Path, help="a folder of .jpg pictures of faces")
    parser.add_argument("--pictures", type=int, default=30)
    parser.add_argument("--raw", action="store_true", help="frames as they are, not compressed")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    model = triaffect.load(None if arguments.model == DEFAULT else arguments.model)
    rows = list(differences(model, arguments.folder, arguments.pictures, raw=arguments.raw))
    table = pd.DataFrame(rows)
    if table.empty:
        raise SystemExit(f"expected pictures of faces, got none: {arguments.folder}")
    over = 0
    for name in table.columns[1:]:
        limit = LIMITS[name.split("_", maxsplit=1)[0]]
        wrong = int((table[name] > limit).sum())
        over += wrong
        worst = table.loc[table[name].idxmax(), "clip"]
        print(
            f"{name:13} mean {table[name].mean():.4f}  largest {table[name].max():.4f} ({worst})"
            f"  over {limit:g}: {wrong} of {len(table)}"
        )
    if arguments.json:
        write_json(arguments.json, {"model": arguments.model, "pictures": rows})
    raise SystemExit(1 if over else 0)


if __name__ == "__main__":
    try:
        main()
    except (TriaffectError, OSError) as error:
        raise SystemExit(str(error)) from error
