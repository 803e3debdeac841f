"""A model folder of the paper's extractors gives what the networks give, at any hop."""

import json

import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import save_file

from tests.tools.keras_made import filled
from tools.keras_import.paper_folder import write_paper_folder
from triaffect.errors import ModelError
from triaffect.features.extractors.registry import face_extractor, voice_extractor
from triaffect.features.model_folder import copy_part, file_hash, load_model_folder
from triaffect.models import fer_resnet34
from triaffect.models.fer_resnet34 import FerResNet34
from triaffect.models.soundnet import SoundNet8
from triaffect.types import Window

RATE = 22_050


@pytest.fixture(scope="module")
def voice(tmp_path_factory):
    """SoundNet with drawn weights, and a model folder of it at 30 vectors a second."""
    root = tmp_path_factory.mktemp("voice")
    net = filled(SoundNet8(), 3)
    save_file(net.state_dict(), root / "voice.safetensors")
    folder = write_paper_folder(root / "PAPER", None, root / "voice.safetensors", 1 / 30)
    return net, folder


def at_hop(folder, hop_s, path):
    """The same folder with another hop."""
    copy = copy_part(folder, "voice", path)
    content = json.loads((copy.path / "model.json").read_text())
    content["parts"]["voice"]["hop_s"] = hop_s
    (copy.path / "model.json").write_text(json.dumps(content))
    return voice_extractor(str(copy.path))


@pytest.mark.parametrize("hop_s", [1 / 30, 0.25, 11.0])
def test_voice_vectors_are_the_networks(voice, hop_s, tmp_path):
    net, folder = voice
    sound = np.random.default_rng(0).normal(0, 0.5, 11 * RATE + 300).astype(np.float32)
    extractor = at_hop(folder, hop_s, tmp_path / "copy")
    parts = list(extractor.stream(np.array_split(sound, 9)))
    times_s = np.concatenate([part.times_s for part in parts])
    rows = np.concatenate([part.values for part in parts]).astype(np.float32)
    first = np.ceil(10 / hop_s - 1e-9)
    np.testing.assert_allclose(times_s, np.arange(first, 11 / hop_s + 1e-9) * hop_s)
    wave = np.clip(sound * 255, -255, 255)
    for k in {0, len(rows) // 2, len(rows) - 1}:
        end = round(times_s[k] * RATE)
        with torch.no_grad():
            expected = net(torch.from_numpy(wave[None, end - 10 * RATE : end]))[0].numpy()
        scale = np.abs(expected).max()
        np.testing.assert_allclose(rows[k], expected, rtol=1e-3, atol=1e-3 * scale)


def test_the_folder_tells_what_it_holds(voice):
    _, folder = voice
    part = load_model_folder(folder.path).manifest.voice
    assert part.window == Window(10.0, 1 / 30, causal=True)
    assert (part.extractor, part.dim) == ("soundnet8", 1000)
    assert part.blocks == ("voice.first.onnx", "voice.second.onnx")
    assert set(folder.manifest.parts) == {"voice"}


def test_the_hash_of_the_last_network_depends_on_the_others(voice):
    """It stands for the whole network in stores, so it must change with every layer."""
    _, folder = voice
    last = onnx.load(folder.network("voice"))
    named = {each.key: each.value for each in last.metadata_props}
    assert named == {path.name: file_hash(path) for path in folder.blocks()}
    assert len(named) == 2


def test_blocks_are_checked(voice, tmp_path):
    _, folder = voice
    copy = copy_part(folder, "voice", tmp_path / "copy").path
    block = copy / "voice.first.onnx"
    content = block.read_bytes()
    block.write_bytes(content[:-1])
    with pytest.raises(ModelError, match=r"voice\.first\.onnx: expected the hash"):
        voice_extractor(str(copy))
    block.unlink()
    with pytest.raises(ModelError, match=r"voice\.first\.onnx.*none"):
        voice_extractor(str(copy))
    description = copy / "model.json"
    told = json.loads(description.read_text())
    for blocks in ([], ["voice.first.onnx"], ["a", 3], ["../x.onnx", "b"]):
        told["parts"]["voice"]["blocks"] = blocks
        description.write_text(json.dumps(told))
        with pytest.raises(
            ModelError, match=r"2 file names for blocks|blocks\.1: a valid string|plain file"
        ):
            load_model_folder(copy)


def test_face_vectors_are_the_networks(tmp_path, monkeypatch):
    monkeypatch.setattr(fer_resnet34, "STAGES", ((64, 1), (512, 1)))  # a short one is as good
    net = filled(FerResNet34(), 1)
    save_file(net.state_dict(), tmp_path / "face.safetensors")
    write_paper_folder(tmp_path / "PAPER", tmp_path / "face.safetensors", None, 1.0)
    crops = np.random.default_rng(0).integers(0, 256, (2, 28, 28, 3)).repeat(4, 1).repeat(4, 2)
    crops = crops.astype(np.uint8)
    rows = face_extractor(str(tmp_path / "PAPER"))(crops).astype(np.float32)
    faces = torch.nn.functional.interpolate(
        torch.from_numpy(crops).permute(0, 3, 1, 2).float(), (224, 224), mode="bilinear"
    )
    with torch.no_grad():
        expected = net(faces / 255).numpy()
    # The crops are resized in whole levels.
    np.testing.assert_allclose(rows, expected, atol=0.02 * np.abs(expected).max())
    with pytest.raises(ModelError, match="lacks"):
        write_paper_folder(tmp_path / "P", None, tmp_path / "face.safetensors", 1.0)
    assert not (tmp_path / "P").exists()
