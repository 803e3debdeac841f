"""What a voice is known by: not its level, nor how it comes; and numbers whatever comes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.benchmarks.scripts import load
from triaffect.synthetic.voice import utter
from triaffect.voice.activity import NOTHING, Seconds, describe, voice_scores
from triaffect.voice.log_mel import BANDS, FLOOR, log_mel, log_mel_stream

synthetic_sounds = load("synthetic_sounds")


def stretches(*chunks):
    seconds = Seconds()
    pieces = [seconds.push(rows) for rows in log_mel_stream(chunks)]
    return np.concatenate([*pieces, seconds.finish()])


@pytest.fixture(scope="module")
def talk():
    return utter(5.0, valence=-0.3, arousal=0.4, seed=3)


@pytest.mark.parametrize("kind", synthetic_sounds.KINDS)
def test_made_sounds_are_no_voice(kind):
    scores = [voice_scores(stretches(synthetic_sounds.make(kind, 2.5, seed))) for seed in range(2)]
    assert np.mean(np.concatenate(scores) > 0) <= 0.1


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("pitch_hz", [95.0, 220.0])
def test_rendered_voices_are_voices(pitch_hz, seed):
    sound = utter(4.0, valence=0.0, arousal=0.5 * seed - 0.8, pitch_hz=pitch_hz, seed=seed)
    assert np.mean(voice_scores(stretches(sound))[3:16] > 0) > 0.6


def test_seconds_are_cut_every_quarter_with_silence_around(talk):
    sound = talk[: 2 * synthetic_sounds.RATE]
    each, rows = stretches(sound), log_mel(sound)
    assert each.shape == (12, 100, BANDS)
    assert (each[0, :75] == FLOOR).all()
    assert np.array_equal(each[0, 75:], rows[:25])
    assert np.array_equal(each[5], rows[50:150])
    assert (each[-1] == FLOOR).all()


@given(st.lists(st.integers(0, 30_000), max_size=8))
def test_stretches_do_not_depend_on_the_chunks(sizes):
    sound = np.random.default_rng(len(sizes)).normal(0, 0.1, sum(sizes)).astype(np.float32)
    chunks = np.split(sound, np.cumsum(sizes)[:-1]) if sizes else []
    assert np.array_equal(stretches(*chunks), stretches(sound))


@pytest.mark.parametrize("level_db", [-50, -30, -6])
def test_numbers_do_not_depend_on_level(talk, level_db):
    loud, quiet = stretches(talk)[3:20], stretches(talk * np.float32(10 ** (level_db / 20)))[3:20]
    if level_db > -40:  # below, the spectrum's own floor is within the 30 dB
        assert np.abs(describe(loud) - describe(quiet)).max() < 0.05
    assert np.mean(voice_scores(quiet) > 0) > 0.9


def impulse():
    sound = np.zeros(2 * synthetic_sounds.RATE, np.float32)
    sound[synthetic_sounds.RATE] = 1
    return sound


DEGENERATE = {
    "nothing": np.zeros(0, np.float32),
    "one sample": np.ones(1, np.float32),
    "constant": np.full(2 * synthetic_sounds.RATE, 0.5, np.float32),
    "impulse": impulse(),
    "square": np.sign(np.sin(np.arange(2 * synthetic_sounds.RATE) * 0.3)).astype(np.float32),
    "clipped noise": np.sign(synthetic_sounds.make("white", 2.0, seed=0)),
    "far too loud": synthetic_sounds.make("pink", 2.0, seed=0) * np.float32(1e6),
}


@pytest.mark.parametrize("name", DEGENERATE)
def test_degenerate_sounds_give_numbers_and_are_no_voice(name):
    each = stretches(DEGENERATE[name])
    assert np.isfinite(describe(each)).all()
    scores = voice_scores(each)
    assert np.isfinite(scores).all()
    assert not (scores > 0).any()


def test_silence_is_no_voice():
    silent = np.full((2, 100, BANDS), FLOOR, np.float32)
    assert np.isfinite(describe(silent)).all()
    assert voice_scores(silent).tolist() == [NOTHING, NOTHING]
    assert voice_scores(np.empty((0, 100, BANDS), np.float32)).shape == (0,)
