"""Parts of a picture: on the network's grid, around every box, no larger than needed."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from triaffect.faces.detection import MULTIPLE, Region, regions

SHAPE = (1, 3, 192, 320)
BOX = st.tuples(
    st.floats(-30, 320), st.floats(-30, 192), st.floats(1, 250), st.floats(1, 250)
)  # fmt: skip


@given(st.lists(BOX, min_size=1, max_size=6))
def test_every_box_is_shown_on_the_grid(boxes):
    boxes = np.array(boxes, np.float32)
    parts = regions(boxes, SHAPE)
    for part in parts:
        assert 0 <= part.left < part.right <= 320
        assert 0 <= part.top < part.bottom <= 192
        assert not np.any(np.array([part.left, part.top, part.right, part.bottom]) % MULTIPLE)
    assert np.any([part.shows(boxes, SHAPE) for part in parts], axis=0).all()
    assert sum(part.area for part in parts) <= 320 * 192


def test_a_small_face_costs_little_and_a_large_one_the_whole():
    (part,) = regions(np.array([[150, 80, 20, 26]], np.float32), SHAPE)
    assert part.area <= 128 * 128
    assert regions(np.array([[60, 10, 180, 170]], np.float32), SHAPE) == [Region.whole(SHAPE)]


def test_neighbours_share_a_part_and_others_do_not():
    side_by_side = np.array([[100, 80, 30, 30], [135, 80, 30, 30]], np.float32)
    assert len(regions(side_by_side, SHAPE)) == 1
    apart = np.array([[10, 10, 20, 20], [280, 150, 20, 20]], np.float32)
    assert len(regions(apart, SHAPE)) == 2


def test_what_the_part_cuts_off_is_not_shown_but_what_the_picture_does_is():
    part = Region(0, 64, 96, 128)
    boxes = np.array([[10, 70, 40, 40], [-20, 70, 40, 40], [80, 70, 40, 40]], np.float32)
    assert part.shows(boxes, SHAPE).tolist() == [True, True, False]
    assert Region(224, 64, 320, 192).shows(np.array([[300, 170, 40, 40]]), SHAPE).all()


def test_a_part_is_cut_out_where_it_says():
    blob = np.arange(192 * 320).reshape(1, 1, 192, 320)
    assert Region(32, 64, 96, 128).of(blob)[0, 0, 0, 0] == 64 * 320 + 32
    assert Region.whole(SHAPE).of(blob) is not None
    assert Region.whole(SHAPE).area == 192 * 320
