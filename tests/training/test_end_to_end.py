"""One graph of a whole model answers as its parts, whatever the model lacks or reads."""

import re
import sys
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.architecture.repository import ROOT
from tests.features.networks import face_folder, voice_folder
from tests.prediction.tiny_model import FACE_DIM, VOICE_DIM, portrait, write_tiny_model
from triaffect.cli.app import main
from triaffect.errors import ModelError
from triaffect.faces.alignment import align
from triaffect.faces.stream import FaceStream
from triaffect.features.external.format import ExternalSpec
from triaffect.features.extractors.onnx import GRAY_INPUTS
from triaffect.features.extractors.registry import SHIPPED
from triaffect.features.model_folder import (
    ExternalInput,
    FusionPart,
    OutputValidity,
    VoicePart,
    load_model_folder,
    write_model_folder,
)
from triaffect.prediction.predictor import Predictor
from triaffect.training.export import end_to_end
from triaffect.training.export.companions import companion_files
from triaffect.training.export.end_to_end import export_graph
from triaffect.types import Window

BLANKS = {
    "arousal": OutputValidity(blank="without voice"),
    "p_other": OutputValidity(blank="always"),
    "p_fear": OutputValidity(blank="without voice"),
    "valence": OutputValidity(blank="without face"),
    "p_anger": OutputValidity(blank="without face"),
    "AU23": OutputValidity(blank="always"),
}
WINDOW = Window(0.8, 0.2)
CHANGES = {
    "plain": {},
    "both sides": {"window": Window(0.8, 0.2, causal=False)},
    "temperatures": {"temperatures": {"VA": 3.0, "EXPR": 0.6, "AU": 1.7}},
    "blanks": {"temperatures": {"EXPR": 2.0}, "outputs": BLANKS},
    "without a face": {"temperatures_without_face": {"EXPR": 1.6, "AU": 3.0}},
    "complete": {"fusion": FusionPart("fusion.onnx", WINDOW, FACE_DIM, VOICE_DIM, complete=True)},
    "needs a face": {
        "fusion": FusionPart("fusion.onnx", WINDOW, FACE_DIM, VOICE_DIM, needs_face=True)
    },
}


def external(slot, dim):
    spec = ExternalSpec("emb", dim, "float32", None, 0.0, (), (), any_face=False)
    return ExternalInput(slot, spec)


def inputs_of(path):
    session = onnxruntime.InferenceSession(path)
    return {node.name: node.shape[1:] for node in session.get_inputs()}, session


@pytest.mark.parametrize("change", CHANGES)
def test_the_graph_answers_as_the_parts(tmp_path, change):
    model = write_tiny_model(tmp_path / "model", **CHANGES[change])
    export_graph(model, tmp_path / "whole.onnx")
    shapes, _ = inputs_of(tmp_path / "whole.onnx")
    assert shapes == {
        "crops": [5, 64, 64],
        "face_present": [5],
        "logmel": [100, 64],
        "voice_present": [],
    }


def test_the_graph_answers_as_predict(tmp_path):
    """The shipped model, on a still, as the page has it."""
    export_graph(SHIPPED, tmp_path / "whole.onnx")
    (row,) = [row for _, row in Predictor(SHIPPED).predict(portrait()).iterrows()]
    (landmarks,) = FaceStream().read_picture(portrait()).detections.landmarks
    crop = align(portrait(), landmarks)
    gray = GRAY_INPUTS["gray64_close"](crop[None])[0]
    page = (ROOT / "docs" / "how-to" / "embed.md").read_text("utf-8")
    (program,) = re.findall(r"```python\n(import json\n.*?)```", page, re.DOTALL)
    names = {"gray": gray}
    exec(program.replace("model.onnx", str(tmp_path / "whole.onnx")), names)
    assert names["model"]["face"] == "gray64_close"
    assert names["model"]["thresholds"] == load_model_folder(SHIPPED).manifest.thresholds
    assert len(names["answers"]) == 22
    for name, value in names["answers"].items():
        np.testing.assert_allclose(value, row[name], rtol=0, atol=1e-4, err_msg=name)
    assert np.isnan(names["answers"]["arousal"])


@pytest.mark.parametrize("slot", ["face", "voice"])
def test_vectors_of_another_program_take_the_place_of_a_network(tmp_path, slot):
    part = external(slot, FACE_DIM if slot == "face" else VOICE_DIM)
    fusion = FusionPart("fusion.onnx", WINDOW, FACE_DIM, VOICE_DIM, external=(part,))
    model = write_tiny_model(tmp_path / "model", fusion=fusion, **{slot: None})
    export_graph(model, tmp_path / "whole.onnx")
    shapes, _ = inputs_of(tmp_path / "whole.onnx")
    assert shapes[slot] == ([5, FACE_DIM] if slot == "face" else [VOICE_DIM])
    assert ("crops" in shapes, "logmel" in shapes) == (slot == "voice", slot == "face")


def test_vectors_that_come_on_top_are_inputs(tmp_path):
    model = write_tiny_model(tmp_path / "model")
    folder = load_model_folder(model)
    network = onnx.load(folder.network("fusion"))
    (last,) = [node for node in network.graph.node if node.output[0] == "VA"]
    last.output[0] = "VA.base"
    weights = np.full((3, 2), 0.1, np.float32)
    network.graph.initializer.append(numpy_helper.from_array(weights, "w_extra"))
    network.graph.node.extend(
        [
            helper.make_node("MatMul", ["extra.emb", "w_extra"], ["more"]),
            helper.make_node("Add", ["VA.base", "more"], ["VA"]),
        ]
    )
    for name, kind, shape in (
        ("extra.emb", TensorProto.FLOAT, ["N", 3]),
        ("extra.emb.present", TensorProto.BOOL, ["N"]),
    ):
        network.graph.input.append(helper.make_tensor_value_info(name, kind, shape))
    fusion = replace(folder.manifest.fusion, external=(external("extra", 3),))
    files = {part.file: model / part.file for part in folder.manifest.parts.values()}
    files["fusion.onnx"] = network.SerializeToString()
    other = write_model_folder(tmp_path / "b", replace(folder.manifest, fusion=fusion), files)
    export_graph(other.path, tmp_path / "whole.onnx")
    shapes, session = inputs_of(tmp_path / "whole.onnx")
    assert shapes["extra.emb"] == [3]
    rows = {name: np.zeros((1, *shape), np.float32) for name, shape in shapes.items()}
    rows["crops"] = rows["crops"].astype(np.uint8)
    for name in ("face_present", "voice_present", "extra.emb.present"):
        rows[name] = np.zeros((1, *shapes[name]), bool)
    assert np.isnan(session.run(["VA"], rows)[0]).all()
    rows["extra.emb.present"][:] = True
    assert not np.isnan(session.run(["VA"], rows)[0]).any()
    assert np.isnan(session.run(["AU"], rows)[0]).all(), "units need a face"


@pytest.mark.parametrize("complete", [False, True])
def test_a_voice_at_every_position(tmp_path, complete):
    """A network that takes a sequence of voices: here one that reads their mean."""
    folder = load_model_folder(write_tiny_model(tmp_path / "model"))
    network = onnx.load(folder.network("fusion"))
    network = onnx.compose.add_prefix(network, "one.", rename_inputs=False, rename_outputs=False)
    for node in network.graph.node:
        node.input[:] = [{"voice": "mean", "voice_present": "now"}.get(x, x) for x in node.input]
    axes, last = np.array([1]), np.array(4)
    network.graph.initializer.extend(
        [numpy_helper.from_array(axes, "axes"), numpy_helper.from_array(last, "last")]
    )
    first = [
        helper.make_node("ReduceMean", ["voice"], ["mean"], axes=[1], keepdims=0),
        helper.make_node("Gather", ["voice_present", "last"], ["now"], axis=1),
    ]
    nodes = [*first, *network.graph.node]
    del network.graph.node[:]
    network.graph.node.extend(nodes)
    for value in network.graph.input:
        if value.name.startswith("voice"):
            value.type.tensor_type.shape.dim.insert(1, value.type.tensor_type.shape.dim[0])
            value.type.tensor_type.shape.dim[1].dim_value = 5
    changes = {"voice_sequence": True, "complete": complete}
    manifest = replace(folder.manifest, fusion=replace(folder.manifest.fusion, **changes))
    files = {part.file: folder.path / part.file for part in folder.manifest.parts.values()}
    files["fusion.onnx"] = network.SerializeToString()
    model = write_model_folder(tmp_path / "sequence", manifest, files)
    export_graph(model.path, tmp_path / "whole.onnx")
    shapes, _ = inputs_of(tmp_path / "whole.onnx")
    assert shapes["logmel"] == [5, 100, 64]
    assert shapes["voice_present"] == [5]
    assert list(companion_files(manifest, files)) == ["CARD.md"]


def test_a_model_without_a_voice_has_no_input_for_one(tmp_path):
    """As of a face network that answers by itself: one position, voices of no width."""
    folder = load_model_folder(write_tiny_model(tmp_path / "model"))
    kinds = {"face": [1, FACE_DIM], "face_present": [1], "voice": [0], "voice_present": []}
    bool_, float_ = TensorProto.BOOL, TensorProto.FLOAT
    weights = np.random.default_rng(0).normal(size=(FACE_DIM, 2)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["face"], ["flat"]),
            helper.make_node("MatMul", ["flat", "w"], ["VA"]),
        ],
        "answers",
        [
            helper.make_tensor_value_info(
                name, bool_ if "present" in name else float_, ["N", *dims]
            )
            for name, dims in kinds.items()
        ],
        [helper.make_tensor_value_info("VA", float_, ["N", 2])],
        [numpy_helper.from_array(weights, "w")],
    )
    opset = [helper.make_opsetid("", 18)]
    network = helper.make_model(graph, opset_imports=opset, ir_version=10)
    part = FusionPart("fusion.onnx", Window(0.0, 0.2), FACE_DIM, 0, needs_face=True)
    tasks = folder.manifest.tasks[:1]
    manifest = replace(folder.manifest, voice=None, fusion=part, tasks=tasks)
    files = {"face.onnx": folder.network("face"), "fusion.onnx": network.SerializeToString()}
    model = write_model_folder(tmp_path / "faces", manifest, files)
    export_graph(model.path, tmp_path / "whole.onnx")
    shapes, session = inputs_of(tmp_path / "whole.onnx")
    assert shapes == {"crops": [1, 64, 64], "face_present": [1]}
    crops = np.full((2, 1, 64, 64), 90, np.uint8)
    (values,) = session.run(["VA"], {"crops": crops, "face_present": np.array([[True], [False]])})
    assert np.isfinite(values[0]).all()
    assert np.isnan(values[1]).all()
    assert list(companion_files(manifest, files)) == ["CARD.md"]


def test_a_graph_that_answers_otherwise_is_not_written(tmp_path, monkeypatch):
    model = write_tiny_model(tmp_path / "model", temperatures={"EXPR": 2.0})
    monkeypatch.setattr(end_to_end._Graph, "_divide_by_sum", lambda _self, value, _name: value)
    with pytest.raises(ModelError, match=r"as its parts, got .* apart in EXPR"):
        export_graph(model, tmp_path / "whole.onnx")
    assert not (tmp_path / "whole.onnx").exists()


@pytest.fixture
def run(monkeypatch, capsys):
    def call(*words):
        monkeypatch.setattr(sys, "argv", ["triaffect", "export", *map(str, words)])
        with pytest.raises(SystemExit) as done:
            main()
        return done.value.code or 0, capsys.readouterr().err

    return call


def test_the_command(tmp_path, run):
    model = write_tiny_model(tmp_path / "run" / "model")
    output = tmp_path / "made" / "whole.onnx"
    assert run(model.parent, "--format", "onnx", "-o", output)[0] == 0, "of a run's folder"
    assert output.is_file()
    assert run(model, "--format", "torch", "-o", output)[0] == 2


def test_what_is_no_whole_model_is_refused_in_one_line(tmp_path, run):
    output = tmp_path / "whole.onnx"
    face = face_folder(tmp_path / "face")[0].path
    tiny = write_tiny_model(tmp_path / "tiny")
    mute = load_model_folder(write_tiny_model(tmp_path / "mute", voice=None)).path
    blocks = tmp_path / "blocks"
    sound = VoicePart("voice.onnx", "s", "soundnet22050", VOICE_DIM, WINDOW, blocks=("a", "b"))
    files = {each.name: each for each in tiny.glob("*.onnx")} | {"a": b"", "b": b""}
    manifest = replace(load_model_folder(tiny).manifest, voice=sound)
    write_model_folder(blocks, manifest, files)
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "model.json").write_text("{")
    for path, message in (
        (tmp_path / "nothing", "no such folder"),
        (tmp_path / "damaged", "expected JSON"),
        (face, "expected a model folder with a fusion network, got one with face"),
        (mute, "got a voice network that gives 0"),
        (blocks, "expected a voice network in one file"),
    ):
        code, err = run(path, "-o", output)
        assert (code, len(err.splitlines())) == (2, 1), err
        assert message in err
    code, err = run(tiny, "-o", tmp_path)
    assert (code, "a file to write" in err) == (2, True)
    assert not output.exists()


def test_networks_of_color_and_of_waves(tmp_path):
    folder = load_model_folder(write_tiny_model(tmp_path / "model"))
    face, _ = face_folder(tmp_path / "face", dim=FACE_DIM, kind="rgb224")
    voice, _ = voice_folder(tmp_path / "voice", Window(1.0, 0.2), VOICE_DIM, "wave22050")
    parts = {"face": face.manifest.face, "voice": voice.manifest.voice}
    files = {
        f"{name}.onnx": each.network(name) for name, each in (("face", face), ("voice", voice))
    }
    files["fusion.onnx"] = folder.network("fusion")
    write_model_folder(tmp_path / "both", replace(folder.manifest, **parts), files)
    export_graph(tmp_path / "both", tmp_path / "whole.onnx")
    shapes, _ = inputs_of(tmp_path / "whole.onnx")
    assert shapes["crops"] == [5, 3, 224, 224]
    assert shapes["wave"] == [22050]
