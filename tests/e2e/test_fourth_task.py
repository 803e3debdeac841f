"""A task of another module, named by its path: from label file to page, package unchanged."""

import json
import re

import numpy as np
import pandas as pd
import pytest
import skimage.data
import torch

import triaffect
from tests.prediction.tiny_model import write_tiny_model
from tests.training.recipes import small
from triaffect.corpora.label_table import LabelTable
from triaffect.errors import PluginError
from triaffect.evaluation.evaluate import evaluate_model, rows_of_split, score_rows
from triaffect.evaluation.minibatch_scores import authors_scores, pools_of_run
from triaffect.evaluation.results import Resampling
from triaffect.features.extraction import extract
from triaffect.features.store import FeatureStore
from triaffect.media.writer import write_video
from triaffect.prediction.predictor import Predictor
from triaffect.report.training_page import training_page
from triaffect.tasks import registry
from triaffect.tasks.registry import TASKS, task
from triaffect.training.export import export_run
from triaffect.training.scoring import open_run, predict_rows, truth_of
from triaffect.training.trainer import train

PATH = "tests.tasks.toy:PAIN"
FRAMES, RATE = 24, 12.0


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Three clips of a portrait that wanders, one for each split, with all four labels."""

    root = tmp_path_factory.mktemp("corpus")
    portrait = skimage.data.astronaut()[:256, 96:352]
    rows = []
    for clip, split in enumerate(["train", "validation", "test"]):
        frames = [np.roll(portrait, (n % 5, 2 * clip), (0, 1)) for n in range(FRAMES)]
        sound = 0.1 * np.random.default_rng(clip).normal(size=32_000).astype(np.float32)
        write_video(root / f"{clip}.mp4", frames, RATE, sound)
        for n in range(FRAMES):
            swing = np.sin(n / 3 + clip)
            row = {"clip": f"{clip}.mp4", "frame": n, "split": split, "person": str(clip)}
            row |= {"valence": swing, "arousal": -swing / 2, "expression": n % 8}
            row |= {name: int(swing > 0) for name in TASKS[2].columns}
            rows.append(row | {"pain": (1 + swing) / 2})
    pd.DataFrame(rows).to_csv(root / "labels.csv", index=False)
    return root


@pytest.fixture
def new_process(monkeypatch):
    """Forget, as a new process would, which tasks were loaded."""

    def forget():
        monkeypatch.setattr(registry, "_loaded", {})

    forget()
    return forget


def test_a_fourth_task_goes_from_labels_to_page(corpus, tmp_path, new_process):
    torch.set_num_threads(1)
    networks = str(write_tiny_model(tmp_path / "tiny"))
    task(PATH)  # as `extract --task` does
    extract(LabelTable(corpus), tmp_path / "store", networks, networks)
    store = FeatureStore.open(tmp_path / "store")
    new_process()
    recipe = small(
        "default",
        f'tasks=["VA", "EXPR", "AU", "{PATH}"]',
        'teacher.updates=["MTL"]',
        'student.updates=["MTL"]',
        'student.distillation.on=["MTL"]',
        "data.batch_size=8",
        "data.held_out=0",
    )
    folder = train(recipe, store, tmp_path / "run")
    export_run(folder, store)

    scores = json.loads(folder.scores.read_text())
    official = scores["student"]["test"]["MTL"]["official"]
    assert set(official) == {"P_VA", "P_EXPR", "P_AU", "P_PAIN", "P_MTL"}
    assert official["P_PAIN"] > 0
    new_process()
    work, nets = open_run(folder.root, store)
    split = rows_of_split(store, work.samples, "test", work.tasks)
    said = predict_rows(nets[-1].net, work.samples, split.rows, work.tasks)
    found = score_rows(split, said, Resampling(resamples=10)).overall
    assert found.official["P_PAIN"] == pytest.approx(official["P_PAIN"])
    assert found.intervals.units["PAIN"] == 1
    pools = {
        name: np.searchsorted(split.rows, rows) for name, rows in pools_of_run(work, "test").items()
    }
    authors = authors_scores(truth_of(work.samples, split.rows), said, pools, work.tasks)
    assert authors.pools["MTL"].authors["P_PAIN"]
    lines = [json.loads(line) for line in folder.journal.read_text().splitlines()]
    assert {"MTL.label.PAIN", "MTL.teacher.PAIN"} <= set(lines[-1]["losses"])

    new_process()
    predictor = Predictor(folder.model)
    predictions = predictor.predict(corpus / "2.mp4")
    assert predictions["pain"].between(0, 1).all()
    page = training_page({"student": {"official": official}}, lines, predictions, predictor.tasks)
    assert "P_PAIN" in page
    assert "pain" in page
    check_missing_plugin(folder, store, new_process)


def check_missing_plugin(folder, store, new_process):
    """Run and model folder name the module; without it, they say what to install."""
    refusal = "the task .*PAIN of `pain_module`, got no module pain_module; pip install pain-tasks"
    new_process()
    for path, opened in (
        (folder.description, lambda: open_run(folder.root, store)),
        (folder.model / "model.json", lambda: Predictor(folder.model)),
    ):
        text = path.read_text()
        assert '"path": "tests.tasks.toy:PAIN"' in text
        path.write_text(
            re.sub(
                r'"path": "tests.tasks.toy:PAIN"(, *\s*"package": "", *\s*"version": "")?',
                '"path": "pain_module:PAIN", "package": "pain-tasks", "version": "3"',
                text,
            )
        )
        with pytest.raises(PluginError, match=refusal) as refused:
            opened()
        assert "\n" not in str(refused.value)


def test_the_model_answers_as_training_scored_it(corpus, tmp_path):
    """Extract, train, export and predict see the same windows and the same numbers."""
    torch.set_num_threads(1)
    networks = str(write_tiny_model(tmp_path / "tiny"))
    extract(LabelTable(corpus), tmp_path / "store", networks, networks)
    store = FeatureStore.open(tmp_path / "store")
    updates = ["teacher.updates=['MTL']", "student.updates=['MTL']"]
    recipe = small("default", *updates, "data.batch_size=8", "data.held_out=0")
    folder = train(recipe, store, tmp_path / "run")
    export_run(folder, store)
    scored = json.loads(folder.scores.read_text())["student"]["test"]["MTL"]["official"]

    shipped = evaluate_model(folder.model, store).stages["model"].overall
    assert shipped.official == pytest.approx(scored, abs=1e-3)
    model = triaffect.load(folder.model)
    predictions = model.predict(corpus / "2.mp4").assign(clip="2.mp4")
    labels = pd.read_csv(corpus / "labels.csv")
    truth = labels[labels["clip"] == "2.mp4"].drop(columns=["split", "person", "pain"])
    assert triaffect.score(truth, predictions).official == pytest.approx(scored, abs=1e-3)
