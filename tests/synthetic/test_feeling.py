"""What is felt, what is done, and what annotators say of it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triaffect.synthetic.emotion import (
    ANGER,
    HAPPINESS,
    NEUTRAL,
    SADNESS,
    SURPRISE,
    Course,
    Temper,
    draw_course,
    wander,
)
from triaffect.synthetic.labels import NO_AFFECT, NO_CODE, annotate, with_gaps
from triaffect.synthetic.movement import ACTIONS, LABELLED
from triaffect.synthetic.performance import Performance, perform
from triaffect.synthetic.view import View

RATE = 30.0
SEAT = View(0, 0, 0, 160, 120, 0.6)


def played(
    expressions: list[int], seed: int = 0, count: int = 300, talking: bool = False
) -> tuple[Course, Performance, np.random.Generator]:
    random = np.random.default_rng(seed)
    course = draw_course(expressions, count, RATE, Temper.draw(random), random)
    aperture = np.full(count, 0.8 if talking else 0.0)
    return course, perform(course, aperture, SEAT, RATE, random), random


def mean_of(expression: int, value: str) -> float:
    return float(np.mean([getattr(played([expression], k)[0], value).mean() for k in range(8)]))


def test_expressions_lie_where_the_circumplex_has_them() -> None:
    assert mean_of(HAPPINESS, "valence") > 0.3
    assert mean_of(SADNESS, "valence") < -0.3
    assert mean_of(ANGER, "arousal") > 0.3 > mean_of(SADNESS, "arousal")


def unit_rate(expression: int, unit: int) -> float:
    """How often a unit is said to be present while an expression is shown."""
    rates = []
    for seed in range(16):
        course, performance, random = played([expression], seed)
        rates.append(annotate(course, performance, RATE, random).units[:, LABELLED.index(unit)])
    return float(np.mean(rates))


@pytest.mark.parametrize(
    ("expression", "unit"),
    [(HAPPINESS, 12), (HAPPINESS, 6), (ANGER, 4), (SADNESS, 15), (SURPRISE, 2), (SURPRISE, 26)],
)
def test_units_go_with_their_expressions_but_not_always(expression: int, unit: int) -> None:
    assert unit_rate(NEUTRAL, unit) + 0.35 < unit_rate(expression, unit) < 1


def test_expression_labels_mostly_name_what_is_shown_and_sometimes_do_not() -> None:
    right = []
    for seed in range(12):
        course, performance, random = played([HAPPINESS, SADNESS, ANGER], seed)
        right.append(annotate(course, performance, RATE, random).expression == course.expression)
    assert 0.7 < np.mean(right) < 0.97


def test_affect_labels_follow_late() -> None:
    course, performance, random = played([SADNESS, HAPPINESS] * 10, count=3000)
    said = annotate(course, performance, RATE, random).affect[:, 0]
    match = [np.corrcoef(course.valence[: 3000 - k], said[k:])[0, 1] for k in range(30)]
    assert 2 <= int(np.argmax(match)) <= 12
    assert 0.8 < max(match) < 0.999


def test_speech_opens_the_mouth() -> None:
    parted = ACTIONS.index(25)
    silent, talking = (played([NEUTRAL], talking=t)[1].actions[:, parted] for t in (False, True))
    assert silent.mean() < 0.2
    assert talking.mean() > 0.6


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), count=st.integers(2, 400), segments=st.integers(1, 5))
def test_a_course_stays_within_bounds(seed: int, count: int, segments: int) -> None:
    random = np.random.default_rng(seed)
    shown = [int(code) for code in random.integers(0, 8, segments)]
    course, performance, random = played(shown, seed, count)
    assert course.actions.shape == (count, len(ACTIONS))
    assert len(performance.instants) == len(performance.seen) == count
    assert (performance.actions >= 0).all()
    assert np.abs([course.valence, course.arousal]).max() <= 1
    labels = annotate(course, performance, RATE, random)
    assert np.abs(labels.affect).max() <= 1
    assert set(np.unique(labels.units)) <= {0, 1}
    assert set(course.expression) <= set(shown)


def test_long_videos_have_moments_without_a_face() -> None:
    seen = np.concatenate([played([NEUTRAL], seed, 900)[1].seen for seed in range(6)])
    assert 0.5 < seen.mean() < 0.99


def test_gaps_use_the_codes_of_the_files_and_leave_the_rest_alone() -> None:
    course, performance, random = played([HAPPINESS, ANGER])
    full = annotate(course, performance, RATE, random)
    gappy = with_gaps(full, 0.3, random)
    for values, whole, code in (
        (gappy.affect, full.affect, NO_AFFECT),
        (gappy.expression[:, None], full.expression[:, None], NO_CODE),
        (gappy.units, full.units, NO_CODE),
    ):
        gone = (values == code).all(1)
        assert 0 < gone.sum() < len(gone)
        np.testing.assert_array_equal(values[~gone], whole[~gone])


def test_wandering_has_unit_spread_and_a_memory() -> None:
    walk = wander(np.random.default_rng(0), 20_000, RATE, 0.5)
    assert walk.std() == pytest.approx(1, abs=0.1)
    assert np.corrcoef(walk[:-1], walk[1:])[0, 1] > 0.95
    assert abs(np.corrcoef(walk[:-90], walk[90:])[0, 1]) < 0.1
