"""The feature store: what goes in comes out, and no crash or mix-up goes unnoticed."""

import json
import os
import resource
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.features.stored import FACE, VOICE, faces, fill, info, moments, voices
from triaffect.errors import StoreError
from triaffect.features.store import FeatureStore
from triaffect.features.store_writer import StoreWriter
from triaffect.tasks.registry import TASKS
from triaffect.types import FeatureSeries, Moments


def make(path, names=("a", "b", "c")):
    with StoreWriter.create_or_resume(path, FACE, VOICE) as writer:
        fill(writer, names)
    return FeatureStore.open(path)


def contents(store):
    return {
        "face": np.array(store.face), "face_source": store.face_source,
        "track": store.face_track, "frame": store.face_frame, "time_s": store.face_time_s,
        "voice": np.array(store.voice), "voice_source": store.voice_source,
        "voice_time_s": np.array(store.voice_time_s),
        "valence": store.moments.column("valence"), "sources": np.array(store.sources),
    }  # fmt: skip


def assert_same(one, other):
    for name, values in contents(one).items():
        np.testing.assert_array_equal(values, contents(other)[name], err_msg=name)


def test_rows_come_back_sorted_with_their_keys(tmp_path):
    given_rows, given_voices = faces(40, tracks=3), voices(7)
    with StoreWriter.create_or_resume(tmp_path / "s", FACE, VOICE) as writer:
        fill(writer, ["a"])
        writer.add(info("b"), moments("b", 4), given_rows, given_voices)
    store = FeatureStore.open(tmp_path / "s")
    mine = store.face_source == 1
    order = np.lexsort((given_rows.keys["frame"], given_rows.keys["track"]))
    np.testing.assert_array_equal(store.face[mine], given_rows.values[order])
    np.testing.assert_array_equal(store.face_track[mine], given_rows.keys["track"][order])
    np.testing.assert_array_equal(store.face_frame[mine], given_rows.keys["frame"][order])
    np.testing.assert_array_equal(store.face_time_s[mine], given_rows.keys["time_s"][order])
    np.testing.assert_array_equal(store.voice[store.voice_source == 1], given_voices.values)
    np.testing.assert_array_equal(store.voice_time_s[store.voice_source == 1], np.arange(7) / 10)
    assert store.sources == ["a", "b"]
    assert store.moments.table.slice(len(store.moments) - 4) == moments("b", 4).table
    assert (store.face_spec, store.voice_spec) == (FACE, VOICE)
    assert not store.face.flags.writeable


@settings(max_examples=25, deadline=None)
@given(
    sources=st.lists(
        st.tuples(st.integers(0, 9), st.integers(0, 5), st.integers(0, 4)), max_size=6
    ),
    stops=st.sets(st.integers(0, 5)),
)
def test_any_sources_in_any_number_of_runs(tmp_path_factory, sources, stops):
    path = tmp_path_factory.mktemp("store") / "s"
    writer = StoreWriter.create_or_resume(path, FACE, VOICE)
    for number, (n_face, n_voice, n_moments) in enumerate(sources):
        if number in stops:
            writer.finish()
            writer = StoreWriter.create_or_resume(path, FACE, VOICE)
        name = f"s{number}"
        writer.add(
            info(name), moments(name, n_moments, number), faces(n_face, number),
            voices(n_voice, number) if n_voice else None,
        )  # fmt: skip
    writer.finish()
    store = FeatureStore.open(path)
    assert np.bincount(store.face_source, minlength=len(sources)).tolist() == [
        n for n, _, _ in sources
    ]
    assert len(store.voice) == sum(n for _, n, _ in sources)
    assert len(store.moments) == sum(n for _, _, n in sources)
    for number, (n_face, _, _) in enumerate(sources):
        order = np.argsort(faces(n_face, number).keys["frame"])
        np.testing.assert_array_equal(
            store.face[store.face_source == number], faces(n_face, number).values[order]
        )


def test_a_store_without_faces_or_without_voices(tmp_path):
    with StoreWriter.create_or_resume(tmp_path / "v", None, VOICE) as writer:
        writer.add(info("a"), moments("a", 2), None, voices(4))
        writer.add(info("silent"), moments("silent", 1))
    store = FeatureStore.open(tmp_path / "v")
    assert store.face_spec is None
    assert (len(store.face), len(store.face_source), len(store.voice)) == (0, 0, 4)
    assert len(store.moments) == 3
    with StoreWriter.create_or_resume(tmp_path / "f", FACE, None) as writer:
        writer.add(info("a"), moments("a", 0), faces(4))
    store = FeatureStore.open(tmp_path / "f")
    assert (store.face.shape, store.voice.shape[0], len(store.moments)) == ((4, 6), 0, 0)


def test_a_store_in_which_nothing_was_finished(tmp_path):
    with StoreWriter.create_or_resume(tmp_path / "s", FACE, VOICE) as writer:
        writer.fail("a", "broken")
    store = FeatureStore.open(tmp_path / "s")
    assert (len(store.face), len(store.moments), store.sources) == (0, 0, [])
    assert store.failures == {"a": "broken"}


def test_a_failure_is_forgotten_once_the_source_is_in(tmp_path):
    with StoreWriter.create_or_resume(tmp_path / "s", FACE, VOICE) as writer:
        writer.fail("a", "broken")
        assert not writer.has("a")
    assert make(tmp_path / "s").failures == {}


def test_fingerprint_tells_contents_apart_and_nothing_else(tmp_path):
    first = make(tmp_path / "one").fingerprint()
    assert make(tmp_path / "elsewhere").fingerprint() == first
    assert FeatureStore.open(tmp_path / "one").fingerprint() == first
    seen = {first, make(tmp_path / "fewer", "ab").fingerprint()}
    with StoreWriter.create_or_resume(tmp_path / "other", FACE, VOICE) as writer:
        fill(writer, "ab")
        changed = moments("c", 3 + ord("c") % 4, seed=1)
        writer.add(info("c"), changed, faces(5 + ord("c") % 7, ord("c"), 2), voices(4, ord("c")))
    seen.add(FeatureStore.open(tmp_path / "other").fingerprint())
    other_network = replace(FACE, sha256="other")
    with StoreWriter.create_or_resume(tmp_path / "network", other_network, VOICE) as writer:
        fill(writer, "abc")
    seen.add(FeatureStore.open(tmp_path / "network").fingerprint())
    assert len(seen) == 4


@pytest.mark.parametrize(
    ("face", "voice", "message"),
    [
        (replace(FACE, name="other"), VOICE, r"face extractor toy_face \(abc\), got other"),
        (FACE, replace(VOICE, sha256="123"), r"voice extractor toy_voice \(def\), got toy_voice"),
        (None, VOICE, "face extractor .* got none"),
    ],
)
def test_another_extractor_is_refused_and_named(tmp_path, face, voice, message):
    make(tmp_path / "s")
    with pytest.raises(StoreError, match=message):
        StoreWriter.create_or_resume(tmp_path / "s", face, voice)
    make(tmp_path / "s", "d")  # the refusal let go of the lock


def test_labels_of_a_task_that_the_store_does_not_keep(tmp_path):
    store = make(tmp_path / "s")
    more = moments("d", 2).table.append_column("gaze", pa.array([0.0, 1.0], pa.float32()))
    with (
        StoreWriter.create_or_resume(tmp_path / "s", FACE, VOICE) as writer,
        pytest.raises(StoreError, match="gaze"),
    ):
        writer.add(info("d"), Moments(more), faces(3), voices(3))
    assert_same(FeatureStore.open(tmp_path / "s"), store)


def test_a_task_more_or_less_is_refused(tmp_path):
    make(tmp_path / "s")
    with pytest.raises(StoreError, match="other label columns: AU"):
        StoreWriter.create_or_resume(tmp_path / "s", FACE, VOICE, TASKS[:2])


def test_rows_of_a_failed_addition_are_taken_back(tmp_path):
    with StoreWriter.create_or_resume(tmp_path / "s", FACE, VOICE) as writer:
        fill(writer, "a")
        wide = FeatureSeries(np.zeros((4, 5), np.float16), np.arange(4.0))
        with pytest.raises(ValueError, match="shape"):
            writer.add(info("x"), moments("x", 2), faces(9), wide)
        fill(writer, "bc")
    assert_same(FeatureStore.open(tmp_path / "s"), make(tmp_path / "clean"))


def test_two_writers_at_once_are_refused(tmp_path):
    with (
        StoreWriter.create_or_resume(tmp_path / "s", FACE, VOICE),
        pytest.raises(StoreError, match="in use"),
    ):
        StoreWriter.create_or_resume(tmp_path / "s", FACE, VOICE)


ROWS = ("face.bin", "face_keys.bin", "voice.bin", "voice_times.bin", "moments.arrows")


@pytest.mark.parametrize("junk", [b"", b"left by an interrupted writer"])
def test_what_lies_behind_the_last_line_counts_for_nothing(tmp_path, junk):
    whole = make(tmp_path / "whole", "abcd")
    path = tmp_path / "s"
    store = make(path, "abc")
    for name in ROWS:
        with (path / name).open("ab") as stream:
            stream.write(junk)
    with (path / "sources.jsonl").open("ab") as stream:
        stream.write(b'{"source": "half a li')
    assert_same(FeatureStore.open(path), store)
    assert_same(make(path, "d"), whole)


@pytest.mark.parametrize("name", ROWS)
def test_a_cut_off_file_is_named(tmp_path, name):
    path = tmp_path / "s"
    make(path)
    os.truncate(path / name, (path / name).stat().st_size - 8)
    with pytest.raises(StoreError, match=name):
        _ = FeatureStore.open(path).moments
    with pytest.raises(StoreError, match=name):
        StoreWriter.create_or_resume(path, FACE, VOICE)


def _damage_line(path, change):
    lines = (path / "sources.jsonl").read_text().splitlines()
    fields = json.loads(lines[1])
    change(fields)
    lines[1] = json.dumps(fields)
    (path / "sources.jsonl").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    "change",
    [
        lambda fields: fields.update(face=[0, 3]),
        lambda fields: fields.pop("digest"),
        lambda fields: fields.update(extra=1),
    ],
)
def test_a_damaged_line_is_named(tmp_path, change):
    make(tmp_path / "s")
    _damage_line(tmp_path / "s", change)
    with pytest.raises(StoreError, match=r"sources\.jsonl:2"):
        FeatureStore.open(tmp_path / "s")


def test_no_store_there(tmp_path):
    with pytest.raises(StoreError, match="no such folder; make a store with"):
        FeatureStore.open(tmp_path / "nothing")
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "face.bin").write_bytes(b"")
    with pytest.raises(StoreError, match="a folder without one"):
        FeatureStore.open(tmp_path / "half")
    with pytest.raises(StoreError, match=r"a folder without store\.json"):
        StoreWriter.create_or_resume(tmp_path / "half", FACE, VOICE)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match="got a file"):
        StoreWriter.create_or_resume(tmp_path / "file", FACE, VOICE)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "description"),
        ('{"format": 1}', "store format 2, got 1; extract it again"),
        ('{"format": 2}', "the field face, got none; extract again"),
        ('{"format": 2, "face": {"name": "x"}, "voice": null}', "the field face.sha256, got none"),
    ],
)
def test_a_description_that_does_not_fit(tmp_path, text, message):
    make(tmp_path / "s")
    (tmp_path / "s" / "store.json").write_text(text)
    with pytest.raises(StoreError, match=message):
        FeatureStore.open(tmp_path / "s")


def open_files():
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_files_stay_few_and_closed_however_many_sources(tmp_path):
    """A soft limit of a few more open files than now is enough for hundreds of sources."""
    now = open_files()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (now + 20, hard))
    try:
        store = make(tmp_path / "s", [f"n{k}" for k in range(400)])
        assert len(store.moments) > 400
        assert open_files() <= now + 4  # one a memory-mapped file
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(list((tmp_path / "s").iterdir())) < 12


KILLED = """
import sys
from pathlib import Path
from tests.features.stored import FACE, VOICE, fill
from triaffect.features.store_writer import StoreWriter
writer = StoreWriter.create_or_resume(Path(sys.argv[1]), FACE, VOICE)
fill(writer, "abc")
writer.commit()
print("committed", flush=True)
for k in range(10**9):
    fill(writer, [f"x{k}"])
"""


def test_a_killed_writer_loses_no_committed_source(tmp_path):
    root = Path(__file__).resolve().parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path / "s")], cwd=root, stdout=subprocess.PIPE
    )
    with process:
        assert process.stdout.readline() == b"committed\n"
        process.send_signal(signal.SIGKILL)
    store = FeatureStore.open(tmp_path / "s")
    assert store.sources[:3] == ["a", "b", "c"]
    done = store.sources
    again = make(tmp_path / "s", [name for name in ["d", "e"] if name not in done])
    assert_same(again, make(tmp_path / "clean", [*done, "d", "e"]))
