"""What a sound changes of what is said of a face: the comparison, and what is compared."""

import json
import sys

import numpy as np
import pandas as pd
import pytest
import skimage.io

from tests.benchmarks.scripts import load
from tests.prediction.tiny_model import portrait, tone, write_clip, write_sound, write_tiny_model
from triaffect.features.extractors.onnx import OnnxVoice
from triaffect.features.model_folder import load_model_folder
from triaffect.media.probe import read_image
from triaffect.prediction.options import Options
from triaffect.prediction.predictor import Predictor
from triaffect.tasks.expression import EXPRESSION
from triaffect.tasks.valence_arousal import VALENCE_AROUSAL

script, in_memory = load("check_sound"), load("in_memory")
CODES = ("01", "05")


def answers(classes, valence):
    affect = np.column_stack([valence, np.zeros(len(valence))])
    return {EXPRESSION.key: np.eye(8)[classes], VALENCE_AROUSAL.key: affect}


def test_what_changed():
    found = script.Compared.of(
        answers([0, 1, 2, 2], [0.5, 0, 0, -0.5]), answers([0, 1, 2, 3], [0, 0, 0, 0.5])
    )
    assert found.said.tolist() == [[0, 0], [1, 1], [2, 2], [3, 2]]
    wanted = {"n": 4, "same": 0.75, "valence": 0.375, "arousal": 0, "p": 2 / 8 / 4}
    once, twice = found.summary(), script.Compared.joined([found, found]).summary()
    assert once.pop("mostly") == twice.pop("mostly") == "fear to disgust 25%"
    assert once == pytest.approx(wanted)
    assert twice == pytest.approx({**wanted, "n": 8})
    assert script.Compared.of(answers([0], [0]), answers([0], [0])).summary()["mostly"] == ""


def test_only_moments_with_a_face_and_a_voice_are_compared():
    columns = [*EXPRESSION.columns, *VALENCE_AROUSAL.columns]
    faces = pd.DataFrame(np.tile(np.eye(10)[0], (4, 1)), columns=columns)
    heard = pd.DataFrame(np.tile(np.eye(10)[1], (4, 1)), columns=columns)
    heard["face_seen"], heard["voice_heard"] = [True, True, False, False], [True, False] * 2
    assert script.both_there(heard, faces).said.tolist() == [[0, 1]]
    heard["voice_heard"] = False
    assert script.both_there(heard, faces).summary() is None


def test_targets_are_met_or_missed():
    high, low = {"same": 0.95}, {"same": 0.85}
    assert script._met([high, None]) == "met"
    assert script._met([high, low]) == "missed"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A model, and clips, pictures and recordings for it."""
    root = tmp_path_factory.mktemp("folders")
    clips, london = root / "clips", root / "london"
    clips.mkdir()
    london.mkdir()
    write_clip(clips / "a.mp4", 12)
    write_clip(clips / "mute.mp4", 8, sound=False)
    for kind in ("neutral", "smiling"):
        skimage.io.imsave(london / f"001_{kind}.jpg", portrait())
    for code in CODES:
        path = root / "ravdess" / "Actor_15" / f"03-01-{code}-01-01-01-15.wav"
        path.parent.mkdir(exist_ok=True, parents=True)
        write_sound(path, tone(2.0))
    return write_tiny_model(root / "tiny"), clips, london, root / "ravdess"


def test_a_held_still_is_a_video_of_it(folders):
    """A face in memory gets the answers of a file that shows it all the time."""
    model, _, london, _ = folders
    picture = read_image(london / "001_neutral.jpg")
    frames = [(k / 25, picture) for k in range(50)]
    everywhere = Options(detection_interval_s=0)  # as the crop of the still is found
    predictor, tiny = Predictor(model, options=everywhere), in_memory.InMemoryModel(model)
    (*_, last) = predictor.stream(frames)
    shown = last[list(EXPRESSION.columns)].to_numpy(float)[-1]
    crop = script.crops_of(london)[:1]
    held = tiny.fusion(*tiny.stills(crop, held=True), *tiny.silence(1))[EXPRESSION.key][0]
    np.testing.assert_allclose(held, shown, atol=1e-5)
    assert np.abs(tiny.predict_faces(crop)[EXPRESSION.key][0] - held).max() > 0.01


def test_rows_of_a_sound_are_the_models(folders):
    model = folders[0]
    rows, heard = in_memory.InMemoryModel(model).voices([tone(2.0)])
    voice = OnnxVoice(load_model_folder(model))
    wanted = np.concatenate([each.values for each in voice.stream(iter([tone(2.0)]))])
    np.testing.assert_array_equal(rows, wanted.astype(np.float32))
    assert heard.shape == (len(rows),)
    assert not in_memory.InMemoryModel(model).voices([np.zeros(32_000, np.float32)])[1].any()


def test_made_noise_is_not_loud():
    for each in script.made_noise(16_000):
        assert each.dtype == np.float32
        assert each.std() == pytest.approx(0.05, rel=1e-3)


def test_all_is_told(folders, tmp_path, monkeypatch, capsys):
    model, clips, london, ravdess = folders
    told = tmp_path / "told.json"
    line = ["x", str(clips), str(london), str(ravdess), "--model", str(model), "--json", str(told)]
    monkeypatch.setattr(sys, "argv", line)
    script.main()
    found = json.loads(told.read_text())
    assert found["faces"] == 2
    assert found["clips"].keys() == {"all", "a.mp4", "mute.mp4"}
    assert found["clips"]["mute.mp4"] is None
    assert set(found["stills"]) == {"clips", "neutral", "angry", "made noise"}
    assert capsys.readouterr().out.count("target 0.9") == 2
    (tmp_path / "none").mkdir()
    line[1] = str(tmp_path / "none")
    with pytest.raises(SystemExit, match="no files"):
        script.main()
