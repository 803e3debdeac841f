"""Where it is looked for faces, and when; whom it then keeps."""

import numpy as np
import pytest
import skimage.data

from tests.faces.test_registration import BOX, POINTS
from tests.faces.test_tracking import NOBODY, faces
from triaffect.faces.detection import CenterFace, Detections, iou
from triaffect.faces.tracking import FaceFollower

FRAME = np.tile(np.linspace(0, 255, 160).astype(np.uint8)[None, :, None], (90, 1, 3))
OTHER = np.ascontiguousarray(FRAME.transpose(1, 0, 2)[:90, :90])


def spread(found):
    """Landmarks that can be aligned."""
    points = found.boxes[:, None, :2] + np.array([[0, 0], [9, 0], [5, 5], [1, 9], [8, 9]], "f4")
    return type(found)(found.boxes, points, found.confidence)


class Scripted:
    """A detector that knows who is where, and notes how it was asked."""

    def __init__(self):
        self.here, self.asked = NOBODY, []

    def __call__(self, rgb):
        self.asked.append("all")
        return spread(self.here)

    def around(self, rgb, boxes, sweep=False):
        self.asked.append("sweep" if sweep else len(boxes))
        if sweep:
            return spread(self.here)
        near = iou(self.here.boxes, boxes).max(axis=1, initial=0) > 0
        return spread(self.here.take(np.flatnonzero(near)))

    def find_large(self, rgb):
        self.asked.append("large")
        return self.here


@pytest.fixture
def detector():
    return Scripted()


def test_all_of_the_picture_now_and_then_and_near_the_faces_between(detector):
    follow = FaceFollower(detector, detection_interval_s=0.2)
    detector.here = faces([[100, 100], [300, 100]], 80)
    for k in range(11):
        _, tracks = follow(FRAME, k / 25)
        assert tracks.tolist() == [0, 1]
    assert detector.asked == ["all", 2, 2, 2, 2, "sweep", 2, 2, 2, 2, "sweep"]


@pytest.mark.parametrize(("rate", "period"), [(60, 12), (30, 6), (15, 3), (5, 1), (2, 1)])
def test_it_goes_by_seconds_not_by_frames(detector, rate, period):
    follow = FaceFollower(detector, detection_interval_s=0.2)
    detector.here = faces([100, 100], 80)
    for k in range(25):
        follow(FRAME, k / rate)
    whole = [k for k, asked in enumerate(detector.asked) if asked in {"all", "sweep"}]
    assert whole == [*range(0, 25, period)]


@pytest.mark.parametrize("rate", [60, 25, 5])
def test_new_small_faces_are_searched_for_every_four_seconds(detector, rate):
    follow = FaceFollower(detector, detection_interval_s=0.2)
    detector.here = faces([100, 100], 80)
    for k in range(9 * rate):
        follow(FRAME, k / rate)
    whole = [k for k, asked in enumerate(detector.asked) if asked == "all"]
    assert whole == [0, 4 * rate, 8 * rate]


class Remembering(Scripted):
    """It has the landmarks of the astronaut, twice, and notes which boxes it was asked about."""

    def found(self, down):
        away = np.array([512, down], np.float32)
        boxes = np.concatenate([BOX, BOX])
        boxes[1, :2] += away
        points = np.concatenate([POINTS, POINTS + away])
        return Detections(boxes, points, np.array([0.9, 0.8], np.float32))

    def __call__(self, rgb):
        self.asked.append("all")
        return self.here

    def around(self, rgb, boxes, sweep=False):
        self.asked.append("sweep" if sweep else boxes[:, 0].round().tolist())
        near = iou(self.here.boxes, boxes).max(axis=1, initial=0) > 0
        return self.here if sweep else self.here.take(np.flatnonzero(near))


def two_astronauts(down, hand=False):
    """Her picture twice, the right one moved down, maybe a hand over the left one."""
    left, right = skimage.data.astronaut(), np.roll(skimage.data.astronaut(), down, axis=0)
    if hand:
        left[120:, 150:300] = (190, 140, 115)
    return np.concatenate([left, right], axis=1)


def test_faces_that_look_as_they_did_need_no_detector_and_others_do():
    detector = Remembering()
    follow = FaceFollower(detector, detection_interval_s=0.4)
    for k in range(6):
        down, hand = 3 * k, k in (4, 5)
        here = detector.found(down)
        detector.here = here.take(np.array([1])) if hand else here
        found, tracks = follow(two_astronauts(down, hand), k / 25)
        assert tracks.tolist() == ([1] if hand else [0, 1])
        assert np.abs(found.landmarks[-1] - here.landmarks[1]).max() < 0.3
    # hidden, it is looked for near where it was, then everywhere, then again where it was
    assert detector.asked == ["all", [180.0], "sweep", [180.0]]


def test_while_faces_are_followed_two_searches_of_three_are_rough():
    detector = Remembering()
    follow = FaceFollower(detector, detection_interval_s=0.4)
    detector.here = detector.found(0)
    for k in range(30):
        follow(two_astronauts(0), k / 10)
    assert detector.asked == ["all", *["large", "large", "sweep"] * 2, "large"]


def test_a_newcomer_beside_a_followed_face_is_seen_at_the_next_search():
    detector = Remembering()
    follow = FaceFollower(detector, detection_interval_s=0.4)
    both = detector.found(0)
    for k in range(6):
        detector.here = both.take(np.array([0])) if k < 3 else both
        _, tracks = follow(two_astronauts(0), k / 10)
        assert tracks.tolist() == ([0] if k < 4 else [0, 1])
    assert detector.asked == ["all", "large", "sweep"]


def test_large_faces_are_found_at_half_the_size():
    frame = np.full((360, 640, 3), 90, np.uint8)
    frame[40:296, 20:276] = skimage.data.astronaut()[::2, ::2]
    frame[100:356, 350:606] = skimage.data.astronaut()[::2, ::2]
    detector = CenterFace()
    rough, whole = detector.find_large(frame), detector(frame)
    assert len(rough) == len(whole) == 2
    assert (iou(rough.boxes, whole.boxes).max(axis=1) > 0.6).all()


def test_all_of_every_frame_if_wanted_or_if_nobody_is_known(detector):
    everywhere, anywhere = (
        FaceFollower(detector, detection_interval_s=0.0),
        FaceFollower(detector, detection_interval_s=0.2),
    )
    for k in range(5):
        anywhere(FRAME, k / 25)
    detector.here = faces([100, 100], 80)
    for k in range(5):
        everywhere(FRAME, k / 25)
    assert detector.asked == ["all"] + ["sweep"] * 4 + ["all"] * 5


def test_a_lost_face_is_looked_for_everywhere_at_once_and_then_where_it_was(detector):
    follow = FaceFollower(detector, detection_interval_s=0.4)
    both, one = faces([[100, 100], [300, 100]], 80), faces([100, 100], 80)
    for k, here in enumerate([both, both, one, one, both, both]):
        detector.here = here
        _, tracks = follow(FRAME, k / 25)
        assert tracks.tolist() == ([0, 1] if here is both else [0])
    assert detector.asked == ["all", 2, 2, "sweep", 2, 2, 2]


def test_two_faces_are_not_found_again_in_one(detector):
    follow = FaceFollower(detector, detection_interval_s=1.0)
    detector.here = faces([[100, 100], [140, 100]], 80)
    follow(FRAME, 0.0)
    detector.here = faces([120, 100], 80)
    follow(FRAME, 0.04)
    assert detector.asked == ["all", 2, "sweep"]


def test_a_cut_starts_new_tracks_and_looks_everywhere(detector):
    follow = FaceFollower(detector, detection_interval_s=10.0)
    detector.here = faces([[100, 100], [300, 100]], 80)
    for k in range(3):
        follow(FRAME, k / 25)
    _, tracks = follow(OTHER, 0.12)
    assert tracks.tolist() == [2, 3]
    assert follow(OTHER, 0.16)[1].tolist() == [2, 3]
    assert detector.asked == ["all", 2, 2, "all", 2]


def test_small_faces_are_passed_over_and_take_no_number(detector):
    follow = FaceFollower(detector, min_face_px=60)
    detector.here = faces([[100, 100], [300, 100], [500, 100]], [59, 60, 90])
    found, tracks = follow(FRAME, 0.0)
    assert found.boxes[:, 2].tolist() == [60, 90]
    assert tracks.tolist() == [0, 1]


def test_of_too_many_the_largest_are_kept_and_do_not_take_turns(detector):
    follow = FaceFollower(detector, max_faces=2)
    places = [[100, 100], [300, 100], [500, 100]]
    kept = []
    for k, sizes in enumerate([[70, 80, 60], [71, 70, 74], [72, 70, 75], [72, 70, 120]]):
        detector.here = faces(places, sizes)
        found, tracks = follow(FRAME, k / 25)
        kept.append((found.boxes[:, 2].tolist(), tracks.tolist()))
    assert kept == [([70, 80], [0, 1]), ([71, 70], [0, 1]), ([72, 70], [0, 1]), ([72, 120], [0, 2])]


def test_near_looks_see_what_whole_looks_see():
    """On a portrait that drifts through a picture: boxes, landmarks and numbers."""
    portrait = skimage.data.astronaut()[::2, ::2]
    detector = CenterFace()
    near, whole = (
        FaceFollower(detector, detection_interval_s=0.4),
        FaceFollower(detector, detection_interval_s=0.0),
    )
    for k in range(25):
        frame = np.full((360, 640, 3), 90, np.uint8)
        frame[40 + k : 296 + k, 20 + 12 * k : 276 + 12 * k] = portrait
        (one, first), (other, second) = near(frame, k / 25), whole(frame, k / 25)
        assert first.tolist() == second.tolist() == [0]
        assert iou(one.boxes, other.boxes).item() > 0.85
        size = np.sqrt(other.boxes[0, 2:].prod())
        assert np.abs(one.landmarks - other.landmarks).max() < 0.06 * size


def person(name, at, back=200):
    """One of two people somewhere in a room."""
    face = skimage.data.astronaut()[:256, 100:356]
    if name == "other":  # darker hair and skin of another color, turned around
        face = np.clip(face[:, ::-1] * np.array([0.55, 0.7, 0.9]), 0, 255).astype(np.uint8)
    room = np.tile(np.linspace(60, back, 640).astype(np.uint8)[None, :, None], (300, 1, 3))
    room[20:276, at : at + 256] = face
    return room


def test_time_lapse_keeps_who_moves_and_tells_others_apart():
    follow = FaceFollower(CenterFace(), detection_interval_s=0.2)
    shots = [("one", 100), ("one", 180), ("one", 60), ("other", 70), ("other", 150), ("one", 150)]
    ids = [follow(person(name, at), 5.0 * k)[1].tolist() for k, (name, at) in enumerate(shots)]
    assert ids[:5] == [[0], [0], [0], [1], [1]]
    assert ids[5] != [1]


def test_a_hand_over_a_face_keeps_its_number():
    """It comes from below in a fifth of a second, stays 0.6 s, and goes."""
    follow = FaceFollower(CenterFace(), detection_interval_s=0.2)
    numbers, hidden = set(), 0
    tops = [300] * 10 + [300 - 50 * k for k in range(1, 6)] + [50] * 15
    tops += [50 + 50 * k for k in range(1, 6)] + [300] * 10
    for k, top in enumerate(tops):
        picture = person("one", 150)
        picture[top:, 180:380] = (190, 140, 115)
        _, tracks = follow(picture, k / 25)
        numbers |= set(tracks.tolist())
        hidden += not len(tracks)
    assert numbers == {0}
    assert hidden >= 12


def test_another_face_in_the_same_place_after_a_cut_gets_a_new_number():
    follow = FaceFollower(CenterFace(), detection_interval_s=0.2)
    other = person("other", 150, back=20)
    other[:, :150], other[:, 406:] = 220, 30
    ids = [follow(person("one", 150) if k < 3 else other, k / 25)[1].tolist() for k in range(6)]
    assert ids == [[0]] * 3 + [[1]] * 3
