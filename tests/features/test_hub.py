"""A model on the hub: fetched when its name says so, by the hub's library, never anything else.

No test reaches a hub: the library is a made one.
"""

import sys
from fnmatch import fnmatch
from types import SimpleNamespace

import pytest

import triaffect
from tests.prediction.tiny_model import portrait, write_tiny_model
from triaffect.errors import ModelError
from triaffect.features.hub import fetch_model
from triaffect.prediction.predictor import model_folder


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A made library with a model, and a pickle beside it; it lists what was asked of it."""
    model, calls = write_tiny_model(tmp_path / "remote"), []
    (model / "weights.pkl").write_bytes(b"")
    (model / "pytorch_model.bin").write_bytes(b"")
    (model / "example.py").write_text("")

    def snapshot_download(**options):
        calls.append(options)
        if options["repo_id"] != "me/tiny":
            raise OSError("404: no such repository\nat https://hub")
        cache = tmp_path / "cache"
        cache.mkdir(exist_ok=True)
        for path in model.iterdir():
            if any(fnmatch(path.name, pattern) for pattern in options["allow_patterns"]):
                (cache / path.name).write_bytes(path.read_bytes())
        return str(cache)

    library = SimpleNamespace(snapshot_download=snapshot_download)
    monkeypatch.setitem(sys.modules, "huggingface_hub", library)
    return calls


def test_a_model_of_the_hub_predicts_as_its_folder(hub, tmp_path):
    table = triaffect.load("hf:me/tiny").predict(portrait())
    expected = triaffect.load(tmp_path / "remote").predict(portrait())
    assert table.equals(expected)
    assert triaffect.predict(portrait(), model="hf:me/tiny@v1.0").equals(expected)
    assert [(each["repo_id"], each["revision"]) for each in hub] == [
        ("me/tiny", None),
        ("me/tiny", "v1.0"),
    ]


def test_nothing_is_fetched_that_may_hold_code(hub, tmp_path):
    folder = model_folder("hf:me/tiny")
    assert sorted(path.name for path in folder.iterdir()) == [
        "face.onnx",
        "fusion.onnx",
        "model.json",
        "voice.onnx",
    ]
    assert {pattern.rpartition(".")[2] for pattern in hub[0]["allow_patterns"]} == {
        *("onnx", "safetensors", "toml", "json")
    }


def test_nothing_is_fetched_that_nobody_named(hub, tmp_path):
    triaffect.load(tmp_path / "remote")
    with pytest.raises(ModelError, match="no such folder"):
        triaffect.load("me/tiny")
    assert hub == []


def test_a_damaged_model_of_the_hub_is_refused(hub, tmp_path):
    (tmp_path / "remote" / "face.onnx").write_bytes(b"changed")
    with pytest.raises(ModelError, match=r"face\.onnx: expected the hash"):
        triaffect.load("hf:me/tiny")


def test_what_the_hub_does_not_give_is_named_in_one_line(hub):
    with pytest.raises(ModelError, match=r"hf:me/other: .*404") as error:
        triaffect.load("hf:me/other")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("address", ["hf:", "hf:tiny", "hf:me/../tiny", "hf:a/b/c", "hf:me/tiny@"])
def test_what_is_no_address_is_refused_before_the_hub_is_asked(hub, address):
    with pytest.raises(ModelError, match="expected hf:OWNER/NAME"):
        fetch_model(address)
    assert hub == []


def test_without_the_library_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ModelError, match=r"pip install huggingface_hub$") as error:
        triaffect.load("hf:me/tiny")
    assert "\n" not in str(error.value)
