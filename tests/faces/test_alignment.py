"""Any turned, scaled, shifted face comes out in the same place."""

import cv2
import numpy as np
import pytest
import skimage.data
from hypothesis import given
from hypothesis import strategies as st
from skimage.transform import SimilarityTransform

from triaffect.faces.alignment import TEMPLATE, align, align_all, similarity

ANGLE = st.floats(-np.pi, np.pi)
SCALE = st.floats(0.05, 20)
SHIFT = st.floats(-3000, 3000)
LANDMARKS = np.array([[206, 102], [247, 105], [225, 124], [207, 142], [241, 145]], np.float32)


def moved(points, angle, scale, dx, dy):
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return points @ turn.T + [dx, dy]


@given(ANGLE, SCALE, SHIFT, SHIFT)
def test_a_moved_template_is_moved_back(angle, scale, dx, dy):
    points = moved(TEMPLATE.astype(np.float64), angle, scale, dx, dy)
    matrix = similarity(points)
    back = points @ matrix[:, :2].T + matrix[:, 2]
    np.testing.assert_allclose(back, TEMPLATE, atol=1e-6)


@given(ANGLE, SCALE, SHIFT, SHIFT, st.integers(0, 1000))
def test_agrees_with_umeyama(angle, scale, dx, dy, seed):
    noisy = TEMPLATE + np.random.default_rng(seed).normal(0, 4, (5, 2))
    points = moved(noisy, angle, scale, dx, dy)
    reference = SimilarityTransform.from_estimate(points, TEMPLATE.astype(np.float64))
    np.testing.assert_allclose(similarity(points), reference.params[:2], rtol=1e-5, atol=1e-6)


@given(ANGLE, SCALE)
def test_never_mirrors(angle, scale):
    mirrored = moved(TEMPLATE * [-1, 1], angle, scale, 100, 50)
    assert np.linalg.det(similarity(mirrored)[:, :2]) > 0


@pytest.mark.parametrize("points", [np.ones((5, 2)), np.full((5, 2), np.nan)])
def test_landmarks_without_extent(points):
    with pytest.raises(ValueError, match="five distinct"):
        similarity(points.astype(np.float32))


@pytest.fixture(scope="module")
def portrait():
    return skimage.data.astronaut()


def test_crop_shows_the_face(portrait):
    crop = align(portrait, LANDMARKS)
    assert crop.shape == (112, 112, 3)
    assert crop.dtype == np.uint8
    eyes = crop[45:58, 30:82].mean()
    cheeks = crop[68:78, 35:45].mean()
    assert eyes < cheeks


@pytest.mark.parametrize("angle", [0.0, 0.5, -2.0])
@pytest.mark.parametrize("scale", [0.5, 1.0, 4.0, 7.5])
def test_the_same_face_turned_and_scaled_gives_the_same_crop(portrait, angle, scale):
    middle = np.array([256.0, 256.0])
    side = int(512 * scale * 1.5)
    shift = side / 2 - moved(middle[None], angle, scale, 0, 0)[0]
    points = moved(LANDMARKS.astype(np.float64), angle, scale, *shift)
    matrix = np.array(
        [
            [scale * np.cos(angle), -scale * np.sin(angle), shift[0]],
            [scale * np.sin(angle), scale * np.cos(angle), shift[1]],
        ]
    )
    picture = cv2.warpAffine(portrait, matrix, (side, side), flags=cv2.INTER_CUBIC)
    difference = align(picture, points).astype(float) - align(portrait, LANDMARKS)
    assert np.abs(difference).mean() < (3.5 if scale >= 1 else 6)


def test_fine_stripes_average_out_instead_of_aliasing():
    stripes = np.zeros((2400, 2400, 3), np.uint8)
    stripes[:, ::2] = 200
    crop = align(stripes, (TEMPLATE * 15 + 300).astype(np.float32))
    assert np.abs(crop[5:-5, 5:-5].astype(float) - 100).max() < 30


def test_large_and_small_pictures_agree_on_where_things_are():
    """A dot at the nose stays at the nose, whichever way the picture was shrunk."""
    for scale in (0.7, 1.9, 2.1, 9.3):
        points = (TEMPLATE * scale + 40).astype(np.float32)
        picture = np.zeros((int(112 * scale) + 80, int(112 * scale) + 80, 3), np.uint8)
        ys, xs = np.mgrid[: picture.shape[0], : picture.shape[1]]
        blob = np.exp(-((xs - points[2, 0]) ** 2 + (ys - points[2, 1]) ** 2) / (4 * scale) ** 2)
        picture[:] = (255 * blob).astype(np.uint8)[..., None]
        crop = align(picture, points)[..., 0].astype(float)
        y, x = np.mgrid[:112, :112]
        centre = np.array([(crop * x).sum(), (crop * y).sum()]) / crop.sum()
        np.testing.assert_allclose(centre, TEMPLATE[2], atol=0.06, err_msg=str(scale))


def test_outside_the_picture_its_edge_goes_on(portrait):
    corner = np.full((60, 60, 3), 77, np.uint8)
    assert (align(corner, TEMPLATE + 30) == 77).all()
    assert (align(np.full((600, 600, 3), 77, np.uint8), TEMPLATE * 20 - 900) == 77).all()


def test_other_sizes_show_the_same(portrait):
    small, large = align(portrait, LANDMARKS, 56), align(portrait, LANDMARKS, 224)
    shrunk = cv2.resize(large, (56, 56), interpolation=cv2.INTER_AREA)
    assert np.abs(small.astype(float) - shrunk).mean() < 6


def test_many_is_each(portrait):
    several = np.stack([LANDMARKS, LANDMARKS + 20, LANDMARKS * 0.8])
    crops = align_all(portrait, several)
    for crop, points in zip(crops, several, strict=True):
        np.testing.assert_array_equal(crop, align(portrait, points))
    assert align_all(portrait, several[:0]).shape == (0, 112, 112, 3)
