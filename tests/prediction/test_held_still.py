"""A face held still gets one answer, however much of the network's window was there."""

import numpy as np
import pytest
import torch

from tests.prediction.tiny_model import (
    FACE_DIM,
    FACE_WINDOW,
    VOICE_DIM,
    portrait,
    write_clip,
    write_tiny_model,
)
from triaffect.features.model_folder import load_model_folder, write_model_folder
from triaffect.models.default import DefaultNet
from triaffect.prediction.predictor import Predictor
from triaffect.tables.baseline import SUFFIX
from triaffect.tables.postprocess import Postprocessing, postprocess_frame
from triaffect.tasks.action_units import ACTION_UNITS
from triaffect.tasks.registry import TASKS
from triaffect.training.export.run import _Fusion, to_onnx

VALUES, UNITS = ["valence", "arousal"], list(ACTION_UNITS.columns)
RATE, SECONDS = 5, 10


def write_model(path, *, hold):
    """A model folder whose fusing network is the shipped kind, with large random weights."""
    torch.manual_seed(0)
    net = DefaultNet(FACE_DIM, VOICE_DIM, TASKS, width=16, head=8, discriminator=(8, 4), hold=hold)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if name.endswith(("weight", "absent")):
                parameter.add_(torch.randn_like(parameter) * 0.4)
    width = len(FACE_WINDOW.offsets_s())
    example = {
        "face": torch.zeros((2, width, FACE_DIM)),
        "face_present": torch.ones((2, width), dtype=torch.bool),
        "voice": torch.zeros((2, VOICE_DIM)),
        "voice_present": torch.ones(2, dtype=torch.bool),
    }
    tiny = load_model_folder(write_tiny_model(path))
    files = tiny.read_networks()
    del files["model.json"]
    graph = to_onnx(_Fusion(net.eval(), TASKS), example, [task.key for task in TASKS])
    write_model_folder(path, tiny.manifest, {**files, "fusion.onnx": graph})
    return path


@pytest.fixture(scope="module")
def held(tmp_path_factory):
    folder = tmp_path_factory.mktemp("held")
    return Predictor(write_model(folder / "model", hold=True))


def still_and_video(predictor):
    """The row of a picture, and those of a video that shows nothing else for ten seconds."""
    frames = ((k / RATE, portrait()) for k in range(SECONDS * RATE + 1))
    return predictor.predict(portrait()).iloc[0], predictor.predict(frames)


def differences(predictor):
    """The farthest that values and units of the video lie from those of the picture."""
    still, video = still_and_video(predictor)
    apart = [(video[names] - still[names].astype(float)).abs().max() for names in (VALUES, UNITS)]
    return tuple(float(each.max()) for each in apart)


def test_a_still_and_a_video_of_it_agree_from_the_first_frame_on(held):
    values, units = differences(held)
    assert values <= 0.02
    assert units <= 0.05


def test_a_network_that_does_not_hold_answers_half_a_window_otherwise(tmp_path):
    """Else the test above could not fail."""
    values, units = differences(Predictor(write_model(tmp_path / "model", hold=False)))
    assert values > 0.02
    assert units > 0.05


def test_the_table_says_how_much_of_the_window_there_was(held):
    still, video = still_and_video(held)
    width = len(FACE_WINDOW.offsets_s())
    assert still["window_share"] == pytest.approx(1 / width, abs=1e-6)
    filled = 1 + np.floor(video["time_s"] / FACE_WINDOW.hop_s + 0.5).clip(0, width - 1)
    np.testing.assert_allclose(video["window_share"], filled / width, atol=1e-6)


def test_a_gap_empties_the_window_and_no_face_has_none(predictor, tmp_path):
    table = predictor.predict(write_clip(tmp_path / "a.mp4", frames=30, faceless=range(10, 15)))
    without = table["face_id"].isna()
    assert table.loc[without, "window_share"].isna().all()
    assert without.sum() == 5
    after = table[~without & (table["frame"] > 14)]["window_share"]
    assert after.iloc[0] < 1
    assert table["window_share"].max() == 1


def test_the_baseline_begins_with_the_first_row(held):
    """Its median is that of the held face, not of a ramp."""
    _, video = still_and_video(held)
    steps = Postprocessing.parse(baseline="1s")
    above = postprocess_frame(video, steps)[[f"{name}{SUFFIX}" for name in (*VALUES, *UNITS)]]
    assert above.notna().any().all()
    assert above.abs().max().max() <= 0.02
