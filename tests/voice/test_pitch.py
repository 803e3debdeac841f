"""Pitch and periodicity beside the log-mel spectrum, from the sound to a trained network."""

import re

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.architecture.repository import ROOT
from tests.features.networks import voice_folder
from triaffect.corpora.rows import TaskLabels, build_moments
from triaffect.datasets.augmentation import spectra
from triaffect.datasets.augmentation.augment import vary_logmel, vary_speaker
from triaffect.errors import StoreError
from triaffect.features.extractors.onnx import OnnxVoice
from triaffect.features.extractors.registry import voice_extractor
from triaffect.features.model_folder import load_model_folder
from triaffect.features.store import FeatureStore
from triaffect.features.store_writer import SourceInfo, StoreWriter
from triaffect.models.base import load_weights
from triaffect.models.light_voice import LightVoice
from triaffect.recipes.load import load_recipe
from triaffect.synthetic.voice import utter
from triaffect.tasks.registry import resolve_tasks
from triaffect.training.export import export_run
from triaffect.training.trainer import train
from triaffect.types import LabelOrigin, Moments, Window
from triaffect.voice.log_mel import BANDS, RATE, SILENT_ROW, log_mel, log_mel_stream
from triaffect.voice.stream import VoiceStream
from triaffect.weights.default.example import Client


def overtones(hz, numbers, seconds=1.0):
    t = np.arange(round(seconds * RATE)) / RATE
    return sum(np.sin(2 * np.pi * hz * k * t + k) / k for k in numbers).astype(np.float32) / 4


def rows_of(*chunks):
    return np.concatenate(list(log_mel_stream(chunks, pitch=True)))


def pitch_hz(rows):
    return 150 * 2 ** rows[:, BANDS]


@pytest.mark.parametrize("hz", [75, 110, 180, 260, 420])
@pytest.mark.parametrize("numbers", [range(1, 9), range(2, 7)], ids=["all", "no fundamental"])
def test_the_pitch_is_that_of_the_fundamental(hz, numbers):
    rows = rows_of(overtones(hz, numbers))[5:-5]
    assert np.abs(pitch_hz(rows) / hz - 1).max() < 0.03
    assert rows[:, BANDS + 1].min() > 0.9


def test_noise_and_silence_have_none():
    noise = np.random.default_rng(0).normal(0, 0.1, 2 * RATE).astype(np.float32)
    assert (rows_of(noise)[:, BANDS + 1] < 0.5).mean() > 0.9
    silent = rows_of(np.zeros(RATE, np.float32))
    assert np.array_equal(silent.astype(np.float16), np.tile(SILENT_ROW, (100, 1)))


def test_a_voice_that_begins_has_a_pitch_from_its_own_row_on():
    sound = np.concatenate([np.zeros(RATE // 2, np.float32), overtones(200, range(1, 9))])
    voiced = rows_of(sound)[:, BANDS + 1] > 0.5
    assert not voiced[:46].any()
    assert voiced[53:].all()


@pytest.mark.parametrize("cuts", [[1], [159, 16_001], list(range(0, 40_000, 777))])
def test_chunks_give_exactly_the_whole_and_the_bands_are_those_without_pitch(cuts):
    sound = utter(2.5, valence=0.3, arousal=0.2)
    whole, cut = rows_of(sound), rows_of(*np.split(sound, cuts))
    assert np.array_equal(whole, cut)
    assert np.array_equal(whole[:, :BANDS], log_mel(sound))


def test_extraction_and_prediction_read_the_same_pitch(tmp_path):
    sound = utter(3.0, valence=0.0, arousal=0.0)
    rows = np.concatenate([e.values for e in voice_extractor("logmel64_pitch").stream([sound])])
    assert np.array_equal(rows, rows_of(sound).astype(np.float16))
    window = Window(1.0, 0.5, causal=True)
    folder, weights = voice_folder(tmp_path / "m", window, kind="logmel64_pitch")
    network = OnnxVoice(folder)
    streamed = list(VoiceStream(network, np.array_split(sound, 9)))
    direct = np.concatenate([each.values for each in network.stream([sound])])
    values = np.concatenate([each.values for each in streamed])
    assert np.array_equal(values, direct)
    last = rows[150:250].astype(np.float32).mean(0) @ weights
    assert np.allclose(values[5].astype(np.float32), last, atol=2e-2)
    plain, _ = voice_folder(tmp_path / "plain", window)
    active = [np.concatenate([e.active for e in VoiceStream(OnnxVoice(each), [sound])])
              for each in (folder, plain)]  # fmt: skip
    assert np.array_equal(*active)
    assert active[0].any()


def test_the_documented_client_reads_the_same_pitch(tmp_path):
    text = (ROOT / "docs" / "reference" / "model-folder.md").read_text("utf-8")
    (function,) = re.findall(r'```python title="voices.py"\n(.*?)```', text, re.DOTALL)
    names = {}
    exec(compile(function, "voices.py", "exec"), names)
    sound = utter(3.0, valence=0.2, arousal=0.1)
    rows = rows_of(sound)
    assert np.abs(names["pitch"](sound, len(rows)) - rows[:, BANDS:]).max() < 1e-3
    window = Window(1.0, 0.25, causal=False)
    folder, _ = voice_folder(tmp_path / "m", window, kind="logmel64_pitch")
    ours = np.concatenate([each.values for each in OnnxVoice(folder).stream([sound])])
    theirs = names["voices"](Client(folder.path), sound)
    assert theirs.shape == ours.shape
    assert np.allclose(theirs.astype(np.float32), ours.astype(np.float32), atol=1e-2)


def made_voices(count=40, length=120):
    made = np.random.default_rng(0)
    spectrum = made.uniform(-10, 6, (count, length, BANDS))
    octaves = np.where(np.arange(length) % 40 < 30, np.sin(np.arange(length) / 9), 0)
    pitch = np.stack([octaves, octaves != 0], 1)[None].repeat(count, 0)
    return torch.from_numpy(np.concatenate([spectrum, pitch], 2).astype(np.float32))


def rng():
    return np.random.default_rng(3)


def test_variations_leave_the_bands_as_they_are_without_pitch():
    voices = made_voices()
    varied, plain = vary_logmel(voices, rng()), vary_logmel(voices[..., :BANDS], rng())
    assert torch.allclose(varied[..., :BANDS], plain, atol=1e-5)
    assert varied.shape == voices.shape
    octaves, periodicity = varied[..., BANDS], varied[..., BANDS + 1]
    assert set(periodicity.unique().tolist()) == {0, 1}
    assert (periodicity.sum(1) == 0).sum() > 0, "some have none"
    assert not octaves[periodicity == 0].any()
    spoiled, left = spectra.spoil(voices, rng(), share=1.0)
    bands, same = spectra.spoil(voices[..., :BANDS], rng(), share=1.0)
    assert torch.allclose(spoiled[..., :BANDS], bands, atol=1e-5)
    assert np.array_equal(left, same)


def test_the_pitch_follows_a_voice_that_is_moved():
    voices = made_voices()
    voices[..., :BANDS] = 12 * voices[..., BANDS + 1 :] - 6  # it sounds where there is a pitch
    moved = vary_speaker(voices, rng())
    steps = (moved[..., 20] > 0).float()
    assert (steps == moved[..., BANDS + 1]).float().mean() > 0.95
    played, _ = spectra.play_at_wrong_speed(voices, rng(), share=1.0)
    higher = played[..., BANDS].amax(1) - voices[..., BANDS].amax(1)
    changes = played[..., BANDS + 1].diff(dim=1).abs().sum(1)
    assert (higher.abs() > 0.2).all()
    assert changes[higher > 0].mean() > changes[higher < 0].mean() + 1, "quicker, and higher"


def test_drowned_voices_are_less_periodic():
    voices = made_voices(200)
    spoiled, left = spectra.spoil(voices, rng(), share=1.0)
    drowned = spoiled[..., BANDS + 1].amax(1)
    assert (drowned >= torch.from_numpy(left) - 1e-6).all(), "other damage takes more, not less"
    alone = (drowned < 1) & (spoiled[..., BANDS] == voices[..., BANDS]).all(1)
    assert alone.sum() > 20
    telephoned = torch.from_numpy(left) / spectra.LEFT_BY_TELEPHONE
    equal = (drowned - torch.from_numpy(left)).abs() < 1e-6
    assert (equal | ((drowned - telephoned).abs() < 1e-6))[alone].all()
    assert (drowned < 0.5).any()
    assert torch.equal(voices, made_voices(200)), "the input stays"


def test_the_branch_adds_nothing_at_first_and_hears_voiced_loud_rows_alone(tmp_path):
    tasks = resolve_tasks(("VA", "EXPR"))
    plain, pitched = LightVoice(tasks, (4, 4)), LightVoice(tasks, (4, 4), pitch=True)
    save_file(plain.state_dict(), tmp_path / "plain.safetensors")
    load_weights(pitched, tmp_path / "plain.safetensors", heads_optional=True)
    voices = made_voices(4)
    plain.eval(), pitched.eval()
    with torch.no_grad():
        assert torch.equal(plain.encode(voices[..., :BANDS]), pitched.encode(voices))
        pitched.pitch.out.weight.normal_()
        before = pitched.encode(voices)
        silent = voices.clone()
        silent[..., BANDS] += 0.7 * (voices[..., BANDS + 1] == 0)
        assert torch.equal(pitched.encode(silent), before)
        quiet, higher = voices.clone(), voices.clone()
        quiet[:, :60, :BANDS] -= 30
        changed = quiet.clone()
        changed[:, :60, BANDS] += 0.5
        assert torch.equal(pitched.encode(quiet), pitched.encode(changed))
        higher[..., BANDS] += 0.7
        assert not torch.allclose(pitched.encode(higher), before)


def store_of(path, name, labeled=12):
    """A store of twelve voices; those from ``labeled`` on have no moments."""
    extractor = voice_extractor(name)
    with StoreWriter.create_or_resume(path, None, extractor.spec) as writer:
        for number in range(12):
            split = {2: "validation", 3: "test"}.get(number % 4, "train")
            series = list(extractor.stream([utter(2.0, valence=0, arousal=number % 2 - 0.5)]))
            columns = {"source": f"made/{number}", "person": str(number), "track": -1}
            columns |= {"frame": np.arange(3), "time_s": np.arange(3) / 2, "label_set": "EXPR"}
            labels = {"EXPR": TaskLabels.from_nan(np.eye(8)[np.full(3, number % 2)])}
            rows = build_moments(3, columns | {"split": split}, labels, LabelOrigin.HUMAN)
            parts = [np.concatenate([getattr(e, n) for e in series]) for n in ("values", "times_s")]
            info = SourceInfo(f"made/{number}", "made", "sound", stills=False, frame_rate=30.0)
            rows = rows if number < labeled else Moments(rows.table[:0])
            writer.add(info, rows, None, type(series[0])(*parts))
    return FeatureStore.open(path)


SMALL = (
    "net.pitch=true",
    *("net.widths=[4, 8]", "net.pooled=2", "net.features=6", "data.stretch_s=1.0"),
    *("data.batch_size=8", "voice.epochs=1", "voice.steps_per_epoch=2", "voice.frozen=[]"),
    "data.pools.ALL=['made/EXPR']",
)


def test_a_network_learns_from_pitch_and_its_export_reads_it(tmp_path):
    store = store_of(tmp_path / "store", "logmel64_pitch")
    run = train(load_recipe("light_voice_corpora", list(SMALL)), store, tmp_path / "run", seed=0)
    export_run(run, store)
    folder = load_model_folder(run.model)
    assert folder.manifest.voice.input == "logmel64_pitch"
    weights = load_file(folder.file("voice.safetensors"))
    assert any(name.startswith("pitch.") for name in weights)
    sound = utter(2.0, valence=0.0, arousal=0.4)
    rows = np.concatenate([each.values for each in OnnxVoice(folder).stream([sound])])
    assert rows.shape[1] == 6
    assert np.isfinite(rows).all()


def test_a_store_without_pitch_is_refused_with_the_remedy(tmp_path):
    store = store_of(tmp_path / "store", "logmel64")
    expected = r"with pitch \(logmel64_pitch\), got logmel64; extract the sound again with --voice"
    with pytest.raises(StoreError, match=expected):
        train(load_recipe("light_voice_corpora", list(SMALL)), store, tmp_path / "run", seed=0)
    recipe = load_recipe("light_voice_corpora", [*SMALL, "net.pitch=false"])
    train(recipe, store, tmp_path / "run", seed=0)
