"""What the tests of sibling systems share: small recipes, a store, one update."""

import json

import numpy as np
import torch

from tests.training.stores import FACE, RATE, VOICE, labels, made_store
from triaffect.features.external.join import join, stream_spec
from triaffect.features.model_folder import load_model_folder
from triaffect.features.store import FeatureStore
from triaffect.features.store_writer import FaceRows, SourceInfo, StoreWriter
from triaffect.features.timeline import KEY_DTYPE
from triaffect.prediction.heads import Fusion
from triaffect.recipes.load import load_recipe
from triaffect.tasks.registry import TASKS, resolve_tasks
from triaffect.training.build import TrainingContext, build_samples
from triaffect.training.export import export_run
from triaffect.training.run_folder import RunFolder
from triaffect.training.scoring import open_run, predict_rows
from triaffect.training.stage import StageRun
from triaffect.training.trainer import train
from triaffect.training.view import LeakChoice, TrainingView
from triaffect.types import FeatureSeries

SIZES = {
    "emma": ("net.hidden=16", "net.va_hidden=16", "data.extra=['expert']"),
    "task_branches": ("net.dense=8", "net.width=8"),
    "vector_layers": ("net.hidden=[16]",),
    "slots": ("net.slots=13", "net.width=8", "net.heads=2", "net.inner=16"),
    "share_bottom": (
        "net.width=16",
        "net.head_width=8",
        "net.inner=16",
        "net.head=[8, 8]",
        "data.window.span=8",
        "data.sequence_stride=8",
    ),
    "shared_trunk": ("net.hidden=16", "net.branch=8"),
    "sdt": (
        "net.width=16",
        "net.inner=16",
        "net.heads=2",
        "data.window.span=16",
        "data.sequence_stride=8",
    ),
}
"""By kind of network."""
CORPUS_ROWS = 24
LABEL_SETS = {"voices": "EXPR", "faces": "VA"}
"""Of the corpora of `corpora_store`."""


def expert_store(folder, **sizes):
    """A store of videos with a stream ``expert`` of eight logits."""
    torch.set_num_threads(1)
    made = made_store(folder / "store", **sizes)
    (folder / "expert").mkdir()
    for entry in made.entries:
        rows = np.array(made.face[slice(*entry.face)], np.float32)
        path = folder / "expert" / f"{entry.source.rpartition('/')[2]}.npy"
        np.save(path, 3 * rows[:, :8] + 1)
    join(made, folder / "expert", stream_spec("expert", None))
    return FeatureStore.open(folder / "store")


def corpora_store(path, corpora=("voices", "faces"), splits=("train", "validation", "test")):
    """A store in which each corpus has labels of one task; all see faces and hear voices."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(4)
    mixing = {task.key: rng.normal(size=(task.width, 12)) for task in TASKS}
    with StoreWriter.create_or_resume(path, FACE, VOICE, TASKS) as writer:
        for corpus in corpora:
            for split in splits:
                hidden = rng.normal(size=(CORPUS_ROWS, 12))
                source, label_set = f"{corpus}/{split}", LABEL_SETS[corpus]
                keys = np.zeros(CORPUS_ROWS, KEY_DTYPE)
                keys["frame"], keys["time_s"] = (
                    np.arange(CORPUS_ROWS),
                    np.arange(CORPUS_ROWS) / RATE,
                )
                heard = np.arange(0, CORPUS_ROWS / RATE, 0.1)
                voice = np.abs(rng.normal(size=(len(heard), 10))).astype(np.float16)
                writer.add(
                    SourceInfo(source, corpus, "video", stills=False, frame_rate=RATE),
                    labels(source, split, label_set, hidden, TASKS, mixing, rng),
                    FaceRows(hidden.astype(np.float16), keys),
                    FeatureSeries(voice, heard),
                )
    return FeatureStore.open(path)


def small(name, *changes):
    """A sibling's recipe with a small network, few epochs and few members."""
    kind = load_recipe(name).net.kind
    sizes = [*SIZES[kind]]
    if name == "emenet":
        sizes = ["net.width=8", "data.window.span=7", "data.sequence_stride=8"]
    stages = {"deng2020_incomplete": ("teacher", "student")}
    stages["emenet"] = ("teacher", "round1", "round2", "round3")
    plain = list(load_recipe(name).stages) if name not in stages else stages[name]
    sizes += [f"{stage}.epochs=2" for stage in plain]
    members = {"deng2020_incomplete": plain[1:], "emenet": plain}.get(name, ())
    sizes += [f"{stage}.members=2" for stage in members]
    return load_recipe(name, [*sizes, "data.batch_size=64", *changes])


def stage_run(recipe, store, out, stage=0, seed=0):
    """A stage of a recipe, built and ready for an update, and its pools of rows."""
    view = TrainingView.of(recipe, store, seed, LeakChoice.REFUSE)
    tasks = resolve_tasks(recipe.tasks)
    samples = build_samples(recipe.data, view.store, tasks)
    context = TrainingContext(recipe, view.store, samples, tasks, RunFolder(out), seed)
    return StageRun(context, stage)


def one_epoch_of_steps(recipe, store, out, stage=0, steps=1):
    """Losses of the first updates of a stage's first epoch, by term."""
    run = stage_run(recipe, store, out, stage)
    plan, terms = run.plan(0), {}
    for iteration, kind, rows in plan.updates(run.kinds):
        if iteration >= steps:
            break
        run.set_rate(iteration, plan.iterations)
        terms |= {f"{kind}.{k}": v for k, v in run.update(0, iteration, kind, rows).items()}
    return run, terms


def trained(recipe, store, out, **more):
    """A finished run folder."""
    return train(recipe, store, out, seed=1, **more)


def predicts_as_trained(recipe_changes, name, store, out):
    """Train on streams, which need no extractors, export, and compare with the exported network."""
    streams = ("data.face=expert", "data.voice=expert")
    folder = trained(small(name, *streams, *recipe_changes), store, out)
    export_run(folder, store)
    context, stages = open_run(folder.root, store)
    rows = np.arange(40)
    expected = predict_rows(stages[-1].net, context.samples, rows, context.tasks)
    fusion = Fusion(load_model_folder(folder.model), TASKS)
    values = fusion.of_inputs(context.samples.inputs(rows))
    assert values.keys() == expected.keys()
    for key in expected:
        np.testing.assert_allclose(values[key], expected[key], atol=2e-3)
    absent = context.samples.inputs(rows[:3])
    absent["face_present"][:] = False
    if not fusion.part.needs_face:
        absent["voice_present"][:] = False
    assert all(np.isnan(each).all() for each in fusion.of_inputs(absent).values())
    scores = json.loads(folder.scores.read_text())
    assert all(each["test"]["ALL"] for each in scores.values())
    return folder
