"""A feature store of random numbers with the paper's dimensions, to measure speed on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from triaffect.corpora.rows import Key, build_moments
from triaffect.features.extractors.spec import ExtractorSpec
from triaffect.features.store import KEY_DTYPE, FeatureStore
from triaffect.features.store_writer import FaceRows, SourceInfo, StoreWriter
from triaffect.tasks.registry import TASKS
from triaffect.tasks.task import Task
from triaffect.types import FeatureSeries, LabelOrigin, Moments, Split, Window

BATCHES = {"MTL": 8, "VA": 256, "EXPR": 93, "AU": 224}
"""Rows of each label set in one iteration: batches of 256 on the sizes of Aff-Wild2."""

FACE = ExtractorSpec("random_face", "builtin-1", 512, "float16")
FRAME_RATE = 30
VOICE_SPAN_S = 10
VOICE = ExtractorSpec(
    "random_voice", "builtin-1", 1000, "float16", 22_050, Window(VOICE_SPAN_S, 1 / FRAME_RATE)
)
SOURCE_FRAMES = 900
FIRST_MOMENT = VOICE_SPAN_S * FRAME_RATE
"""Earliest frame with ten seconds of sound before it."""


def make_paper_store(path: Path, iterations: int, sources: int, seed: int) -> FeatureStore:
    """Make a store whose epochs have so many iterations of the paper's four batches.

    Args:
        path: Folder of the new store.
        iterations: Rows are drawn for so many.
        sources: Videos of 900 frames over which the rows are spread, at least 2.
        seed: Decides every number.
    """
    rng = np.random.default_rng(seed)
    with StoreWriter.create_or_resume(path, FACE, VOICE) as writer:
        for number in range(sources):
            split = Split.VALIDATION if number == sources - 1 else Split.TRAIN
            share = _share(iterations, number, sources - 1) if split is Split.TRAIN else BATCHES
            name = f"random/{number:04d}"
            info = SourceInfo(name, "random", "video", stills=False, frame_rate=FRAME_RATE)
            moments = random_moments(name, split, share, (FIRST_MOMENT, SOURCE_FRAMES), rng)
            writer.add(info, moments, _faces(rng), _voices(rng))
    return FeatureStore.open(path)


def _share(iterations: int, number: int, sources: int) -> dict[str, int]:
    """Rows of each label set in one of the training sources; together every row once."""
    return {
        label_set: rows * iterations * (number + 1) // sources
        - rows * iterations * number // sources
        for label_set, rows in BATCHES.items()
    }


def _faces(rng: np.random.Generator) -> FaceRows:
    keys = np.zeros(SOURCE_FRAMES, KEY_DTYPE)
    keys["frame"] = np.arange(SOURCE_FRAMES)
    keys["time_s"] = keys["frame"] / FRAME_RATE
    return FaceRows(_features(rng, SOURCE_FRAMES, FACE.dim), keys)


def _voices(rng: np.random.Generator) -> FeatureSeries:
    times_s = np.arange(FIRST_MOMENT, SOURCE_FRAMES) / FRAME_RATE
    return FeatureSeries(_features(rng, len(times_s), VOICE.dim), times_s)


def _features(rng: np.random.Generator, rows: int, dim: int) -> NDArray[np.float16]:
    return np.abs(rng.standard_normal((rows, dim), np.float32)).astype(np.float16)


def random_moments(
    source: str,
    split: Split,
    share: dict[str, int],
    frames: tuple[int, int],
    rng: np.random.Generator,
) -> Moments:
    """Labelled rows at random frames; the fully labelled set has every task's labels.

    Args:
        source: Id of their video.
        split: Their split.
        share: Rows of each label set.
        frames: First frame and end.
        rng: Decides frames and labels.
    """
    sets = np.repeat(list(share), list(share.values()))
    frame = rng.integers(*frames, len(sets)).astype(np.int32)
    keys: dict[str, Key] = {
        "source": source,
        "person": source,
        "track": 0,
        "frame": frame,
        "time_s": frame / FRAME_RATE,
        "split": split,
        "label_set": sets,
    }
    labels = {task.key: _labels(task, len(sets), rng) for task in TASKS}
    single = np.isin(sets, list(labels))
    for key, values in labels.items():
        values[single & (sets != key)] = np.nan
    return build_moments(len(sets), keys, labels, LabelOrigin.DERIVED)


def _labels(task: Task, rows: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Random labels (rows, K): one class of a distribution, or values within the task's range."""
    if task.exclusive:
        return np.eye(task.width, dtype=np.float32)[rng.integers(0, task.width, rows)]
    low, high = task.display_range
    return rng.uniform(low, high, (rows, task.width)).astype(np.float32)
