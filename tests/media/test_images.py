"""Frames from a folder of pictures and from a program."""

import numpy as np
import pytest
import skimage.io

from triaffect.errors import MediaError
from triaffect.media.images import ArrayFrames, ImageFrames


def gray(level, size=(8, 12)):
    return np.full((*size, 3), level, np.uint8)


def test_pictures_become_frames_in_natural_order(tmp_path):
    for name, level in (("f10.png", 30), ("f9.png", 20), ("f1.png", 10)):
        skimage.io.imsave(tmp_path / name, gray(level), check_contrast=False)
    frames = list(footage := ImageFrames(tmp_path, 4.0))
    assert [(f.index, f.time_s, int(f.rgb[0, 0, 0])) for f in frames] == [
        *((0, 0.0, 10), (1, 0.25, 20), (2, 0.5, 30))
    ]
    assert footage.problem is None


def test_a_broken_picture_leaves_its_number_out_and_is_told(tmp_path):
    for number in (0, 2, 3):
        skimage.io.imsave(tmp_path / f"{number}.png", gray(9), check_contrast=False)
    (tmp_path / "1.png").write_bytes(b"nothing")
    footage = ImageFrames(tmp_path, 10.0)
    assert [frame.index for frame in footage] == [0, 2, 3]
    assert "1 pictures cannot be read" in footage.problem
    assert "1.png" in footage.problem


def test_pictures_none_of_which_can_be_read_are_an_error(tmp_path):
    with pytest.raises(MediaError, match="none in it"):
        ImageFrames(tmp_path, 10.0)
    (tmp_path / "1.png").write_bytes(b"nothing")
    with pytest.raises(MediaError, match=r"1\.png"):
        list(ImageFrames(tmp_path, 10.0))


def test_given_frames_are_numbered_and_keep_their_times():
    given = [(0.5, gray(1)), (0.75, gray(2)[:, ::-1])]
    frames = list(ArrayFrames(given))
    assert [(frame.index, frame.time_s) for frame in frames] == [(0, 0.5), (1, 0.75)]
    assert frames[1].rgb.flags.c_contiguous


@pytest.mark.parametrize(
    ("frames", "words"),
    [
        ([], "at least one frame"),
        ([(0.0, gray(1)), (0.0, gray(1))], "frame 1: expected a time later than 0 s"),
        ([(float("nan"), gray(1))], "got nan"),
        ([(0.0, gray(1).astype(np.float32))], "float32"),
        ([(0.0, gray(1)[..., 0])], r"shape \(8, 12\)"),
        ([(0.0, gray(1)[:0])], r"shape \(0, 12, 3\)"),
    ],
)
def test_frames_that_are_not_as_said_are_refused(frames, words):
    with pytest.raises(MediaError, match=words):
        list(ArrayFrames(frames))
