"""Models that cannot predict are refused when they are loaded, and a fourth task just works."""

import json
import subprocess
import sys

import numpy as np
import pytest
import skimage.io

import triaffect
from tests.prediction.tiny_model import (
    FACE_DIM,
    FACE_WINDOW,
    VOICE_DIM,
    portrait,
    write_tiny_model,
)
from triaffect.errors import ModelError
from triaffect.features.extractors import registry
from triaffect.features.model_folder import FusionPart
from triaffect.prediction import predictor as module
from triaffect.prediction.predictor import Predictor
from triaffect.tasks.registry import TASKS
from triaffect.tasks.valence_arousal import ValenceArousal

BASIS = ["face_seen", "voice_heard", "window_share"]
"""What the predictions rest on, the last columns of every table."""


class Pain(ValenceArousal):
    """One value, named differently; everything else is the task's own business."""

    key, name, columns = "PAIN", "pain", ("pain",)


def test_a_fourth_task_becomes_columns(tmp_path):
    tasks = (*TASKS, Pain())
    model = write_tiny_model(tmp_path / "model", tasks=tasks)
    skimage.io.imsave(tmp_path / "one.png", portrait())
    table = Predictor(model, tasks=tasks).predict(tmp_path / "one.png")
    assert list(table.columns)[46:] == ["AU26", "pain", *BASIS]
    assert 0 < table["pain"].item() < 1
    with pytest.raises(ModelError, match="PAIN"):
        Predictor(model)


def test_a_model_may_predict_fewer_tasks(tmp_path):
    model = write_tiny_model(tmp_path / "model", tasks=TASKS[1:2])
    skimage.io.imsave(tmp_path / "one.png", portrait())
    table = Predictor(model).predict(tmp_path / "one.png")
    assert "valence" not in table.columns
    assert np.isclose(table.filter(like="p_").sum(axis=1).item(), 1, atol=1e-5)


def test_a_network_of_complete_windows_leaves_the_other_moments_blank(tmp_path, predictor, clip):
    """The paper's network was never taught what to say of a zero in a face's place."""
    fusion = FusionPart("fusion.onnx", FACE_WINDOW, FACE_DIM, VOICE_DIM, complete=True)
    table = Predictor(write_tiny_model(tmp_path / "model", fusion=fusion)).predict(clip)
    loose = predictor.predict(clip)
    blank = table["valence"].isna().to_numpy()
    early = (table["time_s"] < FACE_WINDOW.span_s - FACE_WINDOW.hop_s / 2).to_numpy()
    assert blank[early].all()
    assert blank[table["frame"].isin([10, 11])].all(), "no face, no window"
    assert not blank[table["frame"] > 34].any()
    assert loose["valence"].notna().all()
    np.testing.assert_array_equal(table["valence"][~blank], loose["valence"][~blank])
    assert (table["voice_heard"] == loose["voice_heard"]).all()
    with pytest.raises(ModelError, match="face alone"):
        triaffect.load(tmp_path / "model").predict(clip, sound=False)


def test_networks_that_do_not_fit_together_are_refused(tmp_path):
    wide = FusionPart("fusion.onnx", FACE_WINDOW, FACE_DIM + 1, 6)
    with pytest.raises(ModelError, match="face vectors of 9"):
        Predictor(write_tiny_model(tmp_path / "a", fusion=wide))
    model = write_tiny_model(tmp_path / "b")
    content = json.loads((model / "model.json").read_text())
    content["tasks"][0]["columns"] = ["valence"]
    (model / "model.json").write_text(json.dumps(content))
    with pytest.raises(ModelError, match="with their columns"):
        Predictor(model)


def test_damage_and_absence_are_named(model, tmp_path):
    with pytest.raises(ModelError, match="no such folder"):
        Predictor(tmp_path / "nowhere")
    damaged = write_tiny_model(tmp_path / "damaged")
    (damaged / "face.onnx").write_bytes((model / "face.onnx").read_bytes()[:-1])
    with pytest.raises(ModelError, match=r"face\.onnx"):
        Predictor(damaged)


def test_a_device_that_is_not_there_is_never_replaced_in_silence(model):
    with pytest.raises(ModelError, match="onnxruntime-gpu"):
        Predictor(model, device="cuda")
    with pytest.raises(ModelError, match="cpu or cuda"):
        Predictor(model, device="gpu")


def test_without_shipped_weights_the_remedy_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "SHIPPED", tmp_path / "weights")
    with pytest.raises(ModelError, match="give a model folder"):
        triaffect.load()


def test_the_package_predicts_with_the_shipped_model(monkeypatch, model, tmp_path):
    assert registry.SHIPPED == module.SHIPPED
    monkeypatch.setattr(module, "SHIPPED", model)
    skimage.io.imsave(tmp_path / "one.png", portrait())
    one = triaffect.predict(tmp_path / "one.png")
    assert one.equals(triaffect.load(model).predict(tmp_path / "one.png"))
    assert triaffect.load(model).thresholds == {"AU1": 0.4}


def test_predictions_can_be_scored(predictor, clip):
    table = predictor.predict(clip)
    truth = table.loc[table["face_seen"], ["clip", "frame", "face_id", "valence", "arousal"]]
    assert triaffect.score(truth, table).official["P_VA"] == pytest.approx(1.0)


def test_importing_is_instant_and_predicting_needs_no_torch(model, tmp_path):
    skimage.io.imsave(tmp_path / "one.png", portrait())
    script = f"""
import sys, triaffect
heavy = {{"numpy", "pandas", "pyarrow", "cv2", "onnxruntime", "torch"}}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
assert len(triaffect.load({str(model)!r}).predict({str(tmp_path / "one.png")!r})) == 1
assert not {{"torch", "triaffect.nets", "triaffect.training"}} & set(sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
