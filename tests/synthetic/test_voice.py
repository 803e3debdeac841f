"""The made voice: what is felt can be heard in it."""

import numpy as np
import pytest
from numpy.typing import NDArray

from triaffect.synthetic.voice import RATE, Feeling, plan_speech, utter

AROUSALS = (-0.6, 0.0, 0.6)


def pitch(sound: NDArray[np.float32]) -> float:
    """Median pitch in Hz of the loud parts, by autocorrelation."""
    found = []
    for start in range(0, len(sound) - 1024, 512):
        part = sound[start : start + 1024]
        if part.std() > 0.3 * sound.std():
            match = np.correlate(part, part, "full")[1023:]
            found.append(RATE / (40 + match[40:260].argmax()))
    return float(np.median(found))


@pytest.mark.parametrize("base", [115.0, 205.0])
def test_pitch_and_loudness_follow_arousal(base: float) -> None:
    said = [utter(6, valence=0, arousal=a, pitch_hz=base, seed=1) for a in AROUSALS]
    heights = [pitch(sound) for sound in said]
    levels = [float(sound.std()) for sound in said]
    assert heights == sorted(heights)
    assert heights[2] > 1.3 * heights[0]
    assert levels[0] * 2 < levels[1] < levels[2] / 2


def test_people_keep_their_own_pitch() -> None:
    low, high = (pitch(utter(4, valence=0, arousal=0, pitch_hz=hz)) for hz in (110, 210))
    assert low == pytest.approx(110, rel=0.2)
    assert high == pytest.approx(210, rel=0.2)


def test_speech_is_faster_with_arousal_and_keeps_to_its_turns() -> None:
    counts = []
    for arousal in AROUSALS:
        feeling = Feeling(np.array([0, 30.0]), np.zeros(2), np.full(2, arousal))
        speech = plan_speech(feeling, [(2, 12), (20, 29)], np.random.default_rng(0))
        start, end = speech.syllables[:, 0], speech.syllables[:, 1]
        assert (end > start).all()
        assert (((start > 2) & (end < 12)) | ((start > 20) & (end < 29))).all()
        counts.append(len(speech.syllables))
    assert counts[0] < counts[1] < counts[2]


def test_the_mouth_is_open_only_while_there_is_sound() -> None:
    feeling = Feeling(np.array([0, 4.0]), np.zeros(2), np.zeros(2))
    speech = plan_speech(feeling, [(1, 3)], np.random.default_rng(0))
    times = np.linspace(0, 4, 400)
    aperture = speech.aperture(times)
    assert aperture[(times < 1) | (times > 3)].max() == 0
    assert 0.3 < aperture.max() <= 1.0


def test_silence_without_a_turn() -> None:
    feeling = Feeling(np.array([0, 1.0]), np.zeros(2), np.zeros(2))
    assert plan_speech(feeling, [], np.random.default_rng(0)).syllables.shape == (0, 5)
