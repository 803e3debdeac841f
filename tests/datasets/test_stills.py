"""Pictures shown as moments of a video: who is held, who speaks, and with whose voice."""

import numpy as np
import pytest

from tests.datasets.words import words_of
from triaffect.datasets.batches import Rows
from triaffect.datasets.windows import HELD, SPOKEN, as_video
from triaffect.types import Targets

N, W = 12_000, 3


def made():
    """Of each of two classes 3000 pictures with rows from 0, 3000 voices with rows from 100,000."""
    label = np.tile([1, 2], N // 2)
    picture = np.arange(N) < N // 2
    faces = np.full((N, W), -1)
    faces[picture, -1] = np.arange(N // 2)
    voices = np.where(picture, -1, 100_000 + np.arange(N))
    values = np.eye(8, dtype=np.float32)[label]
    targets = Targets(values, np.ones((N, 8), bool), np.ones(N, np.float32))
    split = words_of(np.where(np.arange(N) % 4 < 2, "train", "test"))
    text = words_of(["EXPR"] * N)
    rows = Rows(np.arange(N), split, text, text, {"EXPR": targets})
    return rows, faces, voices, label, picture


def test_some_training_pictures_are_held_and_some_speak_each_apart_from_the_other():
    rows, faces, voices, _, picture = made()
    held, spoken = as_video(rows, faces, voices)
    training = picture & (rows.split == "train")
    filled, speaks = (held >= 0).all(1), training & (spoken >= 0)
    assert filled[training].mean() == pytest.approx(HELD, abs=0.03)
    assert (held[filled] == held[filled][:, -1:]).all()
    assert speaks[training].mean() == pytest.approx(SPOKEN, abs=0.03)
    assert (filled & speaks)[training].mean() == pytest.approx(HELD * SPOKEN, abs=0.03)
    assert (rows.split[spoken[speaks] - 100_000] == "train").all()


def test_a_voice_is_of_the_same_expression_no_more_often_than_by_chance():
    """Else the voice tells the label, and a sound track changes what is read from a face."""
    rows, faces, voices, label, picture = made()
    _, spoken = as_video(rows, faces, voices)
    speaks = picture & (rows.split == "train") & (spoken >= 0)
    same = label[spoken[speaks] - 100_000] == label[speaks]
    assert same.mean() == pytest.approx(0.5, abs=0.04)


def test_nothing_else_changes():
    rows, faces, voices, _, picture = made()
    held, spoken = as_video(rows, faces, voices)
    other = ~(picture & (rows.split == "train"))
    np.testing.assert_array_equal(held[other], faces[other])
    np.testing.assert_array_equal(spoken[other], voices[other])
    again = as_video(rows, faces, voices)
    np.testing.assert_array_equal(held, again[0])
    np.testing.assert_array_equal(spoken, again[1])


def test_without_anybody_who_speaks_nobody_is_given_a_voice():
    rows, faces, voices, _, picture = made()
    voices[:] = -1
    faces[~picture, -1] = 0
    assert (as_video(rows, faces, voices)[1] == -1).all()
