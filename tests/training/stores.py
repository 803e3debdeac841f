"""Small feature stores whose vectors say something of their labels."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from triaffect.corpora.rows import TaskLabels, build_moments
from triaffect.features.extractors.onnx import GrayCrops
from triaffect.features.extractors.spec import ExtractorSpec
from triaffect.features.store import FeatureStore
from triaffect.features.store_writer import FaceRows, SourceInfo, StoreWriter
from triaffect.features.timeline import KEY_DTYPE
from triaffect.tasks.registry import TASKS
from triaffect.types import (
    FeatureSeries,
    LabelOrigin,
    Moments,
    Window,
    moments_schema,
    origin_column,
)

RATE = 30.0
FACE = ExtractorSpec("made_face", "1", 12, "float16")
VOICE = ExtractorSpec("made_voice", "1", 10, "float16", 16_000, Window(1.0, 0.1, causal=True))
SETS = ("MTL", "VA", "EXPR", "AU")


def made_store(
    path: Path, videos: int = 8, frames: int = 150, tasks=TASKS, *, speaks=True, voice=VOICE
) -> FeatureStore:
    """A store of videos in every label set; a quarter of them for validation and for test.

    Not every video speaks, and without ``voice`` nothing of voices is stored.
    """
    rng = np.random.default_rng(3)
    mixing = {task.key: rng.normal(size=(task.width, 12)) for task in tasks}
    with StoreWriter.create_or_resume(path, FACE, voice, tasks) as writer:
        for video in range(videos):
            split = {2: "validation", 3: "test"}.get(video % 4, "train")
            heard = None if voice is None else speaks
            _add(writer, f"made/v{video:02}", split, frames, tasks, mixing, rng, heard)
    return FeatureStore.open(path)


def crops_store(path: Path, rows: int = 96) -> FeatureStore:
    """A store of random crops with labels of every task, a source for each split."""
    rng = np.random.default_rng(3)
    with StoreWriter.create_or_resume(path, GrayCrops("gray64").spec, None) as writer:
        for split in ("train", "validation", "test"):
            keys = np.zeros(rows, KEY_DTYPE)
            keys["frame"], keys["time_s"] = np.arange(rows), np.arange(rows) / RATE
            values = {
                task.key: TaskLabels.from_nan(decide(task, rng.normal(size=(rows, task.width))))
                for task in TASKS
            }
            known = {"source": split, "person": split, "track": 0, "frame": keys["frame"]}
            known |= {"time_s": keys["time_s"], "split": split, "label_set": "AU"}
            crops = rng.integers(0, 256, (rows, GrayCrops("gray64").spec.dim)).astype(np.uint8)
            writer.add(
                SourceInfo(split, "made", "video", stills=False, frame_rate=RATE),
                build_moments(rows, known, values, LabelOrigin.RENDERED),
                FaceRows(crops, keys),
            )
    return FeatureStore.open(path)


def _add(writer, source, split, frames, tasks, mixing, rng, speaks):
    hidden = rng.normal(size=(frames, 12)).cumsum(0) * 0.3
    keys = np.zeros(frames, KEY_DTYPE)
    keys["frame"], keys["time_s"] = np.arange(frames), np.arange(frames) / RATE
    heard = np.arange(0, frames / RATE if speaks else 0, 0.1)
    voice = np.abs(rng.normal(size=(len(heard), 10)))
    parts = [labels(source, split, name, hidden, tasks, mixing, rng) for name in SETS]
    writer.add(
        SourceInfo(source, "made", "video", stills=False, frame_rate=RATE),
        Moments.concat(parts),
        FaceRows(hidden.astype(np.float16), keys),
        None if speaks is None else FeatureSeries(voice.astype(np.float16), heard),
    )


def labels(source, split, label_set, hidden, tasks, mixing, rng) -> Moments:
    """Labels of one set: all tasks for MTL with gaps, else one task."""
    n = len(hidden)
    frames = np.arange(n, dtype=np.int32)
    columns = {
        "source": [source] * n,
        "person": [source] * n,
        "track": np.zeros(n, np.int32),
        "frame": frames,
        "time_s": frames / RATE,
        "split": [split] * n,
        "label_set": [label_set] * n,
    }
    for task in tasks:
        if label_set not in ("MTL", task.key):
            continue
        values = decide(task, hidden @ mixing[task.key].T)
        if label_set == "MTL":
            values[rng.random(n) < 0.2] = np.nan
        columns |= {name: values[:, k] for k, name in enumerate(task.columns)}
        columns[origin_column(task.key)] = ["rendered"] * n
    schema = moments_schema({task.key: task.columns for task in tasks})
    arrays = [
        pa.array(columns.get(field.name, [None] * n), field.type, from_pandas=True)
        for field in schema
    ]
    return Moments(pa.Table.from_arrays(arrays, schema=schema))


def decide(task, score):
    """Labels in the task's own range from real-valued scores (N, K)."""
    if task.exclusive:
        return np.eye(task.width)[score.argmax(1)]
    if task.display_range[0] < 0:
        return np.tanh(score)
    return (score > 0).astype(float)


def stills_store(folder: Path) -> FeatureStore:
    """A store of six unrelated pictures, the frames 0 to 5 of the source ``pictures``."""
    keys = np.zeros(6, KEY_DTYPE)
    keys["frame"], keys["time_s"] = np.arange(6), np.arange(6) / RATE
    made = made_store(folder / "made", videos=1, frames=6)
    table = made.moments.table.set_column(0, "source", [["pictures"] * len(made.moments)])
    with StoreWriter.create_or_resume(folder / "stills", FACE, None) as writer:
        info = SourceInfo("pictures", "made", "images", stills=True, frame_rate=RATE)
        writer.add(info, Moments(table), FaceRows(np.array(made.face), keys))
    return FeatureStore.open(folder / "stills")
