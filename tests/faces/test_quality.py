"""Sharpness falls with blur, and does not depend on the light."""

import cv2
import numpy as np
import skimage.data

from triaffect.faces.alignment import align
from triaffect.faces.detection import CenterFace
from triaffect.faces.quality import sharpness


def face(picture):
    return align(picture, CenterFace()(picture).landmarks[0])


def test_blur_lowers_it_step_by_step():
    crop = face(skimage.data.astronaut())
    blurred = [crop, *(cv2.GaussianBlur(crop, (0, 0), sigma) for sigma in (0.7, 1.5, 3, 6))]
    values = sharpness(np.stack(blurred))
    assert (np.diff(values) < -0.2).all()


def test_a_small_face_is_less_sharp():
    large = skimage.data.astronaut()
    small = cv2.resize(large, (160, 160), interpolation=cv2.INTER_AREA)
    one, other = sharpness(np.stack([face(large), face(small)]))
    assert other < one - 1


def test_light_and_contrast_do_not_matter():
    crop = face(skimage.data.astronaut())
    dim = np.round(crop * 0.6 + 40).astype(np.uint8)
    one, other = sharpness(np.stack([crop, dim]))
    assert abs(one - other) < 0.1


def test_one_gray_is_a_number_and_nothing_is_nothing():
    assert np.isfinite(sharpness(np.full((1, 112, 112, 3), 90, np.uint8))).all()
    assert sharpness(np.empty((0, 112, 112, 3), np.uint8)).shape == (0,)
