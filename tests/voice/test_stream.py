"""A voice is heard where it is, however the sound comes; other sounds are not."""

from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.benchmarks.scripts import load
from tests.shared import SHARED, needs_shared
from triaffect.media.audio import read_sound
from triaffect.synthetic.voice import utter
from triaffect.types import FeatureSeries, Window
from triaffect.voice.stream import VoiceActivity, VoiceStream

synthetic_sounds = load("synthetic_sounds")

PLAIN_RATE, RATE = 1000, 16_000
WINDOW = Window(3.0, 0.25, causal=False)


def hear(chunks, window=WINDOW, rate=RATE, activity=None):
    """Whether a voice is heard, at every hop."""
    activity = activity or VoiceActivity(rate)
    samples = sum(len(chunk) for chunk in activity.watch(iter(chunks)))
    return activity.active(np.arange(0, samples / rate + 1e-9, window.hop_s), window)


@pytest.fixture(scope="module")
def talk():
    return utter(4.0, valence=0.2, arousal=0.3)


@given(st.lists(st.integers(1, 700), min_size=1, max_size=20), st.booleans())
def test_loudness_does_not_depend_on_the_chunks(sizes, causal):
    sound = np.zeros(sum(sizes), np.float32)
    sound[len(sound) // 2] = -0.01  # a click
    whole, cut = VoiceActivity(PLAIN_RATE), VoiceActivity(PLAIN_RATE)
    list(whole.watch(iter([sound])))
    passed = list(cut.watch(iter(np.split(sound, np.cumsum(sizes)[:-1]))))
    assert np.array_equal(np.concatenate(passed), sound)
    window, at_s = Window(0.4, 0.1, causal), np.arange(0, len(sound) / PLAIN_RATE, 0.1)
    heard = whole.active(at_s, window)
    assert np.array_equal(heard, cut.active(at_s, window))
    click_s = len(sound) // 2 / PLAIN_RATE
    low = at_s - (0.4 if causal else 0.2)
    inside = (low + 1e-3 < click_s) & (click_s < low + 0.399)  # the edges are a matter of rounding
    assert heard[inside].all()
    near = (low - 0.11 <= click_s) & (click_s <= low + 0.51)
    assert not heard[~near].any()


def test_loudness_forgets_without_forgetting_where_it_is():
    activity, window = VoiceActivity(PLAIN_RATE), Window(0.5, 0.1)
    sound = np.zeros(20 * PLAIN_RATE, np.float32)
    sound[15 * PLAIN_RATE] = 0.5
    for number, _ in enumerate(activity.watch(iter(np.split(sound, 20)))):
        activity.forget(number - 0.5)
        assert len(activity._loudness._peaks) <= 16
    assert activity.active(np.array([15.2, 14.9]), window).tolist() == [False, False]
    activity = VoiceActivity(PLAIN_RATE)
    for number, _ in enumerate(activity.watch(iter(np.split(sound, 20)))):
        activity.forget(min(number, 14) - 0.5)
    assert activity.active(np.array([15.2, 14.9]), window).tolist() == [True, False]


def test_a_voice_is_heard_where_it_is(talk):
    silence = np.zeros(6 * RATE, np.float32)
    heard = hear([silence, talk, silence])
    at_s = np.arange(len(heard)) * WINDOW.hop_s
    assert heard[(at_s >= 6) & (at_s <= 10)].all()
    assert not heard[(at_s <= 4.5) | (at_s >= 11.5)].any()


def test_a_short_utterance_in_silence_is_heard(talk):
    sound = np.zeros(4 * RATE, np.float32)
    sound[RATE : RATE + RATE * 3 // 2] = talk[: RATE * 3 // 2]
    assert hear([sound])[4:11].all()


@pytest.mark.parametrize("kind", ["white", "wind", "keyboard", "hum", "organ", "sines", "drums"])
def test_other_sounds_are_not_heard(kind):
    assert not hear([synthetic_sounds.make(kind, 4.0, seed=3)]).any()


def test_at_another_rate_whatever_is_loud_is_heard():
    noise = synthetic_sounds.make("white", 2.0, seed=0)
    assert hear([noise], rate=22_050).all()
    assert not hear([noise * 1e-5], rate=22_050).any()


@pytest.mark.parametrize("window", [WINDOW, Window(1.0, 0.2), Window(0.3, 0.1, causal=False)])
def test_what_is_heard_does_not_depend_on_the_chunks(talk, window):
    sound = np.concatenate([synthetic_sounds.make("chords", 2.0, seed=1), talk[: 2 * RATE + 77]])
    whole = hear([sound], window)
    assert whole.any()
    assert not whole.all()
    for size in (333, 7000, 40_000):
        assert np.array_equal(hear(np.split(sound, range(size, len(sound), size)), window), whole)


@pytest.mark.parametrize("size", [1600, 16_000, 50_000])
def test_rows_asked_for_as_the_sound_goes_by_are_those_of_the_whole(talk, size):
    """As the voice network's rows come: when the spectrum of their window is known."""
    sound = np.concatenate([talk[: 2 * RATE], synthetic_sounds.make("pink", 3.0, seed=1), talk])
    whole, activity, rows = hear([sound]), VoiceActivity(RATE), []
    passed = 0
    for chunk in activity.watch(iter(np.split(sound, range(size, len(sound), size)))):
        passed += len(chunk)
        known_s = (passed - 120) // RATE  # whole blocks of a second
        while len(rows) * 0.25 + 1.5 <= known_s:
            at_s = np.array([len(rows) * 0.25])
            rows.append(bool(activity.active(at_s, WINDOW)[0]))
            activity.forget(at_s[0] - WINDOW.span_s)
            assert len(activity._likeness._scores) <= (4 + size / RATE + 3) * 4
    assert len(rows) > 20
    assert rows == whole[: len(rows)].tolist()


@needs_shared
@pytest.mark.parametrize(
    "name",
    [
        "ravdess_speech/Actor_17/03-01-01-01-01-01-17.flac",
        "ravdess_speech/Actor_18/03-01-05-02-01-01-18.flac",
        "emodb/03a01Wa.flac",
        "emodb/08a01Na.flac",
    ],
)
def test_people_are_heard_and_the_same_made_noise_is_not(name):
    sound = read_sound(SHARED / "data" / name, RATE)
    middle = len(sound) * 4 // RATE // 2
    assert hear([sound])[middle]
    assert hear([sound * np.float32(0.03)])[middle]
    noise = np.random.default_rng(0).permutation(sound)  # the same samples, in disorder
    assert not hear([noise]).any()


class Loudest:
    """A network whose rows are the loudest samples of half seconds, a while after these passed."""

    class spec:  # noqa: N801
        rate, window = RATE, Window(1.0, 0.5)

    def stream(self, chunks):
        sound, done, half = np.empty(0, np.float32), 0, RATE // 2
        for chunk, is_last in chain(((each, False) for each in chunks), [(sound, True)]):
            sound = np.concatenate([sound, chunk])
            whole = max(done, len(sound) // half - (0 if is_last else 3))
            values = sound[done * half : whole * half].reshape(-1, half).max(axis=1)
            yield FeatureSeries(values[:, None], np.arange(done + 1, whole + 1) / 2)
            done = whole


@pytest.mark.parametrize("size", [4000, 30_000, 200_000])
def test_a_stream_gives_every_row_and_says_where_a_voice_is(talk, size):
    sound = np.concatenate([np.zeros(5 * RATE, np.float32), talk, np.zeros(5 * RATE, np.float32)])
    rows = list(VoiceStream(Loudest(), np.split(sound, range(size, len(sound), size))))
    times_s = np.concatenate([each.times_s for each in rows])
    active = np.concatenate([each.active for each in rows])
    assert times_s.tolist() == [(k + 1) / 2 for k in range(28)]
    assert not active[(times_s <= 5) | (times_s >= 10.5)].any()
    assert active[(times_s >= 6) & (times_s <= 9)].all()
    whole = VoiceActivity(RATE)
    list(whole.watch([sound]))
    assert active.tolist() == whole.active(times_s, Loudest.spec.window).tolist()
    kept = rows[-1].where(rows[-1].active)
    assert kept.values.shape == (rows[-1].active.sum(), 1)
