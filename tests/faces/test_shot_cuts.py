"""Cuts are found, and what only looks like one is not."""

import cv2
import numpy as np
import pytest
import skimage.data

from triaffect.faces.shot_cuts import CutFinder


def shots():
    """Three shots in colours that differ little, the first and second of the same scene."""
    portrait = cv2.resize(skimage.data.astronaut(), (320, 240))
    closer = cv2.resize(skimage.data.astronaut()[:300, 60:460], (320, 240))
    return portrait, closer, cv2.resize(skimage.data.coffee(), (320, 240))


def moved(picture, right, down=0.0, turn=0.0):
    height, width = picture.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), turn, 1.0)
    matrix[:, 2] += [right * width, down * height]
    return cv2.warpAffine(picture, matrix, (width, height), borderMode=cv2.BORDER_REFLECT)


def cuts_of(frames, rate=25):
    finder = CutFinder()
    return [k for k, frame in enumerate(frames) if finder(frame, k / rate)]


@pytest.mark.parametrize("rate", [5, 25, 60])
def test_every_cut_is_found_at_its_frame(rate):
    random = np.random.default_rng(0)
    frames = []
    for shot in (*shots(), shots()[0]):
        noise = random.normal(0, 4, (12, *shot.shape))
        frames += [np.clip(shot + each, 0, 255).astype(np.uint8) for each in noise]
    assert cuts_of(frames, rate) == [12, 24, 36]


def test_one_picture_for_a_frame_each_is_all_cuts():
    assert cuts_of([shots()[k % 2 * 2] for k in range(6)]) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("size", [0.01, 0.03, 0.05])
def test_a_shaking_camera_is_no_cut(size):
    random = np.random.default_rng(1)
    for shot in shots():
        frames = [
            moved(shot, *random.uniform(-size, size, 2), random.uniform(-2, 2)) for _ in range(30)
        ]
        assert cuts_of(frames) == []


@pytest.mark.parametrize("pace", [0.01, 0.03, 0.06])
def test_a_pan_is_no_cut(pace):
    wide = np.concatenate([shots()[0], shots()[0][:, ::-1]] * 2, axis=1)
    frames = [wide[:, start : start + 240] for start in range(0, 800, round(240 * pace))]
    assert cuts_of(frames) == []


@pytest.mark.parametrize(("gain", "lift"), [(1.3, 30), (1.8, 80), (3.0, 0), (0.4, 0), (0.0, 0)])
@pytest.mark.parametrize("length", [1, 2, 4])
def test_a_flash_or_a_dark_moment_is_no_cut(gain, lift, length):
    for shot in shots():
        other = np.clip(shot * gain + lift, 0, 255).astype(np.uint8)
        frames = [other if 8 <= k < 8 + length else shot for k in range(20)]
        assert cuts_of(frames) == []


def test_light_that_stays_is_no_cut_for_long():
    """Whether the lamp that is switched on counts or not: after it, nothing does."""
    shot = shots()[0]
    bright = np.clip(shot * 1.4 + 30.0, 0, 255).astype(np.uint8)
    assert len(cuts_of([shot] * 10 + [bright] * 20)) <= 1


def test_a_black_moment_between_two_shots_is_one_cut():
    one, _, other = shots()
    assert cuts_of([one] * 8 + [np.zeros_like(one)] * 4 + [other] * 8) == [12]


def test_size_and_brightness_do_not_matter():
    one, _, other = shots()
    large = [cv2.resize(each, (1280, 960)) for each in (one, other)]
    dim = [(each * 0.3).astype(np.uint8) for each in (one, other)]
    for first, second in (large, dim):
        assert cuts_of([first] * 5 + [second] * 5) == [5]


def test_the_size_of_the_picture_may_change():
    one = shots()[0]
    assert cuts_of([one] * 5 + [cv2.resize(one, (160, 120))] * 5) == []
