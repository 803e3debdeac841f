"""``triaffect weights``: from a Keras file to a model folder, and what is told of mistakes."""

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from tests.models.keras_made import drawn, filled, write_keras2, write_keras3
from triaffect.cli.app import app
from triaffect.cli.weights import convert
from triaffect.errors import ModelError
from triaffect.features.model_folder import load_model_folder
from triaffect.models.fer_resnet34 import FerResNet34
from triaffect.models.soundnet import SoundNet8


def run(*words):
    """What a command says."""
    result = CliRunner().invoke(app, ["weights", *map(str, words)])
    if isinstance(result.exception, Exception):
        raise result.exception
    assert result.exit_code == 0
    return result.output


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Both networks as Keras files: one of each version."""
    root = tmp_path_factory.mktemp("keras")
    face = list(drawn(FerResNet34(), 1))
    head = ("dense_32", {"kernel": torch.ones(512, 2).numpy(), "bias": torch.ones(2).numpy()})
    write_keras2(root / "FACE.h5", [*face, head], "model_weights")
    write_keras3(root / "SOUND.h5", drawn(SoundNet8(), 3))
    return root


def test_from_keras_to_a_model_folder(files, tmp_path):
    told = run("convert", files / "FACE.h5", files / "SOUND.h5", "--out", tmp_path / "W")
    assert "fer_resnet34, 11,014,080 parameters; left out: dense_32 (512, 2)" in told
    assert "soundnet8, 14,356,777 parameters\n" in told
    tensors = load_file(tmp_path / "W" / "soundnet8.safetensors")
    net = filled(SoundNet8(), 3)
    assert all(torch.equal(tensors[name], value) for name, value in net.named_parameters())
    voice = ("--voice", tmp_path / "W" / "soundnet8.safetensors", "--hop", "1/4")
    assert run("paper", *voice, "--out", tmp_path / "PAPER") == f"{tmp_path / 'PAPER'}: voice\n"
    assert load_model_folder(tmp_path / "PAPER").manifest.voice.window.hop_s == 0.25


def test_one_file_by_its_own_name(files, tmp_path):
    out = tmp_path / "mine.safetensors"
    run("convert", files / "SOUND.h5", "--network", "soundnet8", "--out", out)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.safetensors"]


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (("convert", "SOUND.h5", "SOUND.h5", "--out", "W"), "one file of soundnet8, got a second"),
        (("convert", "SOUND.h5", "FACE.h5", "--out", "w.safetensors"), "one file to convert"),
        (
            ("convert", "SOUND.h5", "--network", "fer_resnet34", "--out", "W"),
            "layers/conv1d/vars with kernel",
        ),
        (("convert", "SOUND.h5", "--out", "SOUND.h5"), "a place to write to"),
        (("convert", "SOUND.h5", "--out", "SOUND.h5/x.safetensors"), "a place to write to"),
        (("convert", "absent.h5", "--out", "W"), "no such file"),
        (("paper", "--out", "P"), "--face, --voice or both"),
        (("paper", "--voice", "absent", "--out", "P"), "no such file"),
        (("paper", "--voice", "SOUND.h5", "--out", "P"), "safetensors"),
        (("paper", "--voice", "x", "--hop", "0", "--out", "P"), "--hop: expected seconds from"),
        (("paper", "--voice", "x", "--hop", "1/0", "--out", "P"), "or 1/30, got '1/0'"),
        (("paper", "--voice", "x", "--hop", "soon", "--out", "P"), "got 'soon'"),
    ],
)
def test_mistakes(words, match, files, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("FACE.h5", "SOUND.h5"):
        (tmp_path / name).symlink_to(files / name)
    with pytest.raises(ModelError, match=match):
        run(*words)
    assert not (tmp_path / "P").exists()


def test_an_order_that_nobody_numbered_is_told(tmp_path, capsys):
    named = [(f"mine_{k}", arrays) for k, (_, arrays) in enumerate(drawn(SoundNet8(), 3))]
    write_keras2(tmp_path / "w.h5", named)
    convert([tmp_path / "w.h5"], tmp_path / "W")
    assert "w.h5: layers without Keras's numbers were taken in the file's order" in (
        capsys.readouterr().err
    )
