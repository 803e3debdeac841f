"""What is done to faces and sounds, what is counted of the answers, and the tables told."""

import json
import sys

import numpy as np
import pytest

from tests.benchmarks.scripts import load
from tests.corpora.test_ferplus import write
from tests.prediction.tiny_model import portrait, tone, write_sound, write_tiny_model
from triaffect.faces.stream import FaceStream

script, degradations = load("check_robust"), load("degradations")


@pytest.fixture(scope="module")
def crop():
    return FaceStream().read_picture(portrait()).crops[0]


@pytest.mark.parametrize("kind", degradations.FACES)
def test_faces_stay_crops_and_the_given_one_is_not_changed(crop, kind):
    before = crop.copy()
    once, again = (degradations.FACES[kind](crop, np.random.default_rng(1)) for _ in range(2))
    assert (once.shape, once.dtype) == (crop.shape, np.uint8)
    np.testing.assert_array_equal(once, again)
    np.testing.assert_array_equal(crop, before)
    assert (kind == degradations.CLEAN) == (once == crop).all()


@pytest.mark.parametrize("kind", degradations.SOUNDS)
def test_sounds_stay_sounds(kind):
    sound = tone(1.0)
    once, again = (degradations.SOUNDS[kind](sound, np.random.default_rng(1)) for _ in range(2))
    assert once.dtype == np.float32
    assert np.abs(once).max() <= 1
    np.testing.assert_array_equal(once, again)
    assert (kind == degradations.CLEAN) == np.array_equal(once, sound)


def spectrum(sound):
    return np.abs(np.fft.rfft(sound)) ** 2, np.fft.rfftfreq(len(sound), 1 / degradations.RATE)


def test_sounds_are_degraded_as_their_names_say():
    random = np.random.default_rng(0)
    white = random.normal(0, 0.05, degradations.RATE).astype(np.float32)
    spoilt = {kind: change(white, random) for kind, change in degradations.SOUNDS.items()}
    power, hz = spectrum(spoilt["telephone"])
    assert power[(hz < 290) | (hz > 3410)].sum() < 1e-6 * power.sum()
    power, hz = spectrum(spoilt["8 kHz"])
    assert power[hz > 4010].sum() < 1e-6 * power.sum()
    assert spoilt["40 dB quieter"].std() == pytest.approx(white.std() / 100, rel=1e-3)
    assert (spoilt["noise at 0 dB"] - white).std() == pytest.approx(white.std(), rel=0.05)
    assert len(spoilt["1.5 times as fast"]) == pytest.approx(len(white) / 1.5, abs=2)
    assert (np.abs(spoilt["clipped"]) == 1).mean() > 0.3


def test_numbers_out_of_range_are_counted_and_blanks_are_not():
    nan = np.full(8, np.nan)
    even = np.full(8, 1 / 8)
    assert script.wrong_numbers("EXPR", np.stack([even, nan])) == 0
    assert script.wrong_numbers("EXPR", np.stack([even * 1.1, nan])) == 1
    outside = np.array([1.1, -0.1, *[0] * 6])
    assert script.wrong_numbers("EXPR", outside[None]) == 2
    assert script.wrong_numbers("VA", np.array([[-1, 1], [-1.1, 0.5]])) == 1
    assert script.wrong_numbers("AU", np.full((2, 12), -0.5)) == 24


def test_no_answer_is_a_wrong_answer():
    rows = np.stack([np.eye(8)[0], np.full(8, 1 / 8), np.full(8, np.nan)])
    found = script.Given(rows, 0).summary(np.array([0, 1, 0]))
    assert found["accuracy"] == pytest.approx(1 / 3)
    assert found["confidence"] == pytest.approx((1 + 1 / 8) / 2)
    assert (found["n"], found["blank"]) == (3, 1)
    nothing = script.Given(rows[2:], 0).summary(None)
    assert (nothing["confidence"], nothing["accuracy"]) == (None, None)
    lines = "\n".join(script.told("things", {"clean": found, "dark": found, "gone": nothing}))
    assert "(+0.000)" in lines
    assert " - " in lines


@pytest.fixture
def line(tmp_path):
    """What to call the script with: three faces, of which two have a label, and a recording."""
    votes = [{"happiness": 10}, {"anger": 5, "fear": 5}, {"sadness": 9}]
    write(tmp_path, [(60 * k + 60, given, "PublicTest") for k, given in enumerate(votes)])
    recording = tmp_path / "ravdess" / "Actor_17" / "03-01-05-01-01-01-17.wav"
    recording.parent.mkdir(parents=True)
    write_sound(recording, tone(1.5))
    model = write_tiny_model(tmp_path / "tiny")
    return ["x", str(tmp_path), str(tmp_path / "ravdess"), "--model", str(model)]


def test_both_tables_are_told(line, tmp_path, monkeypatch, capsys):
    told = tmp_path / "told.json"
    monkeypatch.setattr(sys, "argv", [*line, "--json", str(told)])
    script.main()
    found = json.loads(told.read_text())
    assert found["faces"].keys() == degradations.FACES.keys()
    assert found["recordings"].keys() == degradations.SOUNDS.keys()
    assert found["faces"]["clean"]["n"] == 2
    assert found["faces"]["plain noise"]["accuracy"] is None
    assert all(
        not each["wrong_numbers"]
        for part in ("faces", "recordings")
        for each in found[part].values()
    )
    assert "2 faces" in capsys.readouterr().out
