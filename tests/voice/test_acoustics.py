"""Acoustic features, and the task of a network that learns to say them without labels."""

import numpy as np
import pytest

from triaffect.voice.acoustics import ACOUSTIC_FEATURES, acoustic_features
from triaffect.voice.log_mel import BANDS, SILENCE

LENGTH = 300
PITCH_DEVIATION, STEP, VOICED, PERIODICITY, LOUDNESS = (
    ACOUSTIC_FEATURES.index(name)
    for name in ("pitch_sd", "pitch_step", "voiced_share", "periodicity_mean", "loudness_mean")
)
MODULATION = [k for k, name in enumerate(ACOUSTIC_FEATURES) if name.startswith("modulation")]


def segment(octaves, periodicity=0.9, power=0.0):
    """A segment of one spectrum, whose pitch, periodicity and power may move."""
    rows = np.zeros((1, LENGTH, BANDS + 2), np.float32)
    rows[0, :, :BANDS] = np.broadcast_to(power, LENGTH)[:, None]
    rows[0, :, BANDS], rows[0, :, BANDS + 1] = octaves, periodicity
    return acoustic_features(rows)[0]


def test_a_voice_is_described_and_silence_is_not():
    steady = segment(0.5)
    assert steady.shape == (len(ACOUSTIC_FEATURES),) == (49,)
    assert steady[:5] == pytest.approx([0.5, 0, 0.5, 0, 0], abs=1e-6)
    assert steady[VOICED] == 1
    assert steady[PERIODICITY] == pytest.approx(0.9)
    assert steady[LOUDNESS] == pytest.approx(0, abs=1e-5)
    gliding = segment(np.linspace(0.1, 1.1, LENGTH))
    assert gliding[PITCH_DEVIATION] == pytest.approx(1 / np.sqrt(12), rel=0.02)
    assert gliding[STEP] == pytest.approx(1 / (LENGTH - 1), rel=1e-3)
    silence = np.full((1, LENGTH, BANDS + 2), SILENCE, np.float32)
    assert np.isnan(acoustic_features(silence)).all()
    silence[:, : LENGTH // 2, :BANDS] = 0
    assert np.isfinite(acoustic_features(silence)[0, LOUDNESS])
    whispered = segment(0.0, periodicity=0.2)
    assert whispered[VOICED] == 0
    assert np.isnan(whispered[:5]).all()
    assert np.isfinite(whispered[LOUDNESS])


def test_the_modulation_is_that_of_the_loudness_whatever_the_level():
    seconds = np.arange(LENGTH) / 100
    swelling = 2 * np.sin(2 * np.pi * 6 * seconds)
    quiet, loud = segment(0.5, power=swelling - 5), segment(0.5, power=swelling + 5)
    np.testing.assert_allclose(quiet, loud, atol=1e-4)
    shares = np.exp(quiet[MODULATION])
    assert shares.argmax() == 2, "4 to 8 Hz"
    assert shares.max() > 0.9


@pytest.mark.parametrize("length", [200, 300, 400])
def test_shares_of_the_modulation_are_shares_at_any_length(length):
    rows = np.zeros((1, length, BANDS + 2), np.float32)
    seconds = np.arange(length) / 100
    rows[0, :, :BANDS] = (2 * np.sin(2 * np.pi * 0.5 * seconds))[:, None]
    shares = np.exp(acoustic_features(rows)[0, MODULATION])
    assert shares.sum() < 1.01
