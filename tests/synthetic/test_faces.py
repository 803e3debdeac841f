"""Rendered faces: found by a face detector, aligned as others align, moving as anatomy says."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from triaffect.faces.alignment import align
from triaffect.faces.detection import CenterFace
from triaffect.synthetic.actor import Actor
from triaffect.synthetic.emotion import PROTOTYPES
from triaffect.synthetic.head import Shape
from triaffect.synthetic.movement import ACTIONS, LABELLED
from triaffect.synthetic.people import RenderedPerson, make_person
from triaffect.synthetic.portrait import render_portrait
from triaffect.synthetic.shot import Instant, Shot
from triaffect.synthetic.view import View

STRAIGHT = View(yaw=0, pitch=0, roll=0, x=160, y=120, scale=0.6)


def person(seed: int = 0) -> RenderedPerson:
    return replace(make_person(np.random.default_rng(seed)), shape=Shape(), glasses=False)


@pytest.fixture(scope="module")
def actor() -> Actor:
    return Actor(person(), np.random.default_rng(0))


def shot(seed: int) -> tuple[Shot, np.random.Generator]:
    random = np.random.default_rng(seed)
    return Shot([make_person(random)], random), random


def picture(seed: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    scene, random = shot(seed)
    turn = replace(
        scene.seats[0],
        yaw=random.normal(0, 0.25), pitch=random.normal(0.03, 0.07), roll=random.normal(0, 0.06),
    )  # fmt: skip
    face = PROTOTYPES[int(random.integers(7))]
    frame, marks = scene.frame([Instant(face, (0, 0), turn)], random)
    return frame, marks[0]


@pytest.mark.slow
def test_a_face_detector_finds_at_least_95_percent_and_their_landmarks() -> None:
    detect = CenterFace(320)
    found, apart = 0, []
    for seed in range(40):
        frame, marks = picture(seed)
        faces = detect(frame)
        found += len(faces) == 1
        if len(faces):
            apart.append(np.abs(faces.landmarks[0] - marks).mean())
    assert found >= 38
    assert np.median(apart) < 2.5


def move(actor: Actor, action: int, x: float, y: float) -> NDArray[np.float32]:
    """How a full action moves the skin that rests at (x, y), mm."""
    rest = actor.head.rest
    far = 1e6 * (actor.head.front < 0.9)
    distance = ((rest[..., :2] - [x, y]) ** 2).sum(-1) + far
    at = np.unravel_index(distance.argmin(), far.shape)
    return actor.surface({action: 1.0}, (0, 0)).points[at] - rest[at]


@pytest.mark.parametrize(
    ("action", "place", "axis", "least"),
    [
        (1, (12, 22), 1, 4.0),
        (2, (42, 22), 1, 4.0),
        (4, (14, 18), 1, -4.0),
        (6, (38, -26), 1, 3.0),
        (10, (12, -52), 1, 2.0),
        (12, (26, -67), 1, 4.0),
        (12, (26, -67), 0, 4.0),
        (15, (26, -70), 1, -3.0),
        (23, (24, -67), 0, -2.0),
        (24, (8, -59), 2, 1.0),
        (26, (0, -104), 1, -9.0),
        (17, (0, -98), 1, 3.0),
        (20, (28, -70), 0, 3.0),
    ],
)
def test_an_action_moves_its_part_of_the_face(
    actor: Actor, action: int, place: tuple[float, float], axis: int, least: float
) -> None:
    for side in (-1, 1):
        moved = move(actor, action, side * place[0], place[1])[axis]
        wanted = least * side if axis == 0 and place[0] else least
        assert moved * np.sign(wanted) >= abs(wanted)


@pytest.mark.parametrize("action", LABELLED)
def test_every_labelled_action_shows_in_the_aligned_face(action: int) -> None:
    scene, _ = shot(11)
    still = replace(scene.seats[0], yaw=0.1)
    start = {25: 1.0} if action == 26 else {}
    crops = []
    for face in (start, {**start, action: 1.0}):
        frame, marks = scene.frame([Instant(face, (0, 0), still)], np.random.default_rng(0))
        crops.append(align(frame, marks[0]).astype(float))
    changed = np.abs(crops[1] - crops[0]).max(-1) > 12
    assert changed.sum() > 25


def test_closed_eyes_hide_the_eyeballs(actor: Actor) -> None:
    wet = [float((actor.surface({43: shut}, (0, 0)).gloss > 1).sum()) for shut in (0.0, 0.5, 1.0)]
    assert wet[0] > wet[1] > wet[2]
    assert wet[2] == 0


def test_raised_lids_show_more_of_the_eye_and_tightened_ones_less(actor: Actor) -> None:
    shown = {
        action: int((actor.surface({action: 1.0}, (0, 0)).gloss > 1).sum()) for action in (5, 7)
    }
    rest = int((actor.surface({}, (0, 0)).gloss > 1).sum())
    assert shown[5] > rest > shown[7]


def test_every_action_is_known_once() -> None:
    assert len(set(ACTIONS)) == len(ACTIONS)
    assert ACTIONS[: len(LABELLED)] == LABELLED


def test_the_head_turns_the_way_the_view_says(actor: Actor) -> None:
    surface = actor.surface({}, (0, 0))
    straight = actor.landmarks(surface, STRAIGHT)
    right = actor.landmarks(surface, replace(STRAIGHT, yaw=0.4))
    down = actor.landmarks(surface, replace(STRAIGHT, pitch=0.3))
    assert straight[0, 0] < straight[2, 0] < straight[1, 0]
    assert right[2, 0] > straight[2, 0] + 5
    assert down[2, 1] > straight[2, 1] + 5


def test_portraits_are_the_same_again_and_show_a_face() -> None:
    one = render_portrait(3, "happiness")
    assert one.shape == (256, 256, 3)
    np.testing.assert_array_equal(one, render_portrait(3, "happiness"))
    assert (one != render_portrait(3, "anger")).any()
    assert CenterFace(256)(one).confidence.max() > 0.7


def test_a_portrait_of_an_unknown_expression_is_refused() -> None:
    with pytest.raises(ValueError, match="happiness"):
        render_portrait(0, "bored")
    with pytest.raises(ValueError, match="512"):
        render_portrait(0, size=600)
