"""Made-up sources for tests of the feature store."""

import numpy as np
import pyarrow as pa

from triaffect.features.extractors.spec import ExtractorSpec
from triaffect.features.store_writer import FaceRows, SourceInfo
from triaffect.features.timeline import KEY_DTYPE
from triaffect.tasks.registry import TASKS
from triaffect.types import FeatureSeries, Moments, Window, moments_schema

FACE = ExtractorSpec("toy_face", "abc", 6, "float16")
VOICE = ExtractorSpec("toy_voice", "def", 3, "float16", 16_000, Window(1.0, 0.1, causal=False))


def info(name, **more):
    return SourceInfo(name, "toy", "video", stills=False, frame_rate=25.0, **more)


def moments(name, count, seed=0, tasks=TASKS):
    """Valence and arousal for ``count`` frames; the other tasks are missing."""
    schema = moments_schema({task.key: task.columns for task in tasks})
    values = np.random.default_rng(seed).uniform(-1, 1, (count, 2)).astype(np.float32)
    known = {
        "source": [name] * count, "person": ["somebody"] * count, "track": [0] * count,
        "frame": list(range(count)), "time_s": [k / 25 for k in range(count)],
        "split": ["train"] * count, "label_set": ["VA"] * count,
        "valence": values[:, 0], "arousal": values[:, 1],
        "VA_weight": [1.0] * count, "VA_origin": ["rendered"] * count,
    }  # fmt: skip
    columns = [
        pa.array(known[f.name], f.type) if f.name in known else pa.nulls(count, f.type)
        for f in schema
    ]
    return Moments(pa.Table.from_arrays(columns, schema=schema))


def faces(count, seed=0, tracks=1, dim=6):
    """Face rows in shuffled order."""
    generator = np.random.default_rng(seed)
    keys = np.zeros(count, KEY_DTYPE)
    keys["frame"] = np.arange(count) // tracks
    keys["track"] = np.arange(count) % tracks
    keys["time_s"] = keys["frame"] / 25
    order = generator.permutation(count)
    return FaceRows(generator.normal(size=(count, dim)).astype(np.float16)[order], keys[order])


def voices(count, seed=0):
    generator = np.random.default_rng(seed)
    values = generator.normal(size=(count, 3)).astype(np.float16)
    return FeatureSeries(values, np.arange(count) / 10)


def fill(writer, names, seed=0):
    """Add sources with a few rows each; every source of one name is the same."""
    for name in names:
        number = sum(name.encode()) + seed
        writer.add(
            info(name), moments(name, 3 + number % 4, number), faces(5 + number % 7, number, 2),
            voices(number % 5, number),
        )  # fmt: skip
