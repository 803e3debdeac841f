"""Head pose: turned heads of known angles, projected, and what it says of them."""

import numpy as np
import pytest
import skimage.data
from hypothesis import given
from hypothesis import strategies as st

from triaffect.faces.alignment import TEMPLATE
from triaffect.faces.detection import CenterFace
from triaffect.faces.head_pose import HEAD, head_pose


def rotation(yaw, pitch, roll):
    """Right, down and towards the viewer; pitch first, then yaw, then roll."""
    (cy, cp, cr), (sy, sp, sr) = (f(np.radians([yaw, pitch, roll])) for f in (np.cos, np.sin))
    about_down = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_right = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    in_picture = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return in_picture @ about_down @ about_right


def seen(angles, distance_mm=None):
    points = HEAD @ rotation(*angles).T
    scale = 2.0 if distance_mm is None else 2 * distance_mm / (distance_mm - points[:, 2:])
    return (points[:, :2] * scale + [320, 180]).astype(np.float32)[None]


@given(st.floats(-70, 70), st.floats(-50, 50), st.floats(-80, 80))
def test_angles_of_a_head_far_away_are_recovered(yaw, pitch, roll):
    np.testing.assert_allclose(
        head_pose(seen((yaw, pitch, roll)))[0], (yaw, pitch, roll), atol=0.05
    )


@given(st.floats(-40, 40), st.floats(-25, 25), st.floats(-30, 30))
def test_near_a_camera_they_are_still_about_right(yaw, pitch, roll):
    near = head_pose(seen((yaw, pitch, roll), distance_mm=600))[0]
    np.testing.assert_allclose(near, (yaw, pitch, roll), atol=8)


def test_signs_as_one_sees_them():
    straight = seen((0, 0, 0))
    for angles, point, axis, sign in (
        ((20, 0, 0), 2, 0, 1),  # the nose goes to the right side of the picture
        ((0, 20, 0), 2, 1, -1),  # up
        ((0, 0, 20), 1, 1, 1),  # the right eye goes down
    ):
        change = (seen(angles) - straight)[0, point, axis]
        assert change * sign > 5
        assert head_pose(seen(angles)).argmax() == angles.index(20)


def test_size_and_place_do_not_matter_and_a_mirror_turns_it():
    points = seen((25, -10, 5))
    pose = head_pose(points)
    np.testing.assert_allclose(head_pose(points * 0.1 + 7), pose, atol=1e-2)
    mirrored = (points * [-1, 1])[:, [1, 0, 2, 4, 3]]
    np.testing.assert_allclose(head_pose(mirrored), pose * [-1, 1, -1], atol=1e-2)


def test_a_portrait_is_roughly_frontal():
    found = CenterFace()(skimage.data.astronaut())
    assert np.abs(head_pose(found.landmarks)).max() < 20
    assert np.abs(head_pose(TEMPLATE[None])).max() < 10


def test_no_landmarks_no_pose():
    points = np.concatenate([seen((10, 0, 0)), np.full((1, 5, 2), np.nan, np.float32)])
    pose = head_pose(points)
    assert np.isnan(pose[1]).all()
    assert pose[0] == pytest.approx((10, 0, 0), abs=0.1)
    assert head_pose(np.empty((0, 5, 2), np.float32)).shape == (0, 3)


def test_points_that_coincide_still_give_numbers():
    assert np.isfinite(head_pose(np.ones((1, 5, 2), np.float32))).all()
