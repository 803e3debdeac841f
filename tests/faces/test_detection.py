"""Faces are found, the same ones each time, at any size and at the edge."""

import subprocess
import sys

import cv2
import numpy as np
import pytest
import skimage.data
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.shared import SHARED, needs_shared
from triaffect.faces.detection import (
    CenterFace,
    Detections,
    decoded,
    iou,
    search_sizes,
    suppressed,
    usual_size,
)
from triaffect.faces.tracking import Tracker
from triaffect.media.probe import read_image
from triaffect.media.video import VideoFrames
from triaffect.synthetic.portrait import render_portrait


@pytest.fixture(scope="module")
def detector():
    return CenterFace()


@pytest.fixture(scope="module")
def portrait():
    return skimage.data.astronaut()


EYES_NOSE_MOUTH = np.array([[206, 102], [247, 105], [225, 124], [207, 142], [241, 145]])
"""Where they are in the portrait, read off by eye."""


def test_finds_the_astronaut(detector, portrait):
    found = detector(portrait)
    assert len(found) == 1
    assert found.confidence[0] > 0.85
    assert np.abs(found.landmarks[0] - EYES_NOSE_MOUTH).max() < 6
    x, y, width, height = found.boxes[0]
    assert 170 < x < 195
    assert 50 < y < 75
    assert 75 < width < 100
    assert 100 < height < 125
    kinds = {found.boxes.dtype, found.landmarks.dtype, found.confidence.dtype}
    assert kinds == {np.dtype(np.float32)}


@pytest.mark.parametrize("side", [96, 200, 777, 2160, 3840])
def test_any_picture_size_in_its_own_pixels(detector, portrait, side):
    picture = cv2.resize(portrait, (side, side), interpolation=cv2.INTER_AREA)
    found = detector(picture)
    assert len(found) == 1
    error = np.abs(found.landmarks[0] * 512 / side - EYES_NOSE_MOUTH)
    assert error.max() < 8


def test_shape_is_kept(detector, portrait):
    tall, wide = np.full((1400, 512, 3), 90, np.uint8), np.full((512, 1400, 3), 90, np.uint8)
    tall[600:1112], wide[:, 600:1112] = portrait, portrait
    for picture, shift in ((tall, (0, 600)), (wide, (600, 0))):
        found = detector(picture)
        assert len(found) == 1
        assert np.abs(found.landmarks[0] - shift - EYES_NOSE_MOUTH).max() < 10


def test_small_face_in_a_large_frame(detector, portrait):
    frame = np.full((1080, 1920, 3), 90, np.uint8)
    frame[300:650, 1200:1550] = cv2.resize(portrait, (350, 350), interpolation=cv2.INTER_AREA)
    found = detector(frame)
    assert len(found) == 1
    assert found.boxes[0, 3] == pytest.approx(112 * 350 / 512, rel=0.15)


def test_face_over_the_edge(detector, portrait):
    found = detector(np.ascontiguousarray(portrait[:, 205:]))
    assert len(found) == 1
    assert abs(found.landmarks[0, 1, 0] - (247 - 205)) < 10


def test_several_faces_each_once(detector, portrait):
    three = np.concatenate([portrait, portrait[:, ::-1], portrait], axis=1)
    found = detector(np.ascontiguousarray(three))
    assert len(found) == 3
    centres = np.sort(found.boxes[:, 0] + found.boxes[:, 2] / 2)
    assert np.abs(centres - [226, 512 + 286, 1024 + 226]).max() < 10
    assert (np.diff(found.confidence) <= 0).all()


def test_left_is_the_viewers_left(detector, portrait):
    for picture in (portrait, np.ascontiguousarray(portrait[:, ::-1])):
        left_eye, right_eye, nose, left_mouth, right_mouth = detector(picture).landmarks[0]
        assert left_eye[0] < nose[0] < right_eye[0]
        assert left_mouth[0] < right_mouth[0]
        assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])


def test_no_face(detector):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (240, 320, 3), np.uint8)
    for picture in (noise, np.zeros((1, 1, 3), np.uint8), np.zeros((5, 900, 3), np.uint8)):
        found = detector(picture)
        assert len(found) == 0
        assert found.boxes.shape == (0, 4)
        assert found.landmarks.shape == (0, 5, 2)


def test_what_came_before_does_not_matter(detector, portrait):
    alone = CenterFace()(portrait)
    detector(np.zeros((100, 700, 3), np.uint8))
    after = detector(portrait)
    for name in ("boxes", "landmarks", "confidence"):
        np.testing.assert_array_equal(getattr(alone, name), getattr(after, name))


def test_size_is_a_multiple_of_32():
    for size in (0, -32, 100):
        with pytest.raises(ValueError, match="multiple of 32"):
            CenterFace(size)
    sides = (48, 640, 1280, 1920, 3840, 9000)
    assert [usual_size(s) for s in sides] == [320, 320, 320, 480, 640, 640]


def test_sizes_follow_the_picture_and_the_smallest_face():
    assert search_sizes(640) == (320,)
    assert search_sizes(1280) == search_sizes(1280, 40) == (320, 576)
    assert search_sizes(1920) == (480, 640)
    assert search_sizes(1920, 40) == (480, 864)
    assert search_sizes(3840) == search_sizes(3840, 200) == (640,)
    assert search_sizes(640, 20) == (320, 576)
    assert search_sizes(3840, 5) == (640, 2048)


@pytest.mark.parametrize("rows", [5, 6])
def test_every_person_of_a_gallery_is_found_also_near_where_they_were(detector, rows):
    """Rendered people in a grid of 1280x720, as a meeting shows them, faces about 59 or 48 wide."""
    height, width = 720 // rows, 1280 // rows
    tiles = [render_portrait(person, size=height - 4) for person in range(2, 6)]
    picture = np.full((720, 1280, 3), 40, np.uint8)
    for k in range(rows * rows):
        top, left = k // rows * height + 2, k % rows * width + (width - height) // 2
        picture[top : top + height - 4, left : left + height - 4] = tiles[k % len(tiles)]
    faces = detector(picture)
    assert len(faces) == rows * rows
    columns, lines = (
        ((faces.boxes[:, :2] + faces.boxes[:, 2:] / 2) // [width, height]).astype(int).T
    )
    assert len({*zip(columns, lines, strict=True)}) == rows * rows, "one in each tile"
    near = detector.around(picture, faces.boxes)
    assert len(near) == rows * rows
    assert iou(near.boxes, faces.boxes).max(axis=1).min() > 0.7
    assert len(CenterFace(320)(picture)) < rows * rows, "one size alone is not enough"


def test_a_large_face_looks_the_same_beside_small_ones(detector, portrait):
    """It is read at the first size, whatever else is searched for."""
    frame = np.full((720, 1280, 3), 90, np.uint8)
    frame[100:612, 100:612] = portrait
    alone = CenterFace(320)(frame)
    frame[300:480, 900:1080] = cv2.resize(portrait, (180, 180), interpolation=cv2.INTER_AREA)
    both = detector(frame)
    assert len(both) == 2
    large = both.take(np.argsort(-both.boxes[:, 2])[:1])
    np.testing.assert_allclose(large.boxes, alone.boxes, rtol=0.02)
    np.testing.assert_allclose(large.landmarks, alone.landmarks, rtol=0.02)
    for sweep in (False, True):
        again = detector.around(frame, both.boxes, sweep)
        assert len(again) == 2
        assert iou(again.boxes, both.boxes).max(axis=1).min() > 0.7


def test_threshold_decides(portrait):
    assert len(CenterFace(threshold=0.95)(portrait)) == 0
    assert len(CenterFace(threshold=0.9)(portrait)) == 1


def test_decoding_by_hand():
    heat, scale = np.zeros((4, 6), np.float32), np.zeros((2, 4, 6), np.float32)
    offset, landmarks = np.zeros((2, 4, 6), np.float32), np.zeros((10, 4, 6), np.float32)
    heat[2, 3], heat[0, 1] = 0.8, 0.9
    scale[:, 2, 3] = np.log([5, 2])  # 20 pixels high, 8 wide
    offset[:, 2, 3] = [0.25, -0.25]
    landmarks[:, 2, 3] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    found = decoded(heat, scale, offset, landmarks, 0.5)
    np.testing.assert_allclose(found.confidence, [0.9, 0.8])
    x, y = 4 * (3.5 - 0.25) - 4, 4 * (2.5 + 0.25) - 10
    np.testing.assert_allclose(found.boxes[1], [x, y, 8, 20], rtol=1e-6)
    np.testing.assert_allclose(found.landmarks[1, 0], [x + 0.2 * 8, y + 0.1 * 20], rtol=1e-6)
    np.testing.assert_allclose(found.landmarks[1, 4], [x + 8, y + 0.9 * 20], rtol=1e-6)


BOXES = arrays(
    np.float32,
    st.tuples(st.integers(0, 8), st.just(4)),
    elements=st.floats(1, 100, width=32),
)


@given(BOXES, st.sampled_from([0.0, 0.3, 0.7]))
def test_suppression_keeps_no_two_that_overlap_and_drops_no_other(boxes, overlap):
    kept = suppressed(boxes, overlap)
    shared = iou(boxes, boxes)
    for k, row in enumerate(kept):
        assert (shared[row, kept[:k]] <= overlap).all()
    for row in set(range(len(boxes))) - set(kept.tolist()):
        assert any(shared[row, k] > overlap for k in kept if k < row)


@given(BOXES)
def test_iou_is_symmetric_and_one_with_itself(boxes):
    shared = iou(boxes, boxes)
    np.testing.assert_allclose(shared, shared.T, rtol=1e-6)
    np.testing.assert_allclose(np.diag(shared), 1, rtol=1e-5)
    assert (shared >= 0).all()


def test_iou_by_hand():
    one = np.array([[0, 0, 2, 2]], np.float32)
    other = np.array([[1, 1, 2, 2], [2, 0, 1, 1], [0, 0, 2, 4]], np.float32)
    np.testing.assert_allclose(iou(one, other), [[1 / 7, 0, 1 / 2]], rtol=1e-6)


def test_nothing_heavy_is_imported():
    code = (
        "import sys, triaffect.faces.detection, triaffect.faces.tracking, triaffect.media.probe;"
        "heavy = {'torch', 'scipy', 'pandas', 'onnx'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@needs_shared
def test_real_clips_one_face_all_along(detector):
    """Every fifth frame of eight talking people: always found, always the same track."""
    for path in sorted((SHARED / "data" / "clips").iterdir()):
        video = VideoFrames(path)
        tracker, ids, counts = Tracker(), set(), []
        for frame in video:
            if frame.index % 5 == 0:
                found = detector(frame.rgb)
                counts.append(len(found))
                ids.update(tracker.update(frame.time_s, found).tolist())
        assert np.mean(np.array(counts) > 0) >= 0.98, path
        assert ids == {0}, path


@needs_shared
def test_real_portraits(detector):
    for path in sorted((SHARED / "data" / "london").glob("*.jpg"))[:8]:
        found: Detections = detector(read_image(path))
        assert len(found) == 1, path
        assert found.confidence[0] > 0.8
