"""Numbers of faces stay with the faces: through gaps, crossings, and any order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from triaffect.faces.detection import Detections, suppressed
from triaffect.faces.tracking import Tracker, least_assignment


def faces(centres, sizes) -> Detections:
    centres, sizes = np.atleast_2d(np.asarray(centres, float)), np.asarray(sizes, float)
    sizes = np.broadcast_to(sizes, len(centres))[:, None]
    boxes = np.concatenate([centres - sizes / 2, sizes, sizes], axis=1).astype(np.float32)
    n = len(boxes)
    return Detections(boxes, np.zeros((n, 5, 2), np.float32), np.ones(n, np.float32))


NOBODY = faces(np.empty((0, 2)), 1)


def test_numbers_from_zero_in_order_of_appearance():
    tracker = Tracker()
    assert tracker.update(0, NOBODY).tolist() == []
    assert tracker.update(0.04, faces([[100, 100], [400, 100]], 80)).tolist() == [0, 1]
    assert tracker.update(0.08, faces([[700, 100], [402, 100], [101, 99]], 80)).tolist() == [
        2,
        1,
        0,
    ]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 5), st.floats(30, 200), st.sampled_from([1, 2, 5]))
def test_people_who_keep_apart_keep_their_numbers(seed, count, size, step):
    """Heads that sway by up to half their size, seen in any order, one in ten not at all."""
    rng = np.random.default_rng(seed)
    homes = np.stack([np.arange(count) * 2.5 * size, rng.uniform(0, size, count)], axis=1)
    phase, pace = rng.uniform(0, 6, (count, 2)), rng.uniform(1, 2.5)
    tracker, known = Tracker(), {}
    for frame in range(0, 100, step):
        sway = 0.5 * size * np.sin(phase + pace * frame / 25)
        centres = homes + sway + rng.normal(0, 0.01 * size, (count, 2))
        here = rng.permutation(count)
        if step < 5 and frame:
            here = here[rng.random(count) > 0.1]
        ids = tracker.update(frame / 25, faces(centres[here].reshape(-1, 2), size))
        for person, number in zip(here.tolist(), ids.tolist(), strict=True):
            assert known.setdefault(person, number) == number
    assert sorted(known.values()) == list(range(count))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.floats(4, 9), st.floats(60, 140), st.floats(0.7, 1.4))
def test_two_who_cross_slowly_do_not_swap(seed, speed, size, ratio):
    """While they overlap, the detector shows only one of them."""
    rng = np.random.default_rng(seed)
    sizes, rise = np.array([size, size * ratio]), rng.uniform(-20, 20)
    tracker, first, last = Tracker(), {}, {}
    for frame in range(int(600 / speed)):
        at = np.array([[frame * speed, 200], [600 - frame * speed, 200 + rise]])
        seen = faces(at + rng.normal(0, 1, (2, 2)), sizes * np.exp(rng.normal(0, 0.01, 2)))
        kept = suppressed(seen.boxes, 0.3)
        last = dict(
            zip(kept.tolist(), tracker.update(frame / 25, seen.take(kept)).tolist(), strict=True)
        )
        first = first or last
    assert last == first


@pytest.mark.parametrize(("gap_s", "same"), [(0.2, True), (0.9, True), (1.2, False), (5.0, False)])
@pytest.mark.parametrize("rate", [10.0, 25.0, 60.0])
def test_survives_a_gap_of_up_to_a_second(rate, gap_s, same):
    tracker = Tracker()
    for frame in range(10):
        assert tracker.update(frame / rate, faces([300, 200], 100)).tolist() == [0]
    back = 9 + round(gap_s * rate)
    for frame in range(10, back):
        tracker.update(frame / rate, NOBODY)
    assert tracker.update(back / rate, faces([320, 210], 98)).tolist() == ([0] if same else [1])


@pytest.mark.parametrize("hidden_s", [0.2, 0.4, 0.6])
@pytest.mark.parametrize("speed", [1.0, 2.0, 3.0, 5.0])
def test_a_face_that_leans_out_and_back_keeps_its_number(speed, hidden_s):
    """It leaves to the right with a speed of so many face sizes a second, and comes back there."""
    tracker, size = Tracker(), 100
    for frame in range(20):
        assert tracker.update(frame / 25, faces([300, 200], size)).tolist() == [0]
    at_s, x = 20 / 25, 300.0
    while x < 520:
        x += speed * size / 25
        assert tracker.update(at_s, faces([x, 200], size)).tolist() == [0]
        at_s += 1 / 25
    for _ in range(round(hidden_s * 25)):
        tracker.update(at_s, NOBODY)
        at_s += 1 / 25
    assert tracker.update(at_s, faces([x - 10, 205], size)).tolist() == [0]


def test_looks_and_places_tell_who_is_who_in_time_lapse():
    """Five seconds from frame to frame: two who move about, then one goes and another comes."""
    rng = np.random.default_rng(4)
    looks = rng.normal(0, 6, (3, 192))
    tracker = Tracker()
    for frame in range(6):
        centres = np.array([[300, 200], [600, 220]]) + rng.uniform(-80, 80, (2, 2))
        seen = looks[:2] + rng.normal(0, 1.5, (2, 192))
        order = rng.permutation(2) if frame else np.arange(2)
        ids = tracker.update(5.0 * frame, faces(centres[order], 80), seen[order])
        assert ids[np.argsort(order)].tolist() == [0, 1]
    assert tracker.update(30, faces([310, 190], 80), looks[:1]).tolist() == [0]
    assert tracker.update(35, faces([[300, 200], [600, 220]], 80), looks[[2, 1]]).tolist() == [2, 1]
    assert tracker.update(40, faces([300, 200], 80), looks[:1]).tolist() == [0]
    assert tracker.update(60, faces([900, 200], 80), looks[:1]).tolist() == [3]


def test_left_out_frames_equal_empty_ones():
    empty, left_out = Tracker(), Tracker()
    for tracker in (empty, left_out):
        for frame in range(5):
            tracker.update(frame / 25, faces([300 + 8 * frame, 200], 100))
    for frame in range(5, 15):
        empty.update(frame / 25, NOBODY)
    again = faces([[390, 200], [700, 200]], 100)
    assert empty.update(0.6, again).tolist() == left_out.update(0.6, again).tolist() == [0, 1]


def test_someone_elsewhere_or_much_nearer_is_someone_else():
    for place, size in (([480, 200], 100), ([300, 200], 220)):
        tracker = Tracker()
        tracker.update(0, faces([300, 200], 100))
        assert tracker.update(0.04, faces(place, size)).tolist() == [1]


def test_zoom_and_size_of_the_picture_do_not_matter():
    rng = np.random.default_rng(3)
    path = np.array([[200, 200], [330, 220]]) + np.cumsum(rng.normal(0, 12, (60, 2, 2)), axis=0)
    small, large = Tracker(), Tracker()
    for frame, centres in enumerate(path):
        one = small.update(frame / 25, faces(centres, 90))
        np.testing.assert_array_equal(one, large.update(frame / 25, faces(7 * centres, 630)))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 6))
def test_order_of_detections_does_not_matter_and_no_number_twice(seed, count):
    """A crowd that jostles: whoever is mistaken for whom, it does not depend on the order."""
    rng = np.random.default_rng(seed)
    straight, shuffled = Tracker(), Tracker()
    centres = rng.uniform(0, 300, (count, 2))
    for frame in range(20):
        seen = faces(centres, 80)
        order = rng.permutation(count) if frame else np.arange(count)
        ids = straight.update(frame / 25, seen)
        assert len(set(ids.tolist())) == count
        np.testing.assert_array_equal(shuffled.update(frame / 25, seen.take(order)), ids[order])
        centres = centres + rng.normal(0, 6, (count, 2))


def test_memory_does_not_grow():
    rng = np.random.default_rng(0)
    tracker, highest = Tracker(), 0
    for frame in range(2000):
        ids = tracker.update(frame / 25, faces(rng.uniform(0, 1e5, (3, 2)), 60))
        highest = max(highest, *ids.tolist())
        assert len(tracker._tracks) <= 3 * 27
    assert highest > 5000


def test_frames_come_in_order():
    tracker = Tracker()
    tracker.update(0.5, NOBODY)
    for late in (0.5, 0.1):
        with pytest.raises(ValueError, match=r"after 0\.5 s"):
            tracker.update(late, NOBODY)


def test_an_uneven_pace_of_frames_changes_nothing():
    """Two who pass each other: sampled evenly, or with frames left out at random."""
    rng = np.random.default_rng(5)
    even, uneven = Tracker(), Tracker()
    for k in range(200):
        time_s = k / 100
        seen = faces([[200 + 150 * time_s, 200], [500 - 150 * time_s, 260]], 80)
        ids = even.update(time_s, seen)
        if rng.random() < 0.3:
            assert uneven.update(time_s, seen).tolist() == ids.tolist() == [0, 1]


def test_after_a_cut_the_same_place_is_somebody_else():
    tracker = Tracker()
    assert tracker.update(0, faces([[300, 200], [500, 200]], 100)).tolist() == [0, 1]
    tracker.forget()
    assert tracker.update(0.04, faces([[300, 200], [500, 200]], 100)).tolist() == [2, 3]


@given(st.integers(0, 10**6), st.integers(0, 7), st.integers(0, 7), st.booleans())
def test_assignment_is_the_cheapest(seed, rows, columns, ties):
    cost = np.random.default_rng(seed).normal(size=(rows, columns))
    cost = np.round(cost) if ties else cost
    pairs = least_assignment(cost)
    assert len(pairs) == min(rows, columns)
    assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == len(pairs)
    i, j = linear_sum_assignment(cost)
    assert sum(cost[pair] for pair in pairs) == pytest.approx(cost[i, j].sum())


def test_faces_that_appear_together_are_numbered_from_left_to_right():
    tracker = Tracker()
    assert tracker.update(0, faces([[700, 100], [100, 300], [400, 50]], 80)).tolist() == [2, 0, 1]
    later = faces([[250, 100], [698, 100], [20, 400], [101, 301]], 80)
    assert tracker.update(0.04, later).tolist() == [4, 2, 3, 0]
