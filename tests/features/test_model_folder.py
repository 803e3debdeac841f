"""Model folders: written whole, read back equal, and every kind of damage named."""

import errno
import json
import os
import shutil
from pathlib import Path

import pytest

from triaffect.errors import DiskError, ModelError
from triaffect.features.model_folder import (
    FacePart,
    FusionPart,
    Manifest,
    VoicePart,
    copy_part,
    load_model_folder,
    write_model_folder,
)
from triaffect.types import Window

FACE = FacePart("face.onnx", "light_face", "gray64", 128)
VOICE = VoicePart("voice.onnx", "light_voice", "logmel64", 96, Window(2.0, 0.1, causal=False))
FUSION = FusionPart("fusion.onnx", Window(2.0, 1 / 3), 128, 96)
MANIFEST = Manifest(
    name="toy",
    version="1",
    licence="research",
    tasks=({"key": "VA", "name": "valence_arousal", "columns": ["valence", "arousal"]},),
    face=FACE,
    voice=VOICE,
    fusion=FUSION,
    thresholds={"AU1": 0.25},
    recipe={"seed": 3},
    versions={"triaffect": "0.1.0"},
    label_origins={"VA": "rendered"},
)
FILES = {
    "face.onnx": b"face",
    "voice.onnx": b"voice",
    "fusion.onnx": b"fusion",
    "face.safetensors": b"weights",
    "CARD.md": b"# Toy",
}


@pytest.fixture
def folder(tmp_path):
    return write_model_folder(tmp_path / "model", MANIFEST, FILES)


def test_reads_back_what_was_written(folder):
    again = load_model_folder(folder.path)
    assert again == folder
    assert again.manifest.voice.window == VOICE.window
    assert again.network("fusion").read_bytes() == b"fusion"
    assert again.file("face.safetensors").read_bytes() == b"weights"
    assert again.manifest.thresholds == {"AU1": 0.25}


def test_follows_the_published_form(folder):
    content = json.loads((folder.path / "model.json").read_text())
    assert content["format"] == 1
    assert set(content["parts"]["voice"]) == {
        *("file", "sha256", "extractor", "input", "dim", "span_s", "hop_s", "causal")
    }
    assert content["parts"]["fusion"]["window"]["causal"] is True
    assert set(content["files"]) == {"face.safetensors", "CARD.md"}


def test_rewriting_replaces_the_folder_and_leaves_nothing_beside_it(folder):
    alone = Manifest("face only", "2", "research", face=FACE)
    write_model_folder(folder.path, alone, {"face.onnx": b"other"})
    again = load_model_folder(folder.path)
    assert list(again.manifest.parts) == ["face"]
    assert sorted(p.name for p in folder.path.iterdir()) == ["face.onnx", "model.json"]
    assert [p.name for p in folder.path.parent.iterdir()] == ["model"]


def test_a_failed_write_leaves_the_old_folder(folder):
    with pytest.raises(ModelError, match="voice network"):
        write_model_folder(folder.path, MANIFEST, {"face.onnx": b"new"})
    assert load_model_folder(folder.path) == folder
    assert [p.name for p in folder.path.parent.iterdir()] == ["model"]


def test_never_replaces_a_folder_of_something_else(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "me.jpg").write_bytes(b"")
    with pytest.raises(ModelError, match="something else"):
        write_model_folder(tmp_path / "photos", MANIFEST, FILES)
    assert (tmp_path / "photos" / "me.jpg").exists()


def test_copies_one_part_with_its_weights(folder, tmp_path):
    part = copy_part(folder, "face", tmp_path / "part")
    assert list(part.manifest.parts) == ["face"]
    assert load_model_folder(tmp_path / "part").file("face.safetensors").read_bytes() == b"weights"
    assert not (tmp_path / "part" / "voice.onnx").exists()
    assert part.manifest.face == folder.manifest.face


def test_copy_part_leaves_out_weights_that_an_installed_package_lacks(folder, tmp_path):
    (folder.path / "face.safetensors").unlink()
    with pytest.raises(ModelError, match=r"the file face\.safetensors, got none"):
        copy_part(folder, "face", tmp_path / "whole")
    part = copy_part(folder, "face", tmp_path / "part", may_lack_weights=True)
    assert part.manifest.files == {}
    assert part.manifest.face == folder.manifest.face
    with pytest.raises(ModelError, match=r"the file face\.safetensors, got none"):
        folder.file("face.safetensors")


def test_asking_for_a_part_that_is_not_there(tmp_path):
    alone = write_model_folder(
        tmp_path / "m", Manifest("f", "1", "x", face=FACE), {"face.onnx": b"face"}
    )
    with pytest.raises(ModelError, match="voice network, got one with face"):
        alone.network("voice")


def _edit(folder, change):
    path = folder.path / "model.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(format=2), "format 1"),
        (lambda c: c.pop("name"), "the field name, got none"),
        (lambda c: c.pop("parts"), "the field parts, got none"),
        (lambda c: c["parts"]["face"].update(dim="wide"), "parts.face.dim: a valid integer"),
        (lambda c: c["parts"]["face"].update(dim=True), "parts.face.dim: a valid integer"),
        (
            lambda c: c["parts"]["face"].update(input="rgb99"),
            "'gray64_close' or 'rgb224', got 'rgb99'",
        ),
        (lambda c: c["parts"]["voice"].pop("span_s"), "the field parts.voice.span_s, got none"),
        (lambda c: c["parts"]["face"].update(file="../face.onnx"), "plain file name"),
        (lambda c: c["parts"].update(face=3), "parts.face: .* got 3"),
        (lambda c: c.update(colour=3), "only fields that this version knows, got colour"),
        (lambda c: c["parts"]["voice"].update(input="soundnet22050"), "2 file names for blocks"),
        (lambda c: c.update(tasks=[3]), "tasks.0: .* got 3"),
    ],
)
def test_a_description_that_does_not_fit(folder, change, message):
    _edit(folder, change)
    with pytest.raises(ModelError, match=message):
        load_model_folder(folder.path)


def test_damage_to_the_files(folder, tmp_path):
    with pytest.raises(ModelError, match="no such folder"):
        load_model_folder(tmp_path / "nothing")
    (folder.path / "face.safetensors").write_bytes(b"changed")
    with pytest.raises(ModelError, match="other content"):
        load_model_folder(folder.path).file("face.safetensors")
    (folder.path / "fusion.onnx").write_bytes(b"changed")
    with pytest.raises(ModelError, match=r"fusion\.onnx: expected the hash"):
        load_model_folder(folder.path)
    (folder.path / "fusion.onnx").unlink()
    with pytest.raises(ModelError, match="got none"):
        load_model_folder(folder.path)
    (folder.path / "model.json").write_text("{")
    with pytest.raises(ModelError, match="expected JSON"):
        load_model_folder(folder.path)
    shutil.rmtree(folder.path)
    folder.path.mkdir()
    with pytest.raises(ModelError, match="a folder without one"):
        load_model_folder(folder.path)


@pytest.mark.parametrize("failing", [{1}, {2}, {2, 3}])
def test_a_rename_without_room_keeps_what_was_there(folder, monkeypatch, failing):
    """A full disk may have no room even for a name; and later it has."""
    before = {path.name: path.read_bytes() for path in folder.path.iterdir()}
    replace_, done = Path.replace, []

    def full(self, target):
        done.append(target)
        if len(done) in failing:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        return replace_(self, target)

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(DiskError, match="No space left"):
        write_model_folder(folder.path, MANIFEST, {**FILES, "face.onnx": b"new"})
    if 3 in failing:  # not even back
        with pytest.raises(ModelError, match="voice network"):
            write_model_folder(folder.path, MANIFEST, {"face.onnx": b"new"})
    assert {path.name: path.read_bytes() for path in folder.path.iterdir()} == before
    assert [path.name for path in folder.path.parent.iterdir()] == ["model"]
