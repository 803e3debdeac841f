"""The pages on extending: their own files and commands, run as they are written.

Only what takes long is made small: networks, epochs and clips.
"""

import re
import shlex
import shutil
import sys
import tomllib

import numpy as np
import pandas as pd
import pytest
import skimage.data
import torch
from typer.testing import CliRunner

from tests.architecture.repository import ROOT
from tests.prediction.tiny_model import write_tiny_model
from triaffect.cli.app import app
from triaffect.corpora.base import open_corpus
from triaffect.corpora.label_table import LabelTable
from triaffect.features.extraction import extract
from triaffect.features.store import FeatureStore
from triaffect.media.writer import write_video
from triaffect.recipes.load import load_recipe
from triaffect.tasks import registry

FRAMES, RATE = 16, 8.0
PEOPLE = {"ann": "train", "bob": "validation", "cid": "test"}
ADDED = {
    "extract": ["--face", "tiny", "--voice", "tiny"],
    "train": [
        *("--set", "data.held_out=0", "--set", "data.batch_size=8", "--set", "teacher.epochs=1"),
        *("--set", "student.epochs=1"),
    ],
}
"""What makes a command quick."""

BLOCK = re.compile(r'```(\w+)(?: title="([^"]+)")?\n(.*?)```', re.DOTALL)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Three clips with a table of labels, the same in a form of its own, a store, networks."""
    root = tmp_path_factory.mktemp("made")
    for folder in ("corpus", "rated/films", "rated/ratings"):
        (root / folder).mkdir(parents=True)
    portrait = skimage.data.astronaut()[:192, 128:320]
    rows = []
    for clip, (person, split) in enumerate(PEOPLE.items()):
        film = root / "rated" / "films" / f"{person}-01.mp4"
        frames = [np.roll(portrait, (n % 3, clip), (0, 1)) for n in range(FRAMES)]
        sound = 0.1 * np.random.default_rng(clip).normal(size=32_000).astype(np.float32)
        write_video(film, frames, RATE, sound)
        shutil.copy(film, root / "corpus" / f"{clip}.mp4")
        swing = np.sin(np.arange(FRAMES) / 3 + clip)
        lines = [f"{v},{-v / 2}" for v in swing]
        ratings = root / "rated" / "ratings" / f"{person}-01.csv"
        ratings.write_text("\n".join(["valence,arousal", *lines]) + "\n")
        for n, v in enumerate(swing):
            row = {"clip": f"{clip}.mp4", "frame": n, "split": split, "person": person}
            row |= {"valence": v, "arousal": -v / 2, "expression": n % 8}
            row |= dict.fromkeys(registry.TASKS[2].columns, int(v > 0))
            rows.append(row | {"engagement": (1 + v) / 2})
    pd.DataFrame(rows).to_csv(root / "corpus" / "labels.csv", index=False)
    write_tiny_model(root / "tiny")
    networks = str(root / "tiny")
    extract(LabelTable(root / "corpus", registry.TASKS), root / "plain", networks, networks)
    return root


@pytest.fixture
def page(made, tmp_path, monkeypatch):
    """Runs a page's blocks in a folder that has what the page takes for granted."""
    torch.set_num_threads(1)
    before = set(sys.modules)
    monkeypatch.setattr(registry, "_loaded", {})
    monkeypatch.chdir(tmp_path)
    for name in ("corpus", "rated", "tiny"):
        (tmp_path / name).symlink_to(made / name)

    def run(name, with_store):
        if with_store:
            shutil.copytree(made / "plain", "store")
        blocks = BLOCK.findall((ROOT / "docs" / "how-to" / f"{name}.md").read_text("utf-8"))
        for language, file, text in blocks:
            if file:
                (tmp_path / file).write_text(text)
            elif language == "bash":
                run_commands(text, tmp_path, monkeypatch)
        return [(language, text) for language, file, text in blocks if not file]

    yield run
    for name in set(sys.modules) - before:
        if name.startswith("my_"):
            del sys.modules[name]


def run_commands(text, folder, monkeypatch):
    """Run a block of commands, each in this process."""
    for line in text.strip().splitlines():
        if line == "export PYTHONPATH=.":
            monkeypatch.syspath_prepend(folder)
            continue
        program, command, *words = shlex.split(line)
        assert program == "triaffect"
        result = CliRunner().invoke(app, [command, *words, *ADDED.get(command, [])])
        assert result.exit_code == 0, (line, result.output, result.exception)


def install(blocks, folder, group):
    """Install the page's module as its last block says; give the name that it gets."""
    (table,) = [tomllib.loads(text) for language, text in blocks if language == "toml"]
    ((name, path),) = table["project"]["entry-points"][group].items()
    info = folder / "my_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {path}\n")
    return name


def test_add_a_task(page, tmp_path):
    blocks = page("add-a-task", with_store=False)
    table = pd.read_csv("table.csv")
    assert table["engagement"].between(0, 1).all()
    assert "engagement" in (tmp_path / "page.html").read_text("utf-8")
    name = install(blocks, tmp_path, "triaffect.tasks")
    registry._loaded.clear()
    assert registry.available_tasks()[-1].key == name == "ENG"
    plugin = registry.task_plugins([registry.task(name)])[name]
    assert (plugin.package, plugin.version) == ("my-package", "1.0")


def test_add_a_network(page, tmp_path):
    blocks = page("add-a-network", with_store=True)
    assert pd.read_csv("table.csv")["valence"].between(-1, 1).all()
    name = install(blocks, tmp_path, "triaffect.networks")
    recipe = load_recipe("mean.toml", [f"net.kind={name}"])
    assert recipe.net.sizes() == {"width": 32, "dropout": 0.3}


def test_add_a_corpus(page, tmp_path):
    blocks = page("add-a-corpus", with_store=False)
    store = FeatureStore.open(tmp_path / "store")
    assert list(store.sources) == [f"rated_films/{person}-01.mp4" for person in PEOPLE]
    assert len(store.moments) == 3 * FRAMES
    assert store.moments.labeled(("valence", "arousal"))[1].all()
    install(blocks, tmp_path, "triaffect.corpora")
    assert type(open_corpus(tmp_path / "rated")).__name__ == "RatedFilms"


def test_add_a_recipe(page, capsys):
    blocks = page("add-a-recipe", with_store=True)
    (code,) = [text for language, text in blocks if language == "python"]
    (output,) = [text for language, text in blocks if language == "text"]
    exec(code, {})
    assert capsys.readouterr().out == output
