"""An installation that is damaged, old, or on an old processor: one line and exit code 2."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import onnxruntime
import pandas as pd
import pytest
import skimage.io

from tests.prediction.tiny_model import portrait, tone, write_sound
from triaffect.cli.app import main
from triaffect.faces import detection

SHIPPED = Path(detection.WEIGHTS).parent / "default"
NETWORKS = ("face.onnx", "voice.onnx", "fusion.onnx")


@pytest.fixture
def run(monkeypatch, capsys, model, tmp_path):
    """Predict a picture and a sound; gives exit code and the lines on stderr."""
    monkeypatch.chdir(tmp_path)
    skimage.io.imsave("one.png", portrait())
    write_sound(Path("two.wav"), tone(1.0))

    def call(*arguments):
        line = ["triaffect", "predict", "one.png", "two.wav", "-o", "t.csv"]
        line += ["--jobs", "1", *arguments]
        monkeypatch.setattr(sys, "argv", [*line, *([] if arguments else ["--model", str(model)])])
        with pytest.raises(SystemExit) as done:
            main()
        assert not Path("t.csv").exists()
        return done.value.code, capsys.readouterr().err.splitlines()

    return call


def damage(path, how):
    content = path.read_bytes()
    changed = {
        "cut": content[: len(content) // 2],
        "one bit": content[:-99] + bytes([content[-99] ^ 4]) + content[-98:],
        "empty": b"",
        "zeros": bytes(len(content)),
    }
    path.unlink() if how == "gone" else path.write_bytes(changed[how])


@pytest.mark.parametrize("how", ["cut", "one bit", "empty", "zeros", "gone"])
def test_a_damaged_detector_is_one_line(run, tmp_path, monkeypatch, how):
    folder = shutil.copytree(detection.WEIGHTS, tmp_path / "detector")
    damage(folder / "detector.onnx", how)
    opened = partial(detection.open_detector, folder)
    monkeypatch.setattr(detection, "open_detector", opened)
    code, lines = run()
    assert code == 2
    assert len(lines) == 1
    assert lines[0].startswith("triaffect: ")
    assert "detector.onnx" in lines[0]
    assert lines[0].endswith("install triaffect again")


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("how", ["cut", "one bit", "empty", "zeros", "gone"])
def test_a_damaged_network_in_8_bits_is_one_line(run, tmp_path, name, how):
    folder = shutil.copytree(SHIPPED, tmp_path / "weights")
    damage(folder / name, how)
    code, lines = run("--model", "weights")
    assert code == 2
    assert len(lines) == 1
    assert lines[0].startswith(f"triaffect: weights/{name}: expected")


def with_its_hash(folder, name):
    """Write the hash of a changed network into the folder's description."""
    path = folder / "model.json"
    description = json.loads(path.read_text("utf-8"))
    part = description["parts"][name.removesuffix(".onnx")]
    part["sha256"] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    path.write_text(json.dumps(description), "utf-8")


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("how", ["cut", "empty", "zeros", "another's"])
def test_a_network_that_is_none_is_one_line_whatever_its_hash(run, tmp_path, name, how):
    """As one that was quantized or copied by hand."""
    folder = shutil.copytree(SHIPPED, tmp_path / "weights")
    if how == "another's":
        other = NETWORKS[NETWORKS.index(name) - 1]
        shutil.copy(SHIPPED / other, folder / name)
    else:
        damage(folder / name, how)
    with_its_hash(folder, name)
    code, lines = run("--model", "weights")
    assert code == 2
    assert len(lines) == 1
    assert lines[0].startswith(f"triaffect: weights/{name}: expected")


def test_an_old_onnxruntime_is_one_line(run, monkeypatch):
    monkeypatch.setattr(onnxruntime, "__version__", "1.17.3")
    code, lines = run()
    assert code == 2
    got = "triaffect: expected onnxruntime 1.20 or newer, got 1.17.3"
    assert lines == [f"{got}; pip install --upgrade onnxruntime"]


OLD_PROCESSORS = {
    "without AVX2": ("AVX2 FMA3 AVX512F AVX512CD AVX512_SKX X86_V3 X86_V4", "AVX2,FMA3"),
}
"""What NumPy and OpenCV are kept from using; onnxruntime cannot be."""


@pytest.mark.parametrize("processor", OLD_PROCESSORS)
def test_numpy_and_opencv_do_without_avx2(model, tmp_path, processor):
    skimage.io.imsave(tmp_path / "one.png", portrait())
    for_numpy, for_opencv = OLD_PROCESSORS[processor]
    tables = []
    old = {"OPENCV_CPU_DISABLE": for_opencv, "NPY_DISABLE_CPU_FEATURES": for_numpy}
    for name, more in (("new", {}), ("old", old)):
        command = [sys.executable, "-W", "ignore", "-m", "triaffect", "predict", "one.png"]
        done = subprocess.run(
            [*command, "-o", f"{name}.csv", "--model", str(model)],
            cwd=tmp_path, env=os.environ | more, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        tables.append(pd.read_csv(tmp_path / f"{name}.csv"))
    assert tables[0]["face_seen"].all()
    pd.testing.assert_frame_equal(*tables, rtol=1e-3, atol=1e-3)


def test_a_processor_too_old_for_numpy_is_one_line(tmp_path):
    """NumPy refuses to be imported there; this stands in its way and says the same."""
    (tmp_path / "numpy").mkdir()
    words = "NumPy was built with baseline optimizations: (X86_V2) but your machine doesn't"
    (tmp_path / "numpy" / "__init__.py").write_text(f'raise RuntimeError("{words} support")\n')
    paths = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-m", "triaffect", "predict", "one.png", "-o", "t.csv"],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "expected a processor with SSE4.2" in done.stderr
