"""Extractors: the builtin ones, and networks run from a model folder."""

import cv2
import numpy as np
import pytest

from tests.features.networks import face_folder, voice_folder
from triaffect.errors import ModelError
from triaffect.features.extractors.onnx import gray64
from triaffect.features.extractors.registry import face_extractor, voice_extractor
from triaffect.synthetic.voice import utter
from triaffect.types import Window
from triaffect.voice.log_mel import BANDS, SILENCE, log_mel, log_mel_stream
from triaffect.voice.stream import VoiceStream


def crops(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 112, 112, 3), np.uint8)


def sound(seconds, rate, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, round(seconds * rate)).astype(np.float32)


def joined(stream):
    parts = list(stream)
    return np.concatenate([p.values for p in parts]), np.concatenate([p.times_s for p in parts])


def test_gray64_is_the_crop_in_gray_averaged_down():
    picture = crops(3)
    rows = face_extractor("gray64")(picture)
    assert rows.dtype == np.uint8
    assert rows.shape == (3, 4096)
    for row, crop in zip(rows, picture, strict=True):
        level = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
        expected = cv2.resize(level, (64, 64), interpolation=cv2.INTER_AREA)
        np.testing.assert_array_equal(row.reshape(64, 64), expected)
    red = np.zeros((1, 112, 112, 3), np.uint8)
    red[..., 0] = 255
    assert set(gray64(red).ravel()) == {76}  # 0.299 · 255: red is the first channel


def test_gray64_close_is_the_middle_of_the_face_and_nothing_around_it():
    picture = crops(2)
    around = picture.copy()
    around[:, 26:110, 14:98] = 0
    assert not face_extractor("gray64_close")(around).any()
    rows = face_extractor("gray64_close")(picture)
    level = cv2.cvtColor(np.ascontiguousarray(picture[1, 26:110, 14:98]), cv2.COLOR_RGB2GRAY)
    expected = cv2.resize(level, (64, 64), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(rows[1].reshape(64, 64), expected)


def test_logmel64_rows_carry_the_middle_of_their_window():
    extractor = voice_extractor("logmel64")
    heard = sound(1.234, extractor.spec.rate)
    values, times_s = joined(extractor.stream(np.array_split(heard, 7)))
    np.testing.assert_array_equal(values, log_mel(heard).astype(np.float16))
    np.testing.assert_allclose(times_s, np.arange(124) / 100 + 0.005)
    assert not extractor.spec.window.causal


def test_none_is_no_extractor():
    assert face_extractor("none") is None
    assert voice_extractor("none") is None


@pytest.mark.parametrize("open_one", [face_extractor, voice_extractor])
def test_a_name_that_nobody_knows(open_one):
    with pytest.raises(ModelError, match="none, default or a model folder, got 'gray65'"):
        open_one("gray65")


def test_face_network_on_gray_crops(tmp_path):
    folder, weights = face_folder(tmp_path / "m")
    extractor = face_extractor(str(folder.path))
    picture = crops(70)
    rows = extractor(picture)
    assert rows.dtype == np.float16
    expected = gray64(picture).astype(np.float32).mean(1) @ weights
    np.testing.assert_allclose(rows, expected.astype(np.float16), rtol=2e-3, atol=2e-3)
    assert extractor.spec.sha256 == folder.manifest.face.sha256
    np.testing.assert_array_equal(rows[40:41], extractor(picture[40:41]))


def test_face_network_on_rgb_in_zero_to_one(tmp_path):
    folder, weights = face_folder(tmp_path / "m", kind="rgb224")
    flat = np.zeros((2, 112, 112, 3), np.uint8)
    flat[0, ..., 2] = 255  # blue: last channel
    rows = face_extractor(str(folder.path))(flat)
    expected = np.full(224, 1 / 3) @ weights
    np.testing.assert_allclose(rows[0], expected, rtol=1e-3, atol=2e-3)
    assert not rows[1].any()


@pytest.mark.parametrize("causal", [True, False])
def test_voice_network_has_a_row_for_every_hop_of_the_sound(tmp_path, causal):
    window = Window(0.5, 0.1, causal)
    folder, weights = voice_folder(tmp_path / "m", window)
    extractor = voice_extractor(str(folder.path))
    heard = sound(1.5, 16_000)
    values, times_s = joined(extractor.stream(np.array_split(heard, 5)))
    np.testing.assert_allclose(times_s, np.arange(16) / 10)
    seen = log_mel(heard).astype(np.float16).astype(np.float32)
    first = 50 if causal else 75  # row at 1.0 s
    expected = seen[first : first + 50].mean(0) @ weights
    np.testing.assert_allclose(values[10], expected, rtol=5e-3, atol=2e-3)


@pytest.mark.parametrize("seconds", [0.3, 2.0, 9.6, 21.1])
def test_a_voice_network_runs_once_a_third_of_its_window(tmp_path, seconds):
    folder, weights = voice_folder(tmp_path / "m", Window(3.0, 0.25, causal=False))
    extractor = voice_extractor(str(folder.path))
    assert extractor.step_s == 1.0
    whole = sound(seconds, 16_000) * np.linspace(0, 1, round(seconds * 16_000), dtype=np.float32)
    values, times_s = joined(extractor.stream(np.array_split(whole, 7)))
    count = int(seconds / 0.25 + 1e-6) + 1
    np.testing.assert_array_equal(times_s, np.arange(count) / 4)
    silence = np.full((150, BANDS), SILENCE, np.float32)
    seen = log_mel(whole).astype(np.float16).astype(np.float32)
    seen = np.concatenate([silence, seen, silence])
    exact = np.stack([seen[k * 25 : k * 25 + 300].mean(0) @ weights for k in range(count)])
    runs = np.unique(np.append(np.arange(0, count, 4), count - 1))
    expected = np.stack([np.interp(np.arange(count), runs, each) for each in exact[runs].T], 1)
    np.testing.assert_allclose(values, expected, rtol=5e-3, atol=5e-3)
    spectrum = log_mel_stream(np.array_split(whole, 5))
    again, _ = joined(extractor.stream_spectrum(spectrum))
    np.testing.assert_array_equal(again, values)


@pytest.mark.parametrize("size", [4000, 30_000, 200_000])
def test_a_spectrum_that_is_shared_with_voice_activity_changes_no_row(tmp_path, size):
    folder, _ = voice_folder(tmp_path / "m", Window(3.0, 0.25, causal=False))
    network = voice_extractor(str(folder.path))
    talk = utter(4.0, valence=0.2, arousal=0.3)
    quiet = np.zeros(5 * 16_000, np.float32)
    whole = np.concatenate([quiet, talk, quiet, talk[:9_999]])
    chunks = np.split(whole, range(size, len(whole), size))
    shared = list(VoiceStream(network, chunks))
    network.reads_spectrum = False
    apart = list(VoiceStream(network, chunks))
    for name in ("values", "times_s", "active"):
        one, other = (
            np.concatenate([getattr(each, name) for each in rows]) for rows in (shared, apart)
        )
        np.testing.assert_array_equal(one, other)
    assert 0 < np.concatenate([each.active for each in shared]).mean() < 1


@pytest.mark.parametrize(
    "window", [Window(3.0, 0.25), Window(3.0, 1.0, causal=False), Window(0.5, 0.1, causal=False)]
)
def test_a_network_that_must_not_wait_or_seldom_runs_has_no_row_interpolated(tmp_path, window):
    folder, _ = voice_folder(tmp_path / "m", window)
    assert voice_extractor(str(folder.path)).step_s == window.hop_s


def test_sound_net_hears_the_ten_seconds_before(tmp_path):
    window = Window(10.0, 1 / 30, causal=True)
    folder, weights = voice_folder(tmp_path / "m", window, kind="wave22050", dim=22)
    extractor = voice_extractor(str(folder.path))
    assert extractor.spec.rate == 22_050
    heard = np.full(round(10.1 * 22_050), 2.0, np.float32)  # louder than full scale
    heard[:1000] = -0.5
    values, times_s = joined(extractor.stream(np.array_split(heard, 11)))
    np.testing.assert_allclose(times_s, [10, 10 + 1 / 30, 10 + 2 / 30, 10.1])
    wave = np.full(220_500, 255.0)
    wave[:1000] = -0.5 * 255
    np.testing.assert_allclose(values[0], wave @ weights, rtol=1e-2, atol=1e-2)


def test_a_sound_that_is_too_short_or_empty(tmp_path):
    folder, _ = voice_folder(tmp_path / "w", Window(10.0, 1.0), kind="wave22050", dim=2)
    assert list(voice_extractor(str(folder.path)).stream([sound(9.9, 22_050)])) == []
    folder, _ = voice_folder(tmp_path / "l", Window(1.0, 0.1))
    assert list(voice_extractor(str(folder.path)).stream([])) == []
    assert len(joined(voice_extractor(str(folder.path)).stream([sound(0.01, 16_000)]))[0]) == 1


def test_networks_that_do_not_fit(tmp_path):
    folder, _ = face_folder(tmp_path / "face", dim=5, claimed=6)
    with pytest.raises(ModelError, match="6 features"):
        face_extractor(str(folder.path))(crops(1))
    with pytest.raises(ModelError, match="voice network"):
        voice_extractor(str(folder.path))
