"""Varied voices: each defect by what it must do to a spectrum, all of them together by range."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from triaffect.datasets.augmentation import augment, spectra
from triaffect.datasets.augmentation.augment import vary_logmel
from triaffect.datasets.batches import some
from triaffect.voice.log_mel import BANDS, FLOOR, log_mel

ROWS, LENGTH = 300, 60
LOWEST = FLOOR - 1e-5
SHARES = {
    spectra.room: spectra.ECHOING,
    spectra.noise: spectra.NOISY,
    spectra.clip: spectra.CLIPPED,
    spectra.codec: spectra.CODED,
}
every_step = pytest.mark.parametrize("step", [*SHARES, spectra.microphone])


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


def power(logmel):
    return (logmel.double().exp() - spectra.FLOOR).clamp(min=0)


@every_step
def test_step_leaves_its_input_unchanged(step):
    sound = voices()
    before = sound.clone()
    step(sound, rng())
    assert torch.equal(sound, before)


@every_step
@pytest.mark.parametrize("sound", [voices(rows=40), silence(40)], ids=["voices", "silence"])
def test_step_returns_a_spectrum(step, sound):
    changed = step(sound, rng())
    assert changed.shape == sound.shape
    assert changed.dtype == torch.float32
    assert torch.isfinite(changed).all()
    assert changed.min() >= LOWEST - (1.0 if step is spectra.clip else 0), "clamped after it"


@every_step
def test_step_follows_from_the_generator(step):
    sound = voices(rows=40)
    one, same, other = (step(sound, rng(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.mark.parametrize(("step", "share"), SHARES.items())
def test_step_changes_its_declared_share_of_the_spectra(step, share):
    sound = voices()
    changed = (step(sound, rng()) != sound).any(2).any(1)
    assert float(changed.float().mean()) == pytest.approx(share, abs=0.08)


@pytest.mark.parametrize("step", SHARES)
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_step_changes_the_spectra_that_are_drawn_and_no_other(step, share):
    sound = voices()
    changed = (step(sound, rng(), share=share) != sound).any(2).any(1)
    assert torch.equal(changed.nonzero()[:, 0], some(rng(), ROWS, share))


def test_room_adds_a_tail_after_a_sound_and_not_before():
    click = silence(50)
    click[:, 20:25] = 2.0
    rings = spectra.room(click, rng(), share=1.0)
    torch.testing.assert_close(rings[:, :20], click[:, :20], atol=1e-5, rtol=0)
    after = power(rings)[:, 25:].sum(2)
    assert (after[:, 0] > 0).all()
    assert (after.diff(dim=1) <= 0).all(), "a tail falls"
    assert (power(rings)[:, :25] >= power(click)[:, :25] * (1 - 1e-4)).all()


def test_room_tail_falls_within_its_reverberation_time():
    click = silence(200, length=130)
    click[:, 100] = 8.0
    tail = power(spectra.room(click, rng(), share=1.0))[:, 101:111, 0]
    rate = -10 / math.log(10) * tail.log().diff(dim=1) * spectra.ROWS_PER_S
    seconds = 60 / rate.mean(1)
    assert seconds.min() == pytest.approx(0.15, abs=0.03)
    assert seconds.max() == pytest.approx(0.9, abs=0.03)


def test_noise_has_the_declared_loudness():
    sound = voices()
    before = power(sound)
    added = (power(spectra.noise(sound, rng(), share=1.0)) - before).mean((1, 2))
    ratio_db = 10 * (before.mean((1, 2)) / added).log10()
    assert ratio_db.min() > -0.2
    assert ratio_db.max() < 30.2
    assert float(ratio_db.mean()) == pytest.approx(15, abs=2)
    assert ratio_db.std() > 5


def test_the_louder_the_noise_that_drowns_a_voice_the_less_is_left_of_it():
    sound = voices()
    drowned, left = spectra.drown(sound, rng(), share=0.5)
    changed = (drowned != sound).any(2).any(1).numpy()
    assert 0 < changed.sum() < len(sound)
    assert (left[~changed] == 1).all()
    added = (power(drowned) - power(sound)).mean((1, 2))[changed]
    ratio_db = 10 * (power(sound).mean((1, 2))[changed] / added).log10()
    expected = ((ratio_db + 10) / 25).clamp(0, 1).numpy()
    np.testing.assert_allclose(left[changed], expected, atol=0.01)


def test_a_wrong_speed_moves_a_tone_and_shortens_a_sound_by_the_same_factor():
    """A second of 800 Hz in the middle of three."""
    time = np.arange(3 * 16_000) / 16_000
    tone = np.where((time > 1) & (time < 2), 0.3 * np.sin(2 * np.pi * 800 * time), 0)
    sound = torch.from_numpy(log_mel(tone.astype(np.float32)))[None].repeat(60, 1, 1)
    played, left = spectra.play_at_wrong_speed(sound, rng(), share=1.0)
    edges = np.linspace(*(2595 * np.log10(1 + np.array([60, 7600]) / 700)), 66)
    hertz = 700 * (10 ** (edges[played[:, 150].argmax(1).numpy() + 1] / 2595) - 1)
    loud = (played.amax(2) > played.amax((1, 2))[:, None] - 2).sum(1).numpy()
    off = np.abs(np.log(hertz / 800))
    np.testing.assert_allclose(np.log(hertz / 800), -np.log(loud / 100), atol=0.07)
    np.testing.assert_allclose(left, 1 - 0.7 * off / np.log(1.8), atol=0.07)
    assert np.log(1.2) - 0.05 < off.min() < off.max() < np.log(1.8) + 0.05
    assert (hertz > 800).any()
    assert (hertz < 800).any()


def test_spoiled_spectra_are_those_of_which_less_is_left():
    sound = voices(rows=400)
    spoiled, left = spectra.spoil(sound, rng(), share=0.4)
    changed = (spoiled - sound).abs().amax((1, 2)).numpy() > 1e-4
    assert set(np.flatnonzero(left < 1)) <= set(np.flatnonzero(changed))
    assert 0.3 < changed.mean() < 0.45
    assert left.min() >= 0
    same, all_left = spectra.spoil(sound, rng(), share=0.0)
    assert torch.equal(same, sound)
    assert (all_left == 1).all()


def test_noise_is_sometimes_another_spectrum_backwards():
    """What is added is then another spectrum of the batch, backwards."""
    sound = voices(rows=12)
    added = power(spectra.noise(sound, rng(3), share=1.0)) - power(sound)
    others = sound.double().flip(1).exp().flatten(1)
    alike = torch.corrcoef(torch.cat([added.flatten(1), others]))[:12, 12:].amax(1)
    assert 1 <= int((alike > 0.999).sum()) <= 8


def test_noise_grain_differs_between_seeds():
    def grain(seed):
        made = spectra._colored_noise(1, voices(rows=1), rng(seed))[0].log()
        return (made - made.mean(0) - made.mean(1, keepdim=True) + made.mean()).flatten()

    one, other = grain(1), grain(2)
    assert one.std() == pytest.approx(0.5, abs=0.05)
    assert float(torch.corrcoef(torch.stack([one, other]))[0, 1]) == pytest.approx(0, abs=0.1)


def test_microphone_passes_the_telephone_band():
    sound = torch.full((ROWS, LENGTH, BANDS), 3.0)
    wide = spectra.microphone(sound, rng(), share=0.0)
    narrow = spectra.microphone(sound, rng(), share=1.0)
    lost = (wide - narrow)[:, 0]
    assert torch.equal(narrow[:, :1].expand_as(narrow), narrow), "the same at all times"
    inside = slice(spectra.LOWEST_BAND_OF_TELEPHONE[1], spectra.TOP_BAND_OF_TELEPHONE[0])
    assert not lost[:, inside].any()
    assert (lost[:, spectra.TOP_BAND_OF_TELEPHONE[1] + 1 :] > 2).all()
    assert (lost[:, 0] > 2).float().mean() > 0.7
    assert (narrow[:, 0, -1] == FLOOR).all(), "nothing far outside"


def test_microphone_cuts_the_declared_share_to_the_telephone_band():
    narrow = spectra.microphone(torch.full((ROWS, 5, BANDS), 3.0), rng())[:, 0]
    share = float((narrow[:, 30] - narrow[:, -1] > 15).float().mean())
    assert share == pytest.approx(spectra.NARROW, abs=0.06)


def test_microphone_colors_every_spectrum_a_little():
    sound = voices().clamp(min=0)
    colored = spectra.microphone(sound, rng(), share=0.0) - sound
    torch.testing.assert_close(colored, colored[:, :1].expand_as(colored), atol=1e-5, rtol=0)
    assert (colored.abs().amax((1, 2)) > 0.05).all()
    assert colored.std() == pytest.approx(0.36, abs=0.1)


def test_clip_narrows_only_the_loudest_moments():
    sound = voices()
    clipped = spectra.clip(sound, rng(), share=1.0)
    loudness = sound.logsumexp(2)
    over = loudness > loudness.amax(1, keepdim=True) - 0.5
    spread, narrow = (each.amax(2) - each.amin(2) for each in (sound, clipped))
    assert (narrow < spread)[over].all()
    quiet = loudness < loudness.amax(1, keepdim=True) - 3
    assert quiet.any(1).all()
    assert torch.equal(clipped[quiet], sound[quiet])


def test_clip_adds_overtones_to_loud_moments():
    tone = silence(50)
    tone[:, :, 10] = torch.linspace(0, 8, LENGTH)
    clipped = spectra.clip(tone, rng(), share=1.0)
    assert (clipped[:, -1, 10] < 8).all(), "the tone loses height"
    assert (clipped[:, -1, 40] > -1).all()
    assert (clipped[:, 0, 40] == FLOOR).all()


def test_codec_drops_what_louder_bands_hide():
    sound = voices()
    coded = spectra.codec(sound, rng(), share=1.0)
    below = sound.amax(2, keepdim=True) - sound
    dropped = coded <= FLOOR + 1e-4
    assert dropped[below > 9].all()
    audible = (below < 4) & (sound > FLOOR + 1)
    assert not dropped[audible].any()
    off = (coded - sound)[audible].abs()
    assert off.max() <= 0.5 + 1e-4, "half the largest step"
    assert off.mean() > 0.05


@given(st.integers(0, 10_000))
@settings(deadline=None, max_examples=15)
def test_vary_logmel_returns_a_spectrum(seed):
    sound = torch.cat([voices(seed, 6), silence(2)]).half()
    before = sound.clone()
    varied = vary_logmel(sound, rng(seed))
    assert varied.dtype == torch.float32
    assert varied.shape == sound.shape
    assert torch.isfinite(varied).all()
    assert varied.min() >= LOWEST
    assert torch.equal(sound, before)


def test_vary_logmel_follows_from_the_generator():
    sound = voices(rows=30)
    one, same, other = (vary_logmel(sound, rng(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert (one != other).any(2).any(1).all(), "no spectrum is the same twice"


def test_vary_speaker_shifts_and_stretches_within_bounds():
    """A tone in the middle, after the speaker alone."""
    tone = torch.full((ROWS, 100, BANDS), -5.0)
    tone[:, 30:70, 22:42] = 5.0
    weight = (augment.vary_speaker(tone, rng()) + 5).clamp(min=0)
    for axis, far, long in ((1, augment.LATER, augment.TEMPO), (2, augment.HIGHER, augment.SIZE)):
        profile = weight.sum(3 - axis)
        side = profile.shape[1]
        middle = (profile * torch.arange(side)).sum(1) / profile.sum(1) - (side - 1) / 2
        assert 0.7 * side * far < middle.abs().max() < 1.25 * side * far
        assert float(middle.mean()) == pytest.approx(0, abs=0.15 * side * far)
        stretched = (40, 20)[axis - 1] / (profile.sum(1) / profile.amax(1)) - 1
        assert 0.7 * long < stretched.abs().max() < 1.2 * long
        assert float(stretched.mean()) == pytest.approx(0, abs=0.15 * long)


def test_vary_logmel_hides_stripes_of_time_and_bands():
    sound = voices()
    varied = vary_logmel(sound, rng(), steps=[augment.vary_gain])
    rest = (varied - sound).flatten(1)
    gain = rest.median(1, keepdim=True).values
    assert gain.abs().max() <= augment.GAIN_LOG
    hidden = ((rest - gain).abs() > 1e-3).view_as(sound)
    share = float(hidden.float().mean())
    assert share == pytest.approx(1 - (1 - augment.MASK_SHARE / 2) ** 4, abs=0.05)
    for row in hidden[:20]:
        lines, columns = row.float().mean(1) > 0.97, row.float().mean(0) > 0.97
        assert not row[~lines][:, ~columns].any(), "whole rows and whole columns"
