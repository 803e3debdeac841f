"""Whether a store's vectors are those of a model's own networks."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.features.stored import FACE, VOICE
from triaffect.errors import StoreError
from triaffect.features.model_folder import FacePart, Manifest, ModelFolder, VoicePart
from triaffect.features.store import check_networks

MODEL = ModelFolder(
    Path("mine"),
    Manifest(
        "made", "1", "any",
        face=FacePart("face.onnx", FACE.name, "gray64", FACE.dim, FACE.sha256),
        voice=VoicePart("voice.onnx", VOICE.name, "logmel64", VOICE.dim, VOICE.window,
                        sha256=VOICE.sha256),
    ),
)  # fmt: skip


def store(face=FACE, voice=VOICE):
    return SimpleNamespace(path=Path("store"), face_spec=face, voice_spec=voice)


def without(part):
    return ModelFolder(MODEL.path, replace(MODEL.manifest, **{part: None}))


def test_vectors_of_the_own_networks():
    check_networks(MODEL, store())


@pytest.mark.parametrize("part", ["face", "voice"])
def test_vectors_of_another_network_and_none(part):
    own = {"face": FACE, "voice": VOICE}[part]
    other = replace(own, sha256="changed")
    for given, got in ((other, f"one made with {own.name} (changed)"), (None, "none")):
        with pytest.raises(StoreError) as error:
            check_networks(MODEL, store(**{part: given}))
        expected = f"a store made with the model's own {part} network {own.name} ({own.sha256})"
        assert error.value.expected == expected
        assert error.value.got == got
        assert error.value.remedy == f"extract it with --{part} mine"
        assert error.value.where == "store"
        check_networks(without(part), store(**{part: given}))
