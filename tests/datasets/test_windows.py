import numpy as np
import pyarrow as pa
import pytest

from tests.training.stores import FACE, RATE, made_store, stills_store
from triaffect.datasets.images import CropSamples
from triaffect.datasets.spectra import LogmelSamples
from triaffect.datasets.windows import WindowSamples
from triaffect.errors import StoreError
from triaffect.features.store import FeatureStore
from triaffect.features.store_writer import FaceRows, SourceInfo, StoreWriter
from triaffect.features.timeline import KEY_DTYPE
from triaffect.recipes.load import load_recipe
from triaffect.tasks.registry import TASKS
from triaffect.training.build import build_samples
from triaffect.types import KEY_COLUMNS, Moments, Window

PAPER = Window(20, 5)
KEY_NAMES = {field.name for field in KEY_COLUMNS}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return made_store(tmp_path_factory.mktemp("data") / "store", videos=4, frames=60)


def _frames(store, samples):
    moments = samples.rows.moments
    return store.moments.column("frame")[moments], store.moments.column("source")[moments]


def test_a_window_holds_the_stored_vectors_of_its_frames(store):
    samples = WindowSamples(store, TASKS, PAPER, in_frames=True, complete=True)
    frames, sources = _frames(store, samples)
    rows = np.flatnonzero(sources == "made/v01")[[0, 7, -1]]
    inputs = samples.inputs(rows)
    assert inputs["face"].shape == (3, 5, FACE.dim)
    assert inputs["face_present"].all()
    start = store.entries[1].face[0]
    for window, frame in zip(inputs["face"], frames[rows], strict=True):
        expected = store.face[start + frame + np.arange(-20, 1, 5)]
        np.testing.assert_array_equal(window, expected.astype(np.float32))


def test_complete_windows_start_late_and_others_say_what_is_absent(store):
    complete = WindowSamples(store, TASKS, PAPER, in_frames=True, complete=True)
    loose = WindowSamples(store, TASKS, PAPER, in_frames=True)
    assert _frames(store, complete)[0].min() == 20
    assert _frames(store, loose)[0].min() == 0
    first = np.flatnonzero(_frames(store, loose)[0] == 0)[:1]
    inputs = loose.inputs(first)
    np.testing.assert_array_equal(inputs["face_present"], [[False, False, False, False, True]])
    assert not inputs["face"][0, :4].any()


def test_the_voice_never_comes_from_after_the_moment(store):
    samples = WindowSamples(store, TASKS, PAPER, in_frames=True)
    frames, sources = _frames(store, samples)
    rows = np.flatnonzero(sources == "made/v02")
    start, stop = store.entries[2].voice
    heard = store.voice_time_s[start:stop]
    for row in rows[::17]:
        last = np.flatnonzero(heard <= frames[row] / RATE + 1e-6)[-1]
        expected = store.voice[start + last].astype(np.float32)
        np.testing.assert_array_equal(samples.inputs(np.array([row]))["voice"][0], expected)


def test_single_task_rows_can_be_one_frame_off_as_coded(store):
    exact = WindowSamples(store, TASKS, PAPER, in_frames=True, complete=True)
    coded = WindowSamples(
        store, TASKS, PAPER, in_frames=True, complete=True, single_task_frame_offset=-1
    )
    frames, sources = _frames(store, coded)
    for label_set, shift in (("VA", -1), ("MTL", 0)):
        mine = coded.rows.label_set == label_set
        row = np.flatnonzero(mine & (sources == "made/v00") & (frames == 40))[:1]
        expected = store.face[store.entries[0].face[0] + 40 + shift].astype(np.float32)
        np.testing.assert_array_equal(coded.inputs(row)["face"][0, -1], expected)
    assert len(exact.rows) > len(coded.rows)


def test_partial_rows_are_dropped_only_when_asked(store):
    every = WindowSamples(store, TASKS, PAPER, in_frames=True)
    whole = WindowSamples(store, TASKS, PAPER, in_frames=True, drop_partial=True)
    mixed = whole.rows.label_set == "MTL"
    assert all(t.valid[mixed].all() for t in whole.rows.targets.values())
    assert (whole.rows.label_set == "VA").sum() == (every.rows.label_set == "VA").sum()
    assert mixed.sum() < (every.rows.label_set == "MTL").sum()


def test_the_recipe_as_coded_leaves_out_a_valence_of_minus_1(tmp_path):
    """Only in the VA set, and only if the recipe says so."""
    made = made_store(tmp_path / "made", videos=1, frames=60)
    table, where = made.moments.table, made.moments.table.column_names.index("valence")
    numbers = table["valence"].to_numpy().copy()
    numbers[(table["frame"].to_numpy() == 55) & ~np.isnan(numbers)] = -1
    table = table.set_column(where, table.field(where), pa.array(numbers, from_pandas=True))
    keys = np.zeros(60, KEY_DTYPE)
    keys["frame"], keys["time_s"] = np.arange(60), np.arange(60) / RATE
    with StoreWriter.create_or_resume(tmp_path / "store", FACE, None) as writer:
        info = SourceInfo("made/v00", "made", "video", stills=False, frame_rate=RATE)
        writer.add(info, Moments(table), FaceRows(np.array(made.face), keys))
    store = FeatureStore.open(tmp_path / "store")
    sets = {}
    for name in ("false", "true"):
        overrides = [f"data.drop_minus_one={name}", "data.window.complete=false"]
        recipe = load_recipe("paper_as_published", overrides)
        rows = build_samples(recipe.data, store, TASKS).rows
        at = store.moments.column("frame")[rows.moments] == 55
        sets[name] = set(rows.label_set[at])
        assert len(set(rows.label_set[~at])) == 4
    assert sets["false"] - sets["true"] == {"VA"}


def test_a_still_picture_sees_itself_alone(tmp_path):
    store = stills_store(tmp_path)
    samples = WindowSamples(store, TASKS, Window(0.2, 1 / RATE))
    inputs = samples.inputs(np.arange(len(samples.rows)))
    assert inputs["face_present"][:, -1].all()
    assert not inputs["face_present"][:, :-1].any()
    assert not inputs["voice_present"].any()


@pytest.mark.parametrize("kind", [CropSamples, lambda s, t: LogmelSamples(s, t, 3.0)])
def test_a_store_of_another_extractor_is_refused(store, kind):
    with pytest.raises(StoreError, match=r"gray64|logmel64"):
        kind(store, TASKS)


def test_other_moments_than_the_stored_ones_need_no_labels(store):
    """A challenge asks for frames that nobody labelled."""
    keys = [name for name in store.moments.table.column_names if name in KEY_NAMES]
    asked = Moments(store.moments.table.select(keys).slice(30, 5))
    samples = WindowSamples(store, TASKS, PAPER, in_frames=True, moments=asked)
    own = WindowSamples(store, TASKS, PAPER, in_frames=True)
    assert len(samples.rows) == 5
    assert not any(targets.valid.any() for targets in samples.rows.targets.values())
    where = np.searchsorted(own.rows.moments, np.arange(30, 35))
    np.testing.assert_array_equal(own.rows.moments[where], np.arange(30, 35))
    for mine, stored in zip(samples.arrays(np.arange(5)), own.arrays(where), strict=True):
        np.testing.assert_array_equal(mine, stored)
