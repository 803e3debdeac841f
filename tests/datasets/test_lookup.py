"""Which row of an external stream a moment sees."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.stores import FACE, RATE, made_store, stills_store
from triaffect.datasets.windows import Streams, WindowSamples
from triaffect.features.external.join import join, stream_spec
from triaffect.features.store import FeatureStore
from triaffect.features.store_writer import SourceInfo, StoreWriter
from triaffect.tasks.registry import TASKS
from triaffect.types import Moments, Window

PAPER = Window(20, 5)
SECONDS = Window(2.0, 0.4)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return made_store(tmp_path_factory.mktemp("data") / "store", videos=2, frames=90)


def joined(store, folder, name, spec_rate, series, **options):
    """Join arrays by the last part of their source's name."""
    folder.mkdir(exist_ok=True)
    for source, values in series.items():
        np.save(folder / f"{source}.npy", values)
    join(store, folder, stream_spec(name, spec_rate, **options), replace_all=True)
    return FeatureStore.open(store.path)


def row_numbers(count, dim=1):
    """Rows that say their own number."""
    return np.arange(count, dtype=np.float32)[:, None].repeat(dim, 1)


def keys_of(store, samples, source):
    moments = samples.rows.moments
    mine = np.flatnonzero(store.moments.column("source")[moments] == source)
    return mine, store.moments.column("time_s")[moments[mine]]


@settings(max_examples=25, deadline=None)
@given(
    rate=st.sampled_from([0.5, 1.0, 7.3, 25.0, 29.97, 50.0, 300.0]),
    offset=st.floats(-2, 2, allow_nan=False),
    count=st.integers(1, 200),
    seed=st.integers(0, 2**32),
)
def test_a_moment_has_the_row_nearest_in_time(store, tmp_path_factory, rate, offset, count, seed):
    """As found by looking at every row, rows that are not finite left out."""
    values = row_numbers(count)
    absent = np.random.default_rng(seed).random(count) < 0.2
    values[absent] = np.nan
    folder = tmp_path_factory.mktemp("f")
    opened = joined(store, folder, "near", rate, {"v01": values}, offset_s=offset)
    samples = WindowSamples(opened, TASKS, SECONDS, streams=Streams(extra=("near",)))
    mine, at_s = keys_of(opened, samples, "made/v01")
    found = samples.inputs(mine)
    rows = np.flatnonzero(~absent)
    distance = np.abs(at_s[:, None] - (rows / rate + offset))
    best = distance.min(1, initial=np.inf)
    near = best <= 1 / rate + 1e-6
    np.testing.assert_array_equal(found["extra.near.present"], near)
    got = found["extra.near"][near, 0].astype(int)
    np.testing.assert_allclose(np.abs(at_s[near] - got / rate - offset), best[near], atol=2e-6)
    assert not found["extra.near"][~near].any()


def test_a_source_without_rows_has_none(store, tmp_path):
    opened = joined(store, tmp_path / "f", "half", 50.0, {"v01": row_numbers(150)})
    samples = WindowSamples(opened, TASKS, SECONDS, streams=Streams(extra=("half",)))
    for source, share in (("made/v00", 0.0), ("made/v01", 1.0)):
        mine, _ = keys_of(opened, samples, source)
        assert samples.inputs(mine)["extra.half.present"].mean() == share


def test_a_joined_copy_of_the_own_faces_gives_the_same_windows(store, tmp_path):
    faces = {f"v{k:02}": np.array(store.face[slice(*store.entries[k].face)]) for k in range(2)}
    opened = joined(store, tmp_path / "f", "copy", None, faces)
    for window, in_frames in ((SECONDS, False), (PAPER, True)):
        for shift in (0, -1):
            options = {"in_frames": in_frames, "single_task_frame_offset": shift}
            own = WindowSamples(opened, TASKS, window, **options)
            other = WindowSamples(opened, TASKS, window, **options, streams=Streams("copy"))
            rows = np.arange(len(own.rows))
            for one, two in zip(own.arrays(rows), other.arrays(rows), strict=True):
                np.testing.assert_array_equal(one, two)


def test_a_window_in_frames_takes_the_very_frame_or_none(store, tmp_path):
    values = row_numbers(90)
    values[35] = np.nan
    opened = joined(store, tmp_path / "f", "gap", None, {"v01": values})
    samples = WindowSamples(opened, TASKS, PAPER, in_frames=True, streams=Streams("gap"))
    mine, at_s = keys_of(opened, samples, "made/v01")
    row = mine[np.flatnonzero(np.isclose(at_s, 40 / RATE))[:1]]
    inputs = samples.inputs(row)
    np.testing.assert_array_equal(inputs["face_present"], [[True, True, True, False, True]])
    np.testing.assert_array_equal(inputs["face"][0, :, 0], [20, 25, 30, 0, 40])


def test_a_steady_series_fills_windows_by_time(store, tmp_path):
    """Half a hop of the window is near enough, whether it counts seconds or frames."""
    opened = joined(store, tmp_path / "f", "slow", 5.0, {"v01": row_numbers(15)})
    frames = Window(40, 12)  # 0.4 s at 30 frames/s
    for window, in_frames in ((Window(1.2, 0.4), False), (frames, True)):
        samples = WindowSamples(opened, TASKS, window, in_frames, streams=Streams("slow"))
        mine, at_s = keys_of(opened, samples, "made/v01")
        row = mine[np.flatnonzero(np.isclose(at_s, 2.0))[:1]]
        inputs = samples.inputs(row)
        assert inputs["face_present"].all()
        np.testing.assert_array_equal(inputs["face"][0, :, 0], [4, 6, 8, 10])
    sparse = joined(store, tmp_path / "g", "sparse", 0.5, {"v01": row_numbers(3)})
    samples = WindowSamples(sparse, TASKS, Window(1.2, 0.4), streams=Streams("sparse"))
    mine, at_s = keys_of(sparse, samples, "made/v01")
    row = mine[np.flatnonzero(np.isclose(at_s, 2.6))[:1]]
    np.testing.assert_array_equal(samples.inputs(row)["face_present"], [[False, True, True, False]])


def test_one_frame_off_as_coded_is_one_frame_off_in_a_steady_series_too(store, tmp_path):
    opened = joined(store, tmp_path / "f", "steady", 30.0, {"v01": row_numbers(90)})
    look = {"in_frames": True, "single_task_frame_offset": -1, "streams": Streams("steady")}
    samples = WindowSamples(opened, TASKS, Window(20, 2), **look)
    mine, at_s = keys_of(opened, samples, "made/v01")
    newest = samples.inputs(mine)["face"][:, -1, 0]
    alone = samples.rows.label_set[mine] != "MTL"
    late = np.round(at_s * RATE) > 0
    np.testing.assert_array_equal((np.round(at_s * RATE) - newest)[late], alone[late])


def test_the_voice_may_be_an_external_stream(store, tmp_path):
    opened = joined(store, tmp_path / "f", "w2v", 50.0, {"v01": row_numbers(150, 4)})
    samples = WindowSamples(opened, TASKS, SECONDS, streams=Streams(voice="w2v"))
    mine, at_s = keys_of(opened, samples, "made/v01")
    inputs = samples.inputs(mine)
    assert inputs["voice"].shape == (len(mine), 4)
    assert inputs["voice_present"].all()
    assert np.abs(inputs["voice"][:, 0] / 50 - at_s).max() <= 0.01 + 1e-6


def test_rows_of_a_face_are_for_that_face_alone(store, tmp_path):
    (tmp_path / "f").mkdir()
    table = pd.DataFrame({"v": row_numbers(90)[:, 0], "face_id": 1})
    table.to_parquet(tmp_path / "f" / "v01.parquet")
    for any_face in (False, True):
        join(store, tmp_path / "f", stream_spec("one", None, any_face=any_face), replace_all=True)
        opened = FeatureStore.open(store.path)
        samples = WindowSamples(opened, TASKS, SECONDS, streams=Streams(extra=("one",)))
        mine, _ = keys_of(opened, samples, "made/v01")
        assert samples.inputs(mine)["extra.one.present"].all() == any_face
        assert samples.inputs(mine)["extra.one.present"].any() == any_face


def test_a_moment_without_face_and_voice_counts_if_a_stream_has_it(tmp_path):
    made = made_store(tmp_path / "made", videos=2, frames=30)
    with StoreWriter.create_or_resume(tmp_path / "bare", FACE, None) as writer:
        for entry in made.entries:
            where = made.moments.column("source") == entry.source
            info = SourceInfo(entry.source, "made", "video", stills=False, frame_rate=RATE)
            writer.add(info, Moments(made.moments.table.filter(where)))
    bare = FeatureStore.open(tmp_path / "bare")
    opened = joined(bare, tmp_path / "f", "x", None, {"v01": row_numbers(30)})
    samples = WindowSamples(opened, TASKS, SECONDS, streams=Streams(extra=("x",)))
    moments = samples.rows.moments
    assert set(opened.moments.column("source")[moments]) == {"made/v01"}
    assert len(WindowSamples(opened, TASKS, SECONDS).rows) == 0


def test_a_still_picture_has_the_row_of_its_frame(tmp_path):
    store = stills_store(tmp_path)
    values = row_numbers(6)
    values[4] = np.nan
    opened = joined(store, tmp_path / "f", "x", None, {"pictures": values})
    samples = WindowSamples(
        opened, TASKS, Window(0.2, 1 / RATE), streams=Streams(face="x", extra=("x",))
    )
    inputs = samples.inputs(np.arange(len(samples.rows)))
    frame = opened.moments.column("frame")[samples.rows.moments]
    assert 4 not in frame
    assert not inputs["face_present"][:, :-1].any()
    np.testing.assert_array_equal(inputs["face"][:, -1, 0], frame)
    np.testing.assert_array_equal(inputs["extra.x"][:, 0], frame)
