"""What a sample set gives, against a reference that asks row by row, on random stores."""

import tracemalloc

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triaffect.corpora.rows import TaskLabels, build_moments
from triaffect.datasets.batches import make_batch
from triaffect.datasets.spectra import LogmelSamples
from triaffect.datasets.windows import WindowSamples
from triaffect.features.extractors.spec import ExtractorSpec
from triaffect.features.store import FeatureStore
from triaffect.features.store_writer import FaceRows, SourceInfo, StoreWriter
from triaffect.features.timeline import KEY_DTYPE
from triaffect.tasks.registry import TASKS
from triaffect.types import FeatureSeries, LabelOrigin, Moments, Window
from triaffect.voice.log_mel import SILENCE

RATE, HOP_S, SLACK_S = 30.0, 0.2, 1e-6
FACE = ExtractorSpec("some_face", "1", 3, "float16")
VOICE = ExtractorSpec("some_voice", "1", 2, "float16", 16_000, Window(1.0, HOP_S))
LOGMEL = ExtractorSpec("logmel64", "1", 4, "float16", 16_000)
SETS, SPLITS = ("MTL", "VA", "EXPR", "AU"), ("train", "validation", "test")
SPAN, STEP = 6, 2
LARGEST_KEPT, LARGEST_PEAK = 165, 240
"""Bytes a labelled row, with six window positions: 122 of them are labels."""


def random_store(path, rng, sources, frames, rows, voice=VOICE):
    """Videos with gaps, two faces, late sound, and rows of any set at any frame."""
    with StoreWriter.create_or_resume(path, FACE, voice) as writer:
        for number in range(sources):
            name = f"{rng.choice(['one', 'two'])}/{number}"
            faces = [rng.permutation(frames)[: rng.integers(1, frames)] for _ in range(2)]
            keys = np.zeros(sum(map(len, faces)), KEY_DTYPE)
            keys["track"] = np.repeat([0, 1], [len(each) for each in faces])
            keys["frame"] = np.concatenate(faces)
            keys["time_s"] = keys["frame"] / RATE
            heard = rng.integers(0, 20) * HOP_S + np.arange(rng.integers(0, 12)) * HOP_S
            info = SourceInfo(name, name[:3], "video", stills=False, frame_rate=RATE)
            face = FaceRows(rng.normal(size=(len(keys), FACE.dim)).astype(np.float16), keys)
            sound = rng.normal(size=(len(heard), voice.dim)).astype(np.float16)
            writer.add(
                info, random_rows(name, rng, frames, rows), face, FeatureSeries(sound, heard)
            )
    return FeatureStore.open(path)


def random_rows(name, rng, frames, rows):
    frame = rng.integers(0, frames, rows).astype(np.int32)
    keys = {
        "source": name,
        "person": name,
        "track": rng.integers(0, 3, rows).astype(np.int32),
        "frame": frame,
        "time_s": frame / RATE,
        "split": rng.choice(SPLITS),
        "label_set": rng.choice(SETS, rows),
    }
    labels = {task.key: rng.random((rows, task.width)).astype(np.float32) for task in TASKS}
    for values in labels.values():
        values[rng.random(rows) < 0.5] = np.nan
        values[rng.random(values.shape) < 0.1] = np.nan
    read = {key: TaskLabels.from_nan(values) for key, values in labels.items()}
    return build_moments(rows, keys, read, LabelOrigin.DERIVED)


def face_of(store, entry, track, frame):
    """Stored vector of a face in a frame, or None."""
    for row in range(*entry.face):
        if (store.face_track[row], store.face_frame[row]) == (track, frame):
            return store.face[row]
    return None


def voice_of(store, entry, time_s):
    """Newest stored vector of the sound until then, or None."""
    for row in reversed(range(*entry.voice)):
        age_s = time_s - store.voice_time_s[row]
        if age_s >= -SLACK_S:
            return store.voice[row] if age_s <= HOP_S + SLACK_S else None
    return None


def vectors_of(store, moment, shift):
    """The six vectors or None of each, one after the other; a list of windows and a voice."""
    entry = next(each for each in store.entries if each.source == moment["source"])
    at = moment["frame"] + (0 if moment["label_set"] == "MTL" else shift)
    offsets = range(-SPAN, 1, STEP)
    faces = [face_of(store, entry, moment["track"], at + offset) for offset in offsets]
    return faces, voice_of(store, entry, moment["time_s"])


def filled(vectors, dim):
    """Vectors or None as float32 with zeros, and which are there."""
    values = [np.zeros(dim, np.float32) if v is None else v.astype(np.float32) for v in vectors]
    return np.array(values), np.array([v is not None for v in vectors])


def is_wanted(faces, voice, complete):
    there = [vector is not None for vector in faces]
    return (all(there) and voice is not None) if complete else (any(there) or voice is not None)


def check(batch, place, moment, faces, voice):
    face, face_present = filled(faces, FACE.dim)
    heard, voice_present = filled([voice], VOICE.dim)
    np.testing.assert_array_equal(batch.inputs["face"][place], face)
    np.testing.assert_array_equal(batch.inputs["face_present"][place], face_present)
    np.testing.assert_array_equal(batch.inputs["voice"][place], heard[0])
    assert batch.inputs["voice_present"][place] == voice_present[0]
    for task in TASKS:
        labels, targets = [moment[name] for name in task.columns], batch.targets[task.key]
        np.testing.assert_array_equal(targets.valid[place], [v is not None for v in labels])
        np.testing.assert_array_equal(targets.values[place], np.float32([v or 0 for v in labels]))
        assert targets.weight[place] == 1


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    complete=st.booleans(),
    shift=st.sampled_from([0, -1]),
    shuffled=st.booleans(),
)
def test_as_row_by_row(tmp_path_factory, seed, complete, shift, shuffled):
    rng = np.random.default_rng(seed)
    store = random_store(tmp_path_factory.mktemp("s") / "store", rng, 3, 12, 15)
    moments, options = store.moments, {"single_task_frame_offset": shift, "complete": complete}
    if shuffled:
        moments = Moments(moments.table.take(pa.array(rng.permutation(len(moments)))))
        options["moments"] = moments
    samples = WindowSamples(store, TASKS, Window(SPAN, STEP), in_frames=True, **options)
    plain = []
    for number, moment in enumerate(moments.table.to_pylist()):
        labelled = any(moment[name] is not None for task in TASKS for name in task.columns)
        faces, voice = vectors_of(store, moment, shift)
        if (labelled or shuffled) and is_wanted(faces, voice, complete):
            plain.append((number, moment, faces, voice))
    np.testing.assert_array_equal(samples.rows.moments, [number for number, *_ in plain])
    order = rng.permutation(len(plain))
    batch = make_batch(samples, "any", order)
    for place, row in enumerate(order):
        check(batch, place, *plain[row][1:])
    for split in SPLITS:
        for wanted in (["VA"], ["MTL", "AU"], ["one/EXPR", "VA"], ["three/VA"], ["PAIN"]):
            rows = [
                row
                for row, (_, moment, *_) in enumerate(plain)
                if moment["split"] == split
                and {moment["label_set"], f"{moment['source'][:3]}/{moment['label_set']}"}
                & set(wanted)
            ]
            np.testing.assert_array_equal(samples.rows.where(split, wanted), rows)


@pytest.mark.parametrize("stretch_s", [0.04, 1.0])
def test_stretches_of_sound_as_row_by_row(tmp_path, stretch_s):
    store = random_store(tmp_path / "store", np.random.default_rng(5), 6, 40, 30, LOGMEL)
    samples = LogmelSamples(store, TASKS, stretch_s)
    got = samples.inputs(np.arange(len(samples.rows)))["logmel"]
    length = round(stretch_s * 100)
    assert got.dtype == np.float32
    assert got.shape[1:] == (length, LOGMEL.dim)
    moments = store.moments.table.to_pylist()
    for stretch, number in zip(got, samples.rows.moments, strict=True):
        moment = moments[number]
        entry = next(each for each in store.entries if each.source == moment["source"])
        first = round(moment["time_s"] * 100) - length // 2
        for place, vector in enumerate(stretch):
            row = entry.voice[0] + first + place
            inside = entry.voice[0] <= row < entry.voice[1]
            expected = store.voice[row] if inside else np.full(LOGMEL.dim, SILENCE)
            np.testing.assert_array_equal(vector, expected.astype(np.float32))
    assert (got != np.float32(SILENCE)).any()
    assert (got == np.float32(SILENCE)).any()


def test_bytes_a_row_stay_within_bounds(tmp_path):
    """Neither long names nor many rows make a sample set larger than its numbers."""
    rows, rng = 40_000, np.random.default_rng(0)
    path, name = tmp_path / "store", "one/" + 100 * "long"
    keys = np.zeros(600, KEY_DTYPE)
    keys["frame"], keys["time_s"] = np.arange(600), np.arange(600) / RATE
    with StoreWriter.create_or_resume(path, FACE, VOICE) as writer:
        for number in range(2):
            source = f"{name}{number}"
            info = SourceInfo(source, "one", "video", stills=False, frame_rate=RATE)
            face = FaceRows(np.ones((600, FACE.dim), np.float16), keys)
            sound = FeatureSeries(np.ones((100, 2), np.float16), np.arange(100) * HOP_S)
            writer.add(info, random_rows(source, rng, 600, rows), face, sound)
    store = FeatureStore.open(path)
    tracemalloc.start()
    try:
        samples = WindowSamples(store, TASKS, Window(50, 10), in_frames=True)
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 0.6 * 2 * rows < len(samples.rows) < 2 * rows
    assert kept < LARGEST_KEPT * len(samples.rows)
    assert peak < LARGEST_PEAK * 2 * rows
