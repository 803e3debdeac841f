"""How fast a feature store is written, opened and gathered from at random.

    python benchmarks/bench_store.py [--rows 1600000] [--dim 512] [--folder DIR]

Rows are float16, as network features are kept. What is gathered may come from the system's
file cache; the default store is 1.6 GB.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from triaffect.features.extractors.spec import ExtractorSpec
from triaffect.features.store import FeatureStore
from triaffect.features.store_writer import FaceRows, SourceInfo, StoreWriter
from triaffect.features.timeline import KEY_DTYPE
from triaffect.tasks.registry import TASKS
from triaffect.types import Moments, moments_schema

SOURCE_ROWS = 4000
BATCH, WINDOW = 256, 6


def made_moments(source: str, count: int) -> Moments:
    schema = moments_schema({task.key: task.columns for task in TASKS})
    keys = {
        "source": pa.repeat(source, count),
        "person": pa.repeat(source, count),
        "track": pa.repeat(pa.scalar(0, pa.int32()), count),
        "frame": pa.array(np.arange(count), pa.int32()),
        "time_s": pa.array(np.arange(count) / 30),
        "split": pa.repeat("train", count),
        "label_set": pa.repeat("VA", count),
        "valence": pa.array(np.linspace(-1, 1, count, dtype=np.float32)),
        "arousal": pa.array(np.linspace(1, -1, count, dtype=np.float32)),
    }
    columns = [keys.get(field.name, pa.nulls(count, field.type)) for field in schema]
    return Moments(pa.table(columns, schema=schema))


def write(path: Path, rows: int, dim: int) -> float:
    spec = ExtractorSpec("bench", "builtin-1", dim, "float16")
    values = np.random.default_rng(0).normal(size=(SOURCE_ROWS, dim)).astype(np.float16)
    keys = np.zeros(SOURCE_ROWS, KEY_DTYPE)
    keys["frame"] = np.arange(SOURCE_ROWS)
    keys["time_s"] = keys["frame"] / 30
    sources = [f"bench/{number:05d}" for number in range(-(-rows // SOURCE_ROWS))]
    moments = {source: made_moments(source, SOURCE_ROWS) for source in sources}
    started = time.perf_counter()
    with StoreWriter.create_or_resume(path, spec, None) as writer:
        for source in sources:
            info = SourceInfo(source, "bench", "video", stills=False, frame_rate=30.0)
            writer.add(info, moments[source], FaceRows(values, keys))
    return time.perf_counter() - started


def opened(path: Path) -> tuple[FeatureStore, float, float]:
    started = time.perf_counter()
    store = FeatureStore.open(path)
    first = time.perf_counter() - started
    for column in (store.face_source, store.face_track, store.face_frame, store.face_time_s):
        column.max()
    store.moments.column("valence")
    return store, first, time.perf_counter() - started


def gather(store: FeatureStore, seconds: float = 5.0) -> float:
    """Rows a second in batches of windows, made float32 as a network wants them."""
    generator = np.random.default_rng(1)
    started, done = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        rows = generator.integers(0, len(store.face), (BATCH, WINDOW))
        store.face[rows].astype(np.float32)
        done += rows.size
    return done / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_600_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument(
        "--folder", type=Path, help="where to make the store; default: a temporary one"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder) / "store"
        seconds = write(path, options.rows, options.dim)
        store, first_s, all_s = opened(path)
        size = store.face.nbytes / 1e6
        print(f"rows              {len(store.face):,} of {options.dim} float16, {size:,.0f} MB")
        print(f"write             {size / seconds:,.0f} MB/s, labels, digest and fsync included")
        print(
            f"open              {first_s * 1e3:.1f} ms, {all_s * 1e3:.0f} ms with keys and labels"
        )
        print(f"random gather     {gather(store):,.0f} rows/s, in batches of {BATCH}x{WINDOW}")


if __name__ == "__main__":
    main()
