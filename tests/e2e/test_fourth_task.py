"""Adding a task is one file and one line: a toy task from label file to page."""

import json

import numpy as np
import pandas as pd
import pytest
import skimage.data
import torch

import triaffect
from tests.prediction.tiny_model import write_tiny_model
from tests.tasks.toy import Pain
from tests.training.recipes import small
from triaffect.cli.evaluate import score_model_folder
from triaffect.corpora.label_table import LabelTable
from triaffect.evaluation.evaluate import Resampling, evaluate, split_of
from triaffect.evaluation.minibatch_scores import authors_scores, pools_of_run
from triaffect.features.extraction import extract
from triaffect.features.store import FeatureStore
from triaffect.media.writer import write_video
from triaffect.prediction.predictor import Predictor
from triaffect.report.training_page import demo_page
from triaffect.tasks.registry import TASKS
from triaffect.training.export import export_run
from triaffect.training.scoring import predict_rows
from triaffect.training.trainer import open_run, train

FOUR = (*TASKS, Pain())
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


def test_a_fourth_task_goes_from_labels_to_page(corpus, tmp_path):
    torch.set_num_threads(1)
    networks = str(write_tiny_model(tmp_path / "tiny"))
    extract(LabelTable(corpus, FOUR), tmp_path / "store", networks, networks, tasks=FOUR)
    store = FeatureStore.open(tmp_path / "store")
    recipe = small(
        "default",
        'tasks=["VA", "EXPR", "AU", "PAIN"]',
        'teacher.updates=["MTL"]',
        'student.updates=["MTL"]',
        'student.distillation.on=["MTL"]',
        "data.batch_size=8",
        "data.held_out=0",
    )
    folder = train(recipe, store, tmp_path / "run", known=FOUR)
    export_run(folder, store, FOUR)

    scores = json.loads(folder.scores.read_text())
    official = scores["student"]["test"]["MTL"]["official"]
    assert set(official) == {"P_VA", "P_EXPR", "P_AU", "P_PAIN", "P_MTL"}
    assert official["P_PAIN"] > 0
    work, nets = open_run(folder.root, store, FOUR)
    split = split_of(store, work.samples, "test", FOUR)
    said = predict_rows(nets[-1].net, work.samples, split.rows, FOUR)
    found = evaluate(split, said, Resampling(10))["all"]
    assert found["official"]["P_PAIN"] == pytest.approx(official["P_PAIN"])
    assert found["intervals"]["units"]["PAIN"] == 1
    assert authors_scores(split, said, pools_of_run(work, "test"))["pools"]["MTL"]["authors"][
        "P_PAIN"
    ]
    lines = [json.loads(line) for line in folder.journal.read_text().splitlines()]
    assert {"MTL.label.PAIN", "MTL.teacher.PAIN"} <= set(lines[-1]["losses"])

    predictions = Predictor(folder.model, tasks=FOUR).predict(corpus / "2.mp4")
    assert predictions["pain"].between(0, 1).all()
    page = demo_page({"student": {"official": official}}, lines, predictions, FOUR)
    assert "P_PAIN" in page
    assert "pain" in page


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

    shipped = score_model_folder(folder.model, store, "test")["stages"]["model"]["all"]
    assert shipped["official"] == pytest.approx(scored, abs=1e-3)
    model = triaffect.load(folder.model)
    predictions = model.predict(corpus / "2.mp4").assign(clip="2.mp4")
    labels = pd.read_csv(corpus / "labels.csv")
    truth = labels[labels["clip"] == "2.mp4"].drop(columns=["split", "person", "pain"])
    assert triaffect.score(truth, predictions).official == pytest.approx(scored, abs=1e-3)
