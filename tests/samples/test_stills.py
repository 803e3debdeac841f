import numpy as np

from tests.samples.words import words_of
from triaffect.samples.dataset import Rows
from triaffect.samples.stills import as_video
from triaffect.tasks.expression import EXPRESSION
from triaffect.types import Targets

N, W = 400, 3


def made():
    """Per class 1 and 2: 100 pictures with rows from 0, 100 voices with rows from 1000."""
    label = np.tile([1, 2], N // 2)
    picture = np.arange(N) < N // 2
    faces = np.full((N, W), -1)
    faces[picture, -1] = np.arange(N // 2)
    voices = np.where(picture, -1, 1000 + np.arange(N))
    values = np.eye(8, dtype=np.float32)[label]
    targets = Targets(values, np.ones((N, 8), bool), np.ones(N, np.float32))
    split = words_of(np.where(np.arange(N) % 4 < 2, "train", "test"))
    text = words_of(["EXPR"] * N)
    rows = Rows(np.arange(N), split, text, text, {"EXPR": targets})
    return rows, faces, voices, label, picture


def test_some_training_pictures_are_held_and_some_speak_in_their_expression():
    rows, faces, voices, label, picture = made()
    held, spoken = as_video(rows, faces, voices, [EXPRESSION])
    training = picture & (rows.split == "train")
    filled = (held >= 0).all(1)
    assert 0.3 < filled[training].mean() < 0.7
    assert (held[filled] == held[filled][:, -1:]).all()
    speaks = training & (spoken >= 0)
    assert 0.3 < speaks[training].mean() < 0.7
    assert (label[spoken[speaks] - 1000] == label[speaks]).all()
    assert (rows.split[spoken[speaks] - 1000] == "train").all()


def test_nothing_else_changes():
    rows, faces, voices, _, picture = made()
    held, spoken = as_video(rows, faces, voices, [EXPRESSION])
    other = ~(picture & (rows.split == "train"))
    np.testing.assert_array_equal(held[other], faces[other])
    np.testing.assert_array_equal(spoken[other], voices[other])
    again = as_video(rows, faces, voices, [EXPRESSION])
    np.testing.assert_array_equal(held, again[0])
    np.testing.assert_array_equal(spoken, again[1])
    held, spoken = as_video(rows, faces, voices, [])
    np.testing.assert_array_equal(spoken, voices)
