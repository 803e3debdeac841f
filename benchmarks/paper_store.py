"""Random features of the paper's dimensions, and the least that training on them can cost.

`make_paper_store` writes a feature store to measure speed on; `floor_step` does the matrix products
of the paper's network and nothing else, which no way of training it can leave out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from triaffect.corpora.rows import Key, TaskLabels, build_moments
from triaffect.features.extractors.spec import ExtractorSpec
from triaffect.features.store import FeatureStore
from triaffect.features.store_writer import FaceRows, SourceInfo, StoreWriter
from triaffect.features.timeline import KEY_DTYPE
from triaffect.models.paper import PaperNet
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
    read = {key: TaskLabels.from_nan(values) for key, values in labels.items()}
    return build_moments(len(sets), keys, read, LabelOrigin.DERIVED)


def _labels(task: Task, rows: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Random labels (rows, K): one class of a distribution, or values within the task's range."""
    if task.exclusive:
        return np.eye(task.width, dtype=np.float32)[rng.integers(0, task.width, rows)]
    low, high = task.display_range
    return rng.uniform(low, high, (rows, task.width)).astype(np.float32)


Product = Callable[[], object]


def floor_step(net: nn.Module, batches: Mapping[str, int], window: int) -> Callable[[], int]:
    """One iteration of the teacher's updates, reduced to its products; gives the rows.

    Of each update the forward products of every layer, and backward those of the weights and
    of the inputs that something learns from: not of the features, nor in heads and
    discriminator that the update teaches nothing. Products that may be one over all instants
    are one. Operands are random, results are written over one another.

    Args:
        net: A `PaperNet`; gives the sizes.
        batches: Rows of each update by kind.
        window: Face vectors of a row.
    """
    if not isinstance(net, PaperNet):
        raise TypeError("the floor is counted for the paper's network only")
    products = [
        product
        for kind, rows in batches.items()
        for product in (*_lstm(net, rows, window), *_dense(net, kind, rows))
    ]

    def step() -> int:
        for product in products:
            product()
        return sum(batches.values())

    return step


def _lstm(net: PaperNet, rows: int, window: int) -> Iterator[Product]:
    gates, width = net.lstm.weight_ih.shape
    units = net.lstm.weight_hh.shape[1]
    yield from _forward(rows * window, width, gates)
    yield from _to_weights(rows * window, width, gates)
    yield from _to_weights(rows * (window - 1), units, gates)
    for _ in range(window - 1):
        yield from _forward(rows, units, gates)
        yield from _to_inputs(rows, units, gates)


def _dense(net: PaperNet, kind: str, rows: int) -> Iterator[Product]:
    for name, layer in net.named_modules():
        if not isinstance(layer, nn.Linear):
            continue
        width, outputs = layer.in_features, layer.out_features
        yield from _forward(rows, width, outputs)
        if _learns(name, kind):
            # Of what enters the trunk only the LSTM's state has anything to learn.
            inputs = net.lstm.weight_hh.shape[1] if name == "trunk.0.0" else width
            yield from _to_weights(rows, width, outputs)
            yield from _to_inputs(rows, inputs, outputs)


def _learns(name: str, kind: str) -> bool:
    """Whether a teacher's update of this kind teaches the layer of this name."""
    if name.startswith("discriminator"):
        return kind != "MTL"
    return not name.startswith("heads") or kind == "MTL" or name.split(".")[1] == kind


def _forward(rows: int, inputs: int, outputs: int) -> Iterator[Product]:
    yield _product(torch.randn(rows, inputs), torch.randn(outputs, inputs).t())


def _to_inputs(rows: int, inputs: int, outputs: int) -> Iterator[Product]:
    yield _product(torch.randn(rows, outputs), torch.randn(outputs, inputs))


def _to_weights(rows: int, inputs: int, outputs: int) -> Iterator[Product]:
    yield _product(torch.randn(rows, outputs).t(), torch.randn(rows, inputs))


def _product(left: Tensor, right: Tensor) -> Product:
    result = left.new_empty(left.shape[0], right.shape[1])
    return lambda: torch.mm(left, right, out=result)
