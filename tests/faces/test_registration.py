"""A face is followed by its gray levels as far as it looks as it did, and no further."""

import cv2
import numpy as np
import pytest
import skimage.data

from triaffect.faces.detection import Detections
from triaffect.faces.registration import FaceRegistration

BOX = np.array([[180, 70, 92, 124]], np.float32)
POINTS = np.array([[[201, 114], [239, 112], [223, 139], [208, 157], [240, 155]]], np.float32)
FACE = Detections(BOX, POINTS, np.array([0.9], np.float32))
"""Where the astronaut's face is in her picture."""


def moved(picture, angle=0.0, scale=1.0, right=0.0, down=0.0):
    """The picture turned and grown around the nose, and shifted; and the similarity, (2, 3)."""
    nose = tuple(map(float, POINTS[0, 2]))
    matrix = cv2.getRotationMatrix2D(nose, angle, scale)
    matrix[:, 2] += right, down
    size = picture.shape[1::-1]
    return cv2.warpAffine(picture, matrix, size, borderMode=cv2.BORDER_REPLICATE), matrix


@pytest.fixture(scope="module")
def astronaut():
    return skimage.data.astronaut()


@pytest.mark.parametrize("zoom", [0.4, 1.0, 2.0])
@pytest.mark.parametrize(
    "motion",
    [
        {"right": 0.3},
        {"right": 9, "down": -6},
        {"angle": 5},
        {"scale": 1.08},
        {"angle": -4, "scale": 0.95, "right": 4, "down": 3},
    ],
)
def test_a_motion_is_followed_to_a_fraction_of_a_pixel(astronaut, motion, zoom):
    """Landmarks within 1 % of the eye distance, the box with them, at every size of the face."""
    after, matrix = moved(astronaut, **motion)
    pictures = [
        cv2.resize(each, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA)
        for each in (astronaut, after)
    ]
    shift = (zoom - 1) / 2  # pixels are areas: the center of the first lies at half its width
    face = Detections(zoom * BOX, zoom * POINTS + shift, FACE.confidence)
    found = FaceRegistration(pictures[0], face).locate(pictures[1])
    expected = zoom * (POINTS[0] @ matrix[:, :2].T + matrix[:, 2]) + shift
    eyes = np.hypot(*(expected[0] - expected[1]))
    assert np.hypot(*(found.landmarks[0] - expected).T).max() < 0.01 * eyes
    growth = motion.get("scale", 1.0) * zoom
    assert found.boxes[0, 2:] == pytest.approx(growth * BOX[0, 2:], rel=0.01)
    assert found.confidence == FACE.confidence


def test_a_long_way_goes_step_by_step_without_drift(astronaut):
    registration = FaceRegistration(astronaut, FACE)
    for k in range(1, 41):
        right, down = 60 * np.sin(k / 8), 20 * np.sin(k / 5)
        found = registration.locate(moved(astronaut, right=right, down=down)[0])
        assert np.abs(found.landmarks - POINTS - (right, down)).max() < 0.3


def test_light_and_contrast_do_not_matter(astronaut):
    after = np.clip(0.6 * moved(astronaut, right=3)[0].astype(np.float32) + 60, 0, 255)
    found = FaceRegistration(astronaut, FACE).locate(after.astype(np.uint8))
    assert np.abs(found.landmarks - POINTS - (3, 0)).max() < 0.2


def hand(picture):
    picture[130:, 150:300] = (190, 140, 115)


def gone(picture):
    picture[:, :330] = np.linspace(60, 200, 330).astype(np.uint8)[:, None]


def somebody_else(picture):
    picture[60:210, 160:300] = cv2.rotate(picture[60:210, 160:300], cv2.ROTATE_180)


def dark(picture):
    picture[:] = 3


def far(picture):
    picture[:] = np.roll(picture, 90, axis=1)


@pytest.mark.parametrize("change", [hand, gone, somebody_else, dark, far])
def test_a_face_that_does_not_look_as_it_did_is_not_said_to_be_there(astronaut, change):
    after = astronaut.copy()
    change(after)
    registration = FaceRegistration(astronaut, FACE)
    assert registration.locate(after) is None
    assert registration.locate(astronaut) is not None, "it comes back"


def stripes(picture):
    picture[:] = np.linspace(0, 255, 512).astype(np.uint8)[None, :, None]


def gray(picture):
    picture[:] = 128


@pytest.mark.parametrize("change", [stripes, gray])
def test_what_does_not_tell_where_it_is_cannot_be_followed(astronaut, change):
    picture = astronaut.copy()
    change(picture)
    assert FaceRegistration(picture, FACE).locate(picture) is None


def test_outside_the_picture_is_nothing_to_follow(astronaut):
    outside = Detections(BOX + np.float32([[900, 0, 0, 0]]), POINTS + 900, FACE.confidence)
    assert FaceRegistration(astronaut, outside).locate(astronaut) is None
