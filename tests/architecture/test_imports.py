"""Who may import whom, and what stays unloaded until it is needed."""

import ast
import json
import subprocess
import sys
import tomllib

import cv2
import pytest

from tests.architecture.repository import PACKAGE, ROOT, modules
from tests.prediction.tiny_model import portrait, write_clip, write_tiny_model

HEAVY = ("torch", "numpy", "pandas", "pyarrow", "cv2", "av", "onnxruntime")
ONLY_TRAINING = (
    "torch",
    "onnx",
    "onnxscript",
    "safetensors",
    "triaffect.models",
    "triaffect.datasets",
    "triaffect.objectives",
    "triaffect.recipes",
    "triaffect.training",
    "triaffect.corpora",
)


def loaded_after(code, *arguments):
    """Modules that a fresh interpreter holds after running some code."""
    told = f"import sys, json\n{code}\nprint('\\n' + json.dumps(sorted(sys.modules)))"
    command = [sys.executable, "-c", told, *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert result.returncode == 0, result.stderr
    return set(json.loads(result.stdout.splitlines()[-1]))


def layers():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    return next(each["layers"] for each in contracts if each["type"] == "layers")


def test_contracts_hold():
    """In a process of its own: it would silence the loggers of the tests that come after."""
    code = (
        "from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_part_of_the_package_has_its_layer():
    parts = {path.stem for path in PACKAGE.glob("*.py") if not path.stem.startswith("__")}
    parts |= {path.parent.name for path in PACKAGE.glob("*/*.py") if path.stem != "__init__"}
    named = {name.strip() for layer in layers() for name in layer.split("|")}
    assert {name.removeprefix("triaffect.") for name in named} == parts


def test_only_its_own_commands_import_the_renderer():
    """`triaffect.synthetic` is a guest: a corpus to try things on, no part of the data flow."""
    importing = {
        name
        for name, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        and "triaffect.synthetic" in ast.unparse(node)
    }
    outside = {name for name in importing if not name.startswith("synthetic/")}
    assert outside == {"cli/corpus.py", "cli/demo.py"}


@pytest.mark.parametrize(
    "code",
    [
        "import triaffect; triaffect.__version__",
        "import sys; sys.argv = ['triaffect', '--help']\n"
        "from triaffect.cli.app import main\n"
        "try: main()\nexcept SystemExit as done: assert done.code == 0",
    ],
    ids=["import", "help"],
)
def test_importing_and_asking_for_help_load_nothing_heavy(code):
    assert not loaded_after(code) & set(HEAVY)


@pytest.mark.parametrize("kind", ["video", "picture", "pictures"])
def test_prediction_loads_nothing_of_training(tmp_path, kind):
    if kind == "video":
        sources = [write_clip(tmp_path / "clip.mp4", frames=6)]
    else:
        sources = [tmp_path / f"{n}.png" for n in range(1 + (kind == "pictures"))]
        for source in sources:
            cv2.imwrite(str(source), cv2.cvtColor(portrait(), cv2.COLOR_RGB2BGR))
    model, out = write_tiny_model(tmp_path / "model"), tmp_path / "table.csv"
    code = (
        "sys.argv = ['triaffect', 'predict', *sys.argv[1:]]\n"
        "from triaffect.cli.app import main\n"
        "try: main()\nexcept SystemExit as done: assert not done.code, done.code"
    )
    loaded = loaded_after(code, *sources, "-o", out, "--model", model, "--jobs", 1)
    assert out.is_file()
    assert "onnxruntime" in loaded, "it did predict"
    slow = {"pandas", "pyarrow.compute", "triaffect.report.annotate", "rich.progress"}
    slow |= {"pydantic", "pyarrow.parquet", "importlib.metadata"}
    if kind == "pictures":  # several files are written in parts first
        slow = {"pandas", "pyarrow.dataset"}
    assert not loaded & slow, "a start would take half as long again"
    assert not loaded & set(ONLY_TRAINING)


def test_annotated_copies_load_no_pandas(tmp_path):
    clip, model = write_clip(tmp_path / "clip.mp4", frames=6), write_tiny_model(tmp_path / "model")
    copy = tmp_path / "copy.mp4"
    code = (
        "sys.argv = ['triaffect', 'predict', *sys.argv[1:]]\n"
        "from triaffect.cli.app import main\n"
        "try: main()\nexcept SystemExit as done: assert not done.code, done.code"
    )
    words = [clip, "-o", tmp_path / "table.csv", "--model", model, "--annotate", copy]
    loaded = loaded_after(code, *words)
    assert copy.is_file()
    assert not loaded & {"pandas", "pyarrow.compute"}


def test_public_functions_load_nothing_of_training(tmp_path):
    clip = write_clip(tmp_path / "clip.mp4", frames=4)
    model = write_tiny_model(tmp_path / "model")
    code = (
        "import triaffect\n"
        "table = triaffect.load(sys.argv[1]).predict(sys.argv[2])\n"
        "assert len(table) == 4\n"
        "triaffect.score(table[['clip', 'frame', 'face_id', 'valence', 'arousal']], table)"
    )
    assert not loaded_after(code, model, clip) & set(ONLY_TRAINING)
