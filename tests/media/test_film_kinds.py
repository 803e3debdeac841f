"""Films of odd kinds are read as players show them; what is doubtful is said."""

import numpy as np
import pytest

from tests.media.made import corners, quarters, write_aspect
from triaffect.media.frames_at import FramesAt
from triaffect.media.probe import probe

TURN = (0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)


@pytest.mark.parametrize("form", ["mp4", "mkv", "ts", "mov", "avi"])
@pytest.mark.parametrize(
    ("aspect", "matrix", "size"),
    [
        ((64, 45), None, (137, 64)),
        ((4, 3), None, (128, 64)),
        ((8, 9), None, (96, 72)),
        ((4, 3), TURN, (64, 128)),
    ],
)
def test_pixels_that_are_not_square(tmp_path, form, aspect, matrix, size):
    if matrix and form in {"avi", "ts", "mkv"}:
        pytest.skip("the form stores no turn")
    path = write_aspect(tmp_path / f"a.{form}", quarters(96, 64), aspect, matrix)
    media = probe(path)
    frames = list(media.frames())
    assert media.video is not None
    assert (media.video.info.width, media.video.info.height) == size
    assert {frame.rgb.shape for frame in frames} == {(size[1], size[0], 3)}
    assert corners(frames[0].rgb) == ([0, 1, 2, 3] if matrix is None else [2, 0, 3, 1])
    assert media.remark is None
    (still,) = FramesAt(path, [frames[2].time_s])
    assert np.abs(still.rgb.astype(int) - frames[2].rgb).max() < 8


@pytest.mark.parametrize("aspect", [(1, 9), (16, 1)])
def test_impossible_pixels_are_taken_as_square(tmp_path, aspect):
    media = probe(write_aspect(tmp_path / "a.mkv", quarters(96, 64), aspect))
    (rgb, *_) = (frame.rgb for frame in media.frames())
    assert rgb.shape == (64, 96, 3)
    assert media.remark == f"pixels of {aspect[0]}:{aspect[1]} are taken as square"
