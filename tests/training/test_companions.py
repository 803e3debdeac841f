"""What stands beside a model's networks: the program runs and is checked, the card says what is."""

import json
import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.architecture.repository import ROOT
from tests.features.networks import face_folder
from tests.prediction.tiny_model import write_tiny_model
from triaffect.features.extractors.registry import SHIPPED
from triaffect.features.model_folder import (
    Manifest,
    OutputValidity,
    load_model_folder,
)
from triaffect.training.export import companions
from triaffect.training.export.companions import (
    CARD,
    EXAMPLE,
    GOLDEN,
    add_companions,
    companion_files,
    golden_arrays,
)
from triaffect.types import Window
from triaffect.weights.default import example

CHANGES = {
    "plain": {},
    "both sides": {"window": Window(0.8, 0.2, causal=False)},
    "temperatures": {"temperatures": {"VA": 3.0, "EXPR": 0.6, "AU": 1.7}},
    "blanks": {
        "temperatures": {"EXPR": 2.0},
        "temperatures_without_face": {"EXPR": 0.7},
        "outputs": {
            "arousal": OutputValidity(blank="without voice"),
            "valence": OutputValidity(blank="without face"),
            "p_other": OutputValidity(blank="always"),
            "AU23": OutputValidity(blank="always"),
        },
    },
}


@pytest.fixture(params=CHANGES)
def folder(request, tmp_path):
    model = load_model_folder(write_tiny_model(tmp_path / "model", **CHANGES[request.param]))
    add_companions(model)
    return load_model_folder(model.path)


def check(path):
    """Run the program of a folder: AssertionError if it answers as golden.npz does not."""
    runpy.run_path(str(path / EXAMPLE), run_name="__main__")


def test_the_program_answers_as_the_model_does(folder):
    assert {EXAMPLE, GOLDEN} <= set(folder.manifest.files)
    for name in folder.manifest.files:
        assert folder.file(name).stat().st_size < 200_000
    golden = np.load(folder.file(GOLDEN), allow_pickle=False)
    client = example.Client(folder.path)
    check(folder.path)
    moment = client.answer([golden["face"]] * 5, golden["voice"][golden["voice_row"]])
    silent = client.answer([golden["face"]] * 5)
    assert moment.keys() - silent.keys() <= {"arousal"}
    unseen = client.answer([None] * 5, golden["voice"][golden["voice_row"]])
    assert ("valence" in unseen) == ("valence" not in folder.manifest.outputs)
    assert not [name for name in unseen if name.startswith("AU")]
    for task in folder.manifest.tasks:
        ours = [unseen.get(name, np.nan) for name in task["columns"]]
        np.testing.assert_allclose(ours, golden["sound." + task["key"]], rtol=0, atol=1e-4)
    assert client.answer([None] * 5) == {}
    window = folder.manifest.fusion.window
    still = [golden["face"] if offset_s == 0 else None for offset_s in window.offsets_s()]
    still = client.answer(still)
    for task in folder.manifest.tasks:
        ours = [still.get(name, np.nan) for name in task["columns"]]
        np.testing.assert_allclose(ours, golden["still." + task["key"]], rtol=0, atol=1e-4)


def test_every_step_of_the_program_is_there_to_compare(folder):
    golden = np.load(folder.file(GOLDEN), allow_pickle=False)
    client = example.Client(folder.path)
    face = client.face(golden["rgb"], golden["landmarks"])
    np.testing.assert_allclose(face, golden["face"], atol=2e-3)
    text = (ROOT / "docs" / "reference" / "model-folder.md").read_text("utf-8")
    (function,) = re.findall(r'```python title="voices.py"\n(.*?)```', text, re.DOTALL)
    exec(compile(function, "voices.py", "exec"), names := {})
    voices = names["voices"](client, golden["sound"] / 32768)
    np.testing.assert_allclose(voices, golden["voice"], atol=2e-2)
    assert np.ptp(golden["logmel"].astype(float)) > 5
    assert np.ptp(golden["gray"]) > 100


def test_the_program_notices_another_answer(folder):
    arrays = golden_arrays(folder)
    arrays["moment.EXPR"] = arrays["moment.EXPR"] + np.float32(2e-4)
    np.savez(folder.path / GOLDEN, **arrays)
    with pytest.raises(AssertionError, match="tolerance"):
        check(folder.path)


@pytest.mark.parametrize("need", ["complete", "needs_face"])
def test_the_program_leaves_blank_what_a_model_cannot_do_without(tmp_path, need):
    path = write_tiny_model(tmp_path / "model")
    content = json.loads((path / "model.json").read_text())
    content["parts"]["fusion"][need] = True
    (path / "model.json").write_text(json.dumps(content))
    add_companions(load_model_folder(path))
    check(path)
    golden, client = np.load(path / GOLDEN, allow_pickle=False), example.Client(path)
    assert np.isnan(golden["still.VA"]).all() == (need == "complete")
    assert client.answer([None] * 5, golden["voice"][0]) == {}


def test_writing_again_changes_nothing_but_what_is_ours(folder):
    (folder.path / CARD).write_text("# Mine\n\n---\n\nText.\n")
    first = add_companions(folder)
    before = {path.name: path.read_bytes() for path in folder.path.iterdir()}
    assert add_companions(load_model_folder(folder.path)) == first
    assert {path.name: path.read_bytes() for path in folder.path.iterdir()} == before
    head, _, rest = before[CARD].decode().removeprefix("---\n").partition("---\n\n")
    assert yaml.safe_load(head)["library_name"] == "triaffect"
    assert rest == "# Mine\n\n---\n\nText.\n"
    assert load_model_folder(folder.path).manifest.parts == folder.manifest.parts


def test_a_model_that_the_program_cannot_run_gets_a_card_alone(tmp_path):
    part, _ = face_folder(tmp_path / "face")
    files = companion_files(part.manifest, {"face.onnx": part.network("face")})
    assert list(files) == [CARD]
    assert EXAMPLE not in files[CARD].decode()
    add_companions(part)
    assert sorted(path.name for path in part.path.iterdir()) == ["face.onnx", "model.json"]


def test_the_card_says_what_the_model_is(folder):
    networks = {part.file: folder.path / part.file for part in folder.manifest.parts.values()}
    scores = {"test": {"ALL": {"P_VA": 0.25}}}
    card = companion_files(folder.manifest, {**networks, "LICENSE": b""}, scores)[CARD].decode()
    _, head, text = card.split("---\n", 2)
    fields = yaml.safe_load(head)
    assert fields["license"] == "other"
    assert fields["license_link"] == "LICENSE"
    assert {"onnx", "valence-arousal", "action-units"} <= set(fields["tags"])
    assert "| test | ALL | P_VA 0.250 |" in text
    blank = folder.manifest.outputs.get("AU23")
    assert ("Left blank, for want of labels: p_other, AU23." in text) == (blank is not None)
    assert EXAMPLE in text


@pytest.mark.parametrize("licence", ["", "MIT", 'odd: "quoted"; see LICENSE'])
def test_the_head_is_yaml_whatever_the_licence(licence):
    manifest = Manifest("a", "1", licence, tasks=({"key": "X", "name": "pain: level"},))
    fields = yaml.safe_load(companions.card_head(manifest, []).strip().strip("-"))
    assert fields["license_name"] in ("unknown", "mit", "odd-quoted")
    assert fields["tags"][-1] == "pain-level"


def test_the_shipped_folder_has_them_and_they_are_of_these_networks():
    model = load_model_folder(SHIPPED)
    for name in model.manifest.files:
        assert model.file(name).is_file(), "its hash is that of model.json"
    assert model.file(EXAMPLE) == Path(example.__file__)
    golden = np.load(model.file(GOLDEN), allow_pickle=False)
    check(SHIPPED)
    again = golden_arrays(model)
    assert set(golden) == set(again)
    for name, values in again.items():
        if name in ("face", "voice", "logmel") or "." in name:
            np.testing.assert_allclose(golden[name], values, atol=5e-3, err_msg=name)
        else:
            np.testing.assert_array_equal(golden[name], values)
    head = (SHIPPED / CARD).read_text("utf-8").split("---\n")[1]
    assert yaml.safe_load(head)["license_link"] == "LICENSE"


def test_the_program_stands_by_itself(folder, monkeypatch):
    """It imports nothing of the package."""
    loaded = [name for name in sys.modules if name.partition(".")[0] == "triaffect"]
    for name in loaded:
        monkeypatch.setitem(sys.modules, name, None)
    check(folder.path)
