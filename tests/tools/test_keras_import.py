"""``python -m tools.keras_import``: from a Keras file to a model folder; errors of the user."""

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from tests.tools.keras_made import drawn, filled, write_keras2, write_keras3
from tools.keras_import.__main__ import app, convert
from triaffect.errors import ModelError
from triaffect.features.model_folder import load_model_folder
from triaffect.models.fer_resnet34 import FerResNet34
from triaffect.models.soundnet import SoundNet8


def run(*words):
    """Output of a command."""
    result = CliRunner().invoke(app, [str(word) for word in words])
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


def test_convert_and_paper_make_a_model_folder_from_keras_files(files, tmp_path):
    output = run("convert", files / "FACE.h5", files / "SOUND.h5", "--out", tmp_path / "W")
    assert "fer_resnet34, 11,014,080 parameters; left out: dense_32 (512, 2)" in output
    assert "soundnet8, 14,356,777 parameters\n" in output
    tensors = load_file(tmp_path / "W" / "soundnet8.safetensors")
    net = filled(SoundNet8(), 3)
    assert all(torch.equal(tensors[name], value) for name, value in net.named_parameters())
    voice = ("--voice", tmp_path / "W" / "soundnet8.safetensors", "--hop", "1/4")
    assert run("paper", *voice, "--out", tmp_path / "PAPER") == f"{tmp_path / 'PAPER'}: voice\n"
    assert load_model_folder(tmp_path / "PAPER").manifest.voice.window.hop_s == 0.25


def test_convert_writes_one_file_under_the_given_name(files, tmp_path):
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
def test_commands_refuse_wrong_arguments(words, match, files, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("FACE.h5", "SOUND.h5"):
        (tmp_path / name).symlink_to(files / name)
    with pytest.raises(ModelError, match=match):
        run(*words)
    assert not (tmp_path / "P").exists()


def test_convert_warns_of_layers_without_numbers(tmp_path, capsys):
    named = [(f"mine_{k}", arrays) for k, (_, arrays) in enumerate(drawn(SoundNet8(), 3))]
    write_keras2(tmp_path / "w.h5", named)
    convert([tmp_path / "w.h5"], tmp_path / "W")
    assert "w.h5: layers without Keras's numbers were taken in the file's order" in (
        capsys.readouterr().err
    )
