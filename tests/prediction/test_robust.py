"""The shipped model on bad pictures and bad sound: always numbers, and less sure of them.

Of the astronaut's portrait, people who do not exist and made voices, so without any other data;
`benchmarks/check_robust.py` asks the same of real faces and recordings.
"""

from functools import cache

import cv2
import numpy as np
import pytest
import skimage.data

import triaffect
from tests.benchmarks.scripts import load
from tests.prediction.tiny_model import write_sound
from triaffect.faces.stream import FaceStream
from triaffect.synthetic.portrait import render_portrait
from triaffect.synthetic.voice import utter
from triaffect.tasks.expression import EXPRESSION
from triaffect.tasks.registry import TASKS

in_memory, degradations = load("in_memory"), load("degradations")

SHOWN = ("neutral", "happiness", "sadness", "anger", "surprise", "fear")
FELT = ((0.7, 0.6), (-0.7, 0.8), (-0.6, -0.4), (0.0, 0.0))
"""Valence and arousal of the made voices."""


@cache
def crops():
    """Faces: a real one, and rendered ones with several expressions."""
    pictures = [skimage.data.astronaut()]
    pictures += [render_portrait(seed, name, size=128) for seed, name in enumerate(SHOWN)]
    faces = FaceStream()
    return [faces.read_picture(picture, assume_face=True).crops[0] for picture in pictures]


@cache
def model():
    return in_memory.InMemoryModel(in_memory.model_path(in_memory.DEFAULT))


@cache
def answers(kind):
    """What is said of the faces after something was done to them, by task key."""
    random = np.random.default_rng(0)
    spoilt = np.stack([degradations.FACES[kind](crop, random) for crop in crops()])
    return {key: values.astype(float) for key, values in model().predict_faces(spoilt).items()}


@pytest.fixture(scope="module")
def spoken(tmp_path_factory):
    """Tables of made voices by what was done to them."""
    path, tables = tmp_path_factory.mktemp("spoken") / "voice.wav", {}
    voices = [utter(2.5, valence=v, arousal=a, seed=k) for k, (v, a) in enumerate(FELT)]
    for kind, spoil in degradations.SOUNDS.items():
        random = np.random.default_rng(0)
        sounds = [spoil(voice, random) for voice in voices]
        tables[kind] = [triaffect.predict(write_sound(path, sound)) for sound in sounds]
    return tables


def check(values, tasks=TASKS, is_face=True):
    """No number is missing or impossible; values by task key, (N, K).

    Arousal of a face without a voice is always blank, and valence of a voice: see the card.
    """
    for task in tasks:
        low, high = task.display_range
        numbers = values[task.key]
        if task.key == "VA":
            assert np.isnan(numbers[:, int(is_face)]).all()
            numbers = numbers[:, [int(not is_face)]]
        assert np.isfinite(numbers).all()
        assert (numbers >= low - 1e-5).all()
        assert (numbers <= high + 1e-5).all()
    np.testing.assert_allclose(values[EXPRESSION.key].sum(1), 1, atol=1e-4)


def of_table(table):
    return {task.key: table[list(task.columns)].to_numpy(float) for task in TASKS}


@pytest.mark.parametrize("kind", degradations.FACES)
def test_every_face_has_possible_numbers(kind):
    check(answers(kind))


@pytest.mark.parametrize("kind", degradations.FACES)
def test_every_face_that_is_found_in_a_bad_picture_has_numbers(kind, tmp_path):
    """As a user meets it: in a picture that is bad as a whole, of which 112 pixels are asked."""
    portrait = skimage.data.astronaut()[20:244, 112:336]
    half = cv2.resize(portrait, (112, 112), interpolation=cv2.INTER_AREA)
    spoilt = degradations.FACES[kind](half, np.random.default_rng(0))
    cv2.imwrite(str(tmp_path / "bad.png"), spoilt[:, :, ::-1])
    table = triaffect.predict(tmp_path / "bad.png")
    check(of_table(table[table["face_seen"]]))
    assert table.loc[~table["face_seen"], list(EXPRESSION.columns)].isna().all(axis=None)
    assert kind != degradations.CLEAN or table["face_seen"].all()


@pytest.mark.parametrize("kind", degradations.SOUNDS)
def test_every_voice_that_is_heard_has_possible_numbers(kind, spoken):
    for table in spoken[kind]:
        heard = table["voice_heard"]
        check(of_table(table[heard]), [task for task in TASKS if not task.facial], is_face=False)
        assert table.loc[~heard, list(EXPRESSION.columns)].isna().all(axis=None)
        assert kind != degradations.CLEAN or heard.all()


def test_bad_faces_are_answered_less_surely():
    sure = {kind: float(answers(kind)[EXPRESSION.key].max(1).mean()) for kind in degradations.FACES}
    clean = sure.pop(degradations.CLEAN)
    assert np.mean(list(sure.values())) < clean, sure


def test_voices_in_loud_noise_are_answered_less_surely(spoken):
    """Bad sound of all kinds does not, on average: the card has the numbers."""
    sure = {}
    for kind in (degradations.CLEAN, "noise at 0 dB"):
        heard = [table[table["voice_heard"]] for table in spoken[kind]]
        sure[kind] = np.concatenate([of_table(each)[EXPRESSION.key].max(1) for each in heard])
    clean, noisy = sure.values()
    assert noisy.mean() < clean.mean()
