"""Varied voices: each defect by what it must do to a spectrum, all of them together by range."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from triaffect.datasets.augmentation import augment
from triaffect.datasets.augmentation import spectra as microphone
from triaffect.datasets.augmentation.augment import vary_logmel
from triaffect.voice.log_mel import BANDS, FLOOR

ROWS, LENGTH = 300, 60
LOWEST = FLOOR - 1e-5
STEPS = {
    microphone.room: "ECHOING",
    microphone.noise: "NOISY",
    microphone.clip: "CLIPPED",
    microphone.codec: "CODED",
}
every_step = pytest.mark.parametrize("step", [*STEPS, microphone.microphone])


def rng(seed=0):
    return np.random.default_rng(seed)


def voices(seed=0, rows=ROWS):
    """Sounds of several loudness: syllables, overtones, and power from the floor up."""
    made = rng(seed)
    loud = made.uniform(-4, 4, (rows, 1, 1)) + 3 * np.sin(np.arange(LENGTH) / 4)[None, :, None]
    bands = made.normal(0, 2.5, (rows, 1, BANDS)) + made.normal(0, 1, (rows, LENGTH, BANDS))
    return torch.from_numpy((loud + bands).clip(FLOOR, 12).astype(np.float32))


def silence(rows=4, length=LENGTH):
    return torch.full((rows, length, BANDS), FLOOR)


def only(monkeypatch, **shares):
    """Let so many of the stretches suffer each of the named defects."""
    for name, share in shares.items():
        monkeypatch.setattr(microphone, name, share)


def power(logmel):
    return (logmel.double().exp() - microphone.FLOOR).clamp(min=0)


@every_step
def test_a_step_leaves_what_it_was_given(step):
    heard = voices()
    before = heard.clone()
    step(heard, rng())
    assert torch.equal(heard, before)


@every_step
@pytest.mark.parametrize("sound", [voices(rows=40), silence(40)], ids=["voices", "silence"])
def test_what_a_step_gives_is_a_spectrum(step, sound):
    heard = step(sound, rng())
    assert heard.shape == sound.shape
    assert heard.dtype == torch.float32
    assert torch.isfinite(heard).all()
    assert heard.min() >= LOWEST - (1.0 if step is microphone.clip else 0), "clamped after it"


@every_step
def test_a_step_follows_from_the_generator(step):
    heard = voices(rows=40)
    one, same, other = (step(heard, rng(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.mark.parametrize(("step", "name"), STEPS.items())
def test_the_declared_share_of_the_stretches_is_changed_and_no_other(step, name, monkeypatch):
    heard = voices()
    changed = (step(heard, rng()) != heard).any(2).any(1)
    share = getattr(microphone, name)
    assert float(changed.float().mean()) == pytest.approx(share, abs=0.08)
    only(monkeypatch, **{name: 0.0})
    assert torch.equal(step(heard, rng()), heard)


def test_what_is_drawn_decides_which_stretches_change(monkeypatch):
    heard = voices()
    for step in STEPS:
        drawn = torch.tensor([3, 8])
        monkeypatch.setattr(microphone, "some", lambda *_, rows=drawn: rows)
        changed = (step(heard, rng()) != heard).any(2).any(1)
        assert torch.equal(changed.nonzero()[:, 0], drawn), step.__name__


def test_a_room_rings_on_after_a_sound_and_not_before(monkeypatch):
    only(monkeypatch, ECHOING=1.0)
    click = silence(50)
    click[:, 20:25] = 2.0
    rings = microphone.room(click, rng())
    torch.testing.assert_close(rings[:, :20], click[:, :20], atol=1e-5, rtol=0)
    after = power(rings)[:, 25:].sum(2)
    assert (after[:, 0] > 0).all()
    assert (after.diff(dim=1) <= 0).all(), "a tail falls"
    assert (power(rings)[:, :25] >= power(click)[:, :25] * (1 - 1e-4)).all()


def test_a_tail_falls_as_fast_as_a_room_lets_it(monkeypatch):
    only(monkeypatch, ECHOING=1.0)
    click = silence(200, length=130)
    click[:, 100] = 8.0
    tail = power(microphone.room(click, rng()))[:, 101:111, 0]
    rate = -10 / math.log(10) * tail.log().diff(dim=1) * microphone.ROWS_PER_S
    seconds = 60 / rate.mean(1)
    assert seconds.min() == pytest.approx(0.15, abs=0.03)
    assert seconds.max() == pytest.approx(0.9, abs=0.03)


def test_noise_is_as_loud_as_is_asked(monkeypatch):
    only(monkeypatch, NOISY=1.0)
    heard = voices()
    before = power(heard)
    added = (power(microphone.noise(heard, rng())) - before).mean((1, 2))
    ratio_db = 10 * (before.mean((1, 2)) / added).log10()
    assert ratio_db.min() > -0.2
    assert ratio_db.max() < 30.2
    assert float(ratio_db.mean()) == pytest.approx(15, abs=2)
    assert ratio_db.std() > 5


def test_some_noise_is_other_people_who_talk(monkeypatch):
    """What is added is then another stretch of the batch, backwards."""
    only(monkeypatch, NOISY=1.0)
    heard = voices(rows=12)
    added = power(microphone.noise(heard, rng(3))) - power(heard)
    others = heard.double().flip(1).exp().flatten(1)
    alike = torch.corrcoef(torch.cat([added.flatten(1), others]))[:12, 12:].amax(1)
    assert 1 <= int((alike > 0.999).sum()) <= 8


def test_noise_is_of_another_grain_each_time():
    def grain(seed):
        made = microphone._coloured(1, voices(rows=1), rng(seed))[0].log()
        return (made - made.mean(0) - made.mean(1, keepdim=True) + made.mean()).flatten()

    one, other = grain(1), grain(2)
    assert one.std() == pytest.approx(0.5, abs=0.05)
    assert float(torch.corrcoef(torch.stack([one, other]))[0, 1]) == pytest.approx(0, abs=0.1)


def test_a_telephone_lets_a_band_through(monkeypatch):
    heard = torch.full((ROWS, LENGTH, BANDS), 3.0)
    only(monkeypatch, NARROW=0.0)
    wide = microphone.microphone(heard, rng())
    only(monkeypatch, NARROW=1.0)
    narrow = microphone.microphone(heard, rng())
    lost = (wide - narrow)[:, 0]
    assert torch.equal(narrow[:, :1].expand_as(narrow), narrow), "the same at all times"
    inside = slice(microphone.LOWEST_BAND_OF_TELEPHONE[1], microphone.TOP_BAND_OF_TELEPHONE[0])
    assert not lost[:, inside].any()
    assert (lost[:, microphone.TOP_BAND_OF_TELEPHONE[1] + 1 :] > 2).all()
    assert (lost[:, 0] > 2).float().mean() > 0.7
    assert (narrow[:, 0, -1] == FLOOR).all(), "nothing far outside"


def test_the_declared_share_of_the_microphones_is_a_telephone():
    narrow = microphone.microphone(torch.full((ROWS, 5, BANDS), 3.0), rng())[:, 0]
    share = float((narrow[:, 30] - narrow[:, -1] > 15).float().mean())
    assert share == pytest.approx(microphone.NARROW, abs=0.06)


def test_a_microphone_colours_every_stretch_a_little(monkeypatch):
    only(monkeypatch, NARROW=0.0)
    heard = voices().clamp(min=0)
    coloured = microphone.microphone(heard, rng()) - heard
    torch.testing.assert_close(coloured, coloured[:, :1].expand_as(coloured), atol=1e-5, rtol=0)
    assert (coloured.abs().amax((1, 2)) > 0.05).all()
    assert coloured.std() == pytest.approx(0.36, abs=0.1)


def test_clipping_narrows_the_loudest_moments_alone(monkeypatch):
    only(monkeypatch, CLIPPED=1.0)
    heard = voices()
    clipped = microphone.clip(heard, rng())
    loudness = heard.logsumexp(2)
    over = loudness > loudness.amax(1, keepdim=True) - 0.5
    spread, narrow = (each.amax(2) - each.amin(2) for each in (heard, clipped))
    assert (narrow < spread)[over].all()
    quiet = loudness < loudness.amax(1, keepdim=True) - 3
    assert quiet.any(1).all()
    assert torch.equal(clipped[quiet], heard[quiet])


def test_clipping_gives_loud_moments_overtones(monkeypatch):
    only(monkeypatch, CLIPPED=1.0)
    tone = silence(50)
    tone[:, :, 10] = torch.linspace(0, 8, LENGTH)
    clipped = microphone.clip(tone, rng())
    assert (clipped[:, -1, 10] < 8).all(), "the tone loses height"
    assert (clipped[:, -1, 40] > -1).all()
    assert (clipped[:, 0, 40] == FLOOR).all()


def test_a_codec_drops_what_louder_bands_hide(monkeypatch):
    only(monkeypatch, CODED=1.0)
    heard = voices()
    coded = microphone.codec(heard, rng())
    below = heard.amax(2, keepdim=True) - heard
    dropped = coded <= FLOOR + 1e-4
    assert dropped[below > 9].all()
    audible = (below < 4) & (heard > FLOOR + 1)
    assert not dropped[audible].any()
    off = (coded - heard)[audible].abs()
    assert off.max() <= 0.5 + 1e-4, "half the largest step"
    assert off.mean() > 0.05


@given(st.integers(0, 10_000))
@settings(deadline=None, max_examples=15)
def test_what_comes_out_is_a_spectrum(seed):
    heard = torch.cat([voices(seed, 6), silence(2)]).half()
    before = heard.clone()
    varied = vary_logmel(heard, rng(seed))
    assert varied.dtype == torch.float32
    assert varied.shape == heard.shape
    assert torch.isfinite(varied).all()
    assert varied.min() >= LOWEST
    assert torch.equal(heard, before)


def test_variants_follow_from_the_generator():
    heard = voices(rows=30)
    one, same, other = (vary_logmel(heard, rng(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert (one != other).any(2).any(1).all(), "no stretch is like another time"


def test_a_voice_is_shifted_and_stretched_within_bounds():
    """A tone in the middle, after the speaker alone."""
    tone = torch.full((ROWS, 100, BANDS), -5.0)
    tone[:, 30:70, 22:42] = 5.0
    weight = (augment._speak(tone, rng()) + 5).clamp(min=0)
    for axis, far, long in ((1, augment.LATER, augment.TEMPO), (2, augment.HIGHER, augment.SIZE)):
        profile = weight.sum(3 - axis)
        side = profile.shape[1]
        middle = (profile * torch.arange(side)).sum(1) / profile.sum(1) - (side - 1) / 2
        assert 0.7 * side * far < middle.abs().max() < 1.25 * side * far
        assert float(middle.mean()) == pytest.approx(0, abs=0.15 * side * far)
        stretched = (40, 20)[axis - 1] / (profile.sum(1) / profile.amax(1)) - 1
        assert 0.7 * long < stretched.abs().max() < 1.2 * long
        assert float(stretched.mean()) == pytest.approx(0, abs=0.15 * long)


def test_stripes_of_time_and_bands_are_hidden(monkeypatch):
    for step in ("room", "noise", "clip", "microphone", "codec"):
        monkeypatch.setattr(augment, step, lambda logmel, _: logmel)
    monkeypatch.setattr(augment, "_speak", lambda logmel, _: logmel)
    heard = voices()
    varied = vary_logmel(heard, rng())
    rest = (varied - heard).flatten(1)
    gain = rest.median(1, keepdim=True).values
    assert gain.abs().max() <= augment.GAIN_LOG
    hidden = ((rest - gain).abs() > 1e-3).view_as(heard)
    share = float(hidden.float().mean())
    assert share == pytest.approx(1 - (1 - augment.MASK_SHARE / 2) ** 4, abs=0.05)
    for row in hidden[:20]:
        lines, columns = row.float().mean(1) > 0.97, row.float().mean(0) > 0.97
        assert not row[~lines][:, ~columns].any(), "whole rows and whole columns"
