"""External features: what goes in comes out at its time, and nothing wrong gets in."""

import json
import os
import pickle
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.features.stored import FACE, VOICE, faces, info, moments
from triaffect.errors import StoreError
from triaffect.features.external.files import match_names
from triaffect.features.external.join import frame_times, join, stream_spec
from triaffect.features.store import FeatureStore
from triaffect.features.store_writer import FaceRows, StoreWriter
from triaffect.features.timeline import ANY_TRACK, KEY_DTYPE, NO_FRAME

RATE = stream_spec("x", 50.0)
FRAMES = stream_spec("x", None)
NAMES = ("toy/talk/anna.mp4", "toy/ben", "toy/carla")


def make_store(path, names=NAMES):
    """Sources of 25 frames/s; anna's frames 2 to 9 come 0.1 s late."""
    with StoreWriter.create_or_resume(path, FACE, VOICE) as writer:
        for name in names:
            if writer.has(name):
                continue
            rows = faces(0)
            if name.endswith("anna.mp4"):
                keys = np.zeros(8, KEY_DTYPE)
                keys["frame"] = np.arange(2, 10)
                keys["time_s"] = keys["frame"] / 25 + 0.1
                rows = FaceRows(np.zeros((8, 6), np.float16), keys)
            writer.add(info(name), moments(name, 12), rows)
    return FeatureStore.open(path)


@pytest.fixture
def store(tmp_path):
    return make_store(tmp_path / "store")


@pytest.fixture
def folder(tmp_path):
    """A file for each source, 40 rows of 3 values."""
    (tmp_path / "features" / "talk").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in ("talk/anna", "ben", "carla"):
        values = rng.normal(size=(40, 3)).astype(np.float32)
        np.save(tmp_path / "features" / f"{name}.npy", values)
    return tmp_path / "features"


def rows_of(store, name="x", source="toy/ben"):
    """Values, times and tracks of one source in a store opened anew."""
    stream = FeatureStore.open(store.path).external(name)
    line = stream.joined.get(source)
    span = slice(*line.rows) if line else slice(0)
    return stream.values[span], stream.time_s[span], stream.track[span].tolist()


def test_rows_lie_at_their_rate_and_offset(store, folder):
    report = join(store, folder, stream_spec("w2v", 50.0, offset_s=0.25))
    assert (report.added, report.rows, report.mistakes) == (3, 120, {})
    values, time_s, tracks = rows_of(store, "w2v")
    np.testing.assert_array_equal(values, np.load(folder / "ben.npy"))
    np.testing.assert_allclose(time_s, np.arange(40) / 50 + 0.25)
    assert set(tracks) == {ANY_TRACK}
    assert not values.flags.writeable
    assert store.externals == ["w2v"]
    assert (store.external("w2v").frame == NO_FRAME).all()


def test_frames_have_the_times_that_the_store_knows(store, folder):
    join(store, folder, FRAMES)
    stream = store.external("x")
    rows = slice(*stream.joined["toy/talk/anna.mp4"].rows)
    np.testing.assert_array_equal(stream.frame[rows], np.arange(40))
    np.testing.assert_allclose(stream.time_s[rows], np.arange(40) / 25 + 0.1)
    np.testing.assert_allclose(rows_of(store)[1], np.arange(40) / 25)


@settings(max_examples=30, deadline=None)
@given(st.sets(st.integers(0, 60), min_size=1), st.integers(0, 2**32))
def test_frame_times_pass_through_the_known_and_rise(known, seed):
    rng = np.random.default_rng(seed)
    frame = np.array(sorted(known))
    time_s = np.cumsum(rng.uniform(0.01, 0.5, len(frame)))

    class Known:
        face_frame, face_time_s = frame, time_s

    class Entry:
        face, frame_rate, stills = (0, len(frame)), 25.0, False

    found = frame_times(Known, Entry, np.arange(70))
    np.testing.assert_allclose(found[frame], time_s)
    assert (np.diff(found) > 0).all()


OPENFACE = """frame, face_id, timestamp, confidence, success, AU01_r, AU02_r, pose_Rx
1, 0, 0.000, 0.98, 1, 0.5, 1.5, 0.1
2, 0, 0.040, 0.10, 0, 0.0, 0.0, 0.0
3, 0, 0.080, 0.97, 1, 2.5, 3.5, 0.3
"""


def test_openface_tables_are_read_as_they_come(store, tmp_path):
    (tmp_path / "of").mkdir()
    (tmp_path / "of" / "ben.csv").write_text(OPENFACE)
    report = join(store, tmp_path / "of", stream_spec("x", None, patterns=("pose_Rx", "AU*_r")))
    assert (report.added, report.rows, report.absent) == (1, 2, 1)
    assert report.without == ["toy/talk/anna.mp4", "toy/carla"]
    values, time_s, tracks = rows_of(store)
    np.testing.assert_allclose(values, [[0.1, 0.5, 1.5], [0.3, 2.5, 3.5]], rtol=1e-6)
    np.testing.assert_allclose(time_s, [0, 0.08])
    assert set(tracks) == {0}
    stream = store.external("x")
    assert stream.spec.columns == ("pose_Rx", "AU01_r", "AU02_r")
    np.testing.assert_array_equal(stream.frame, [0, 2])


@pytest.mark.parametrize("any_face", [False, True])
def test_faces_are_kept_apart_unless_told_otherwise(store, tmp_path, any_face):
    (tmp_path / "f").mkdir()
    table = pd.DataFrame(
        {"time_s": [0.0, 0.5, 0.1, 0.6], "face_id": [3, 3, 1, 1], "v": [1.0, 2.0, 3.0, 4.0]}
    )
    table.to_parquet(tmp_path / "f" / "ben.parquet")
    spec = stream_spec("x", 2.0, any_face=any_face)
    if any_face:  # two faces at a time are no series of one
        with pytest.raises(StoreError, match=r"rising times.*0\.1 s after 0\.5 s"):
            join(store, tmp_path / "f", spec)
        return
    join(store, tmp_path / "f", spec)
    values, time_s, tracks = rows_of(store)
    assert tracks == [1, 1, 3, 3]
    np.testing.assert_array_equal(values[:, 0], [3, 4, 1, 2])
    np.testing.assert_array_equal(time_s, [0.1, 0.6, 0, 0.5])


def test_rows_that_are_not_finite_are_absent(store, folder):
    values = np.load(folder / "ben.npy")
    values[3, 1], values[5, 0] = np.nan, np.inf
    np.save(folder / "ben.npy", values)
    report = join(store, folder, RATE)
    assert (report.rows, report.absent) == (118, 2)
    kept, time_s, _ = rows_of(store)
    rest = [k for k in range(40) if k not in (3, 5)]
    np.testing.assert_array_equal(kept, values[rest])
    np.testing.assert_allclose(time_s, np.array(rest) / 50)


class Evil:
    """Leaves a trace when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("unpickled",)


def _written(path, content):
    if isinstance(content, np.ndarray):
        np.save(path, content)
    elif isinstance(content, dict):
        with path.open("wb") as stream:
            np.savez(stream, **content)
    else:
        path.write_bytes(content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pickle.dumps(Evil()), "pickle"),
        (np.array([[Evil()]], object), "object"),
        (np.zeros(7), r"shape \(7,\)"),
        (np.zeros((1, 7, 3)), r"shape \(1, 7, 3\)"),
        (np.zeros((0, 3)), r"shape \(0, 3\)"),
        (np.zeros((7, 0)), r"shape \(7, 0\)"),
        (np.full((2, 3), "a"), "type <U1"),
        (np.zeros((2, 3), bool), "type bool"),
        (np.zeros((2, 3), complex), "type complex128"),
        (np.zeros((2, 3), [("a", "f4")]), "type"),
        (np.zeros((40, 4)), "3 values a row, as toy/talk/anna.mp4 has, got 4"),
        (np.full((2, 3), 1e39), "scale the values"),
        ({"a": np.zeros((2, 3))}, "an archive"),
        (b"", "No data left|EOF"),
        (b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order'", "header|EOF"),
    ],
)
def test_a_broken_array_is_named_and_the_rest_joined(store, folder, content, message):
    _written(folder / "ben.npy", content)
    report = join(store, folder, RATE)
    assert report.added == 2
    assert list(report.mistakes) == ["toy/ben"]
    assert not len(rows_of(store)[0])
    assert re.search(message, report.mistakes["toy/ben"])
    assert not Path("unpickled").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "a column v"),
        ("v\n", "at least one row"),
        ("", "No columns"),
        ("v\nx\n", "row 1, column v.*'x'"),
        ("v,time_s\n1,0\n2,\n", "row 2, column time_s"),
        ("v,time_s\n1,0.5\n2,0.4\n", r"rising times, got 0\.4 s after 0\.5 s"),
        ("v,time_s\n1,0.5\n2,0.5\n", "rising times"),
        ("v,frame\n1,3\n2,2\n", "rising times"),
        ("v,frame\n1,0.5\n", "a whole number from 0"),
        ("v,frame\n1,-1\n", "a whole number from 0"),
        ("v,face_id\n1,\n", "face_id"),
        ("v,face_id\n1,99999999999\n", "a whole number"),
        ("v\n1,2,3\n", "cells a row|Expected 1 fields"),
        ("v\n\xff\xfe", "utf-8|row 1"),
    ],
)
def test_a_broken_table_is_named_and_the_rest_joined(store, folder, text, message):
    for path in folder.rglob("*.npy"):
        path.unlink()
    (folder / "carla.csv").write_text("v\n1\n2\n")
    (folder / "ben.csv").write_bytes(text.encode("latin-1"))
    report = join(store, folder, stream_spec("x", None, patterns=("v",)))
    assert report.added == 1
    assert re.search(message, report.mistakes["toy/ben"])


def test_columns_must_be_the_same_everywhere(store, tmp_path):
    (tmp_path / "f").mkdir()
    pd.DataFrame({"a": [1.0], "b": [2.0]}).to_parquet(tmp_path / "f" / "ben.parquet")
    pd.DataFrame({"b": [1.0], "a": [2.0]}).to_parquet(tmp_path / "f" / "carla.parquet")
    report = join(store, tmp_path / "f", RATE)
    assert "the columns a, b, got b, a" in report.mistakes["toy/carla"]


def test_a_column_of_lists_is_a_row_of_values_each(store, tmp_path):
    (tmp_path / "f").mkdir()
    lists = [[1.0, 2.0], None, [3.0, 4.0]]
    pd.DataFrame({"name": ["a", "b", "c"], "emb": lists}).to_parquet(tmp_path / "f" / "ben.parquet")
    ragged = pd.DataFrame({"emb": [[1.0, 2.0], [1.0]]})
    ragged.to_parquet(tmp_path / "f" / "carla.parquet")
    report = join(store, tmp_path / "f", RATE)
    assert (report.rows, report.absent) == (2, 1)
    np.testing.assert_array_equal(rows_of(store)[0], [[1, 2], [3, 4]])
    assert store.external("x").spec.columns == ("emb.0", "emb.1")
    assert "row 2, column emb: expected a list of 2 numbers" in report.mistakes["toy/carla"]


def test_float16_never_makes_an_infinity(store, folder):
    np.save(folder / "ben.npy", np.full((2, 3), 1e5))
    report = join(store, folder, stream_spec("half", 50.0, dtype="float16"))
    assert report.added == 2
    assert "join with --dtype float32" in report.mistakes["toy/ben"]
    assert store.external("half").values.dtype == np.float16
    assert join(store, folder, stream_spec("full", 50.0)).added == 3
    assert (rows_of(store, "full")[0] == 1e5).all()


def test_a_link_out_of_the_folder_is_not_followed(store, folder, tmp_path):
    np.save(tmp_path / "secret.npy", np.zeros((2, 3)))
    (folder / "ben.npy").unlink()
    (folder / "ben.npy").symlink_to(tmp_path / "secret.npy")
    (folder / "more").symlink_to(tmp_path)
    report = join(store, folder, RATE)
    assert report.added == 2
    assert set(report.mistakes) == {"ben.npy", "more"}
    assert "toy/ben" in report.without
    (folder / "ben.npy").unlink()
    (folder / "ben.npy").symlink_to("carla.npy")
    assert join(store, folder, RATE).added == 1


@pytest.mark.parametrize(
    ("names", "files", "mistakes"),
    [
        (["toy/ben", "ben"], {}, {"toy/ben"}),
        (["talk/anna"], {"toy/talk/anna.mp4": "talk/anna"}, set()),
        (["anna"], {"toy/talk/anna.mp4": "anna"}, set()),
        (["toy/talk/anna.mp4"], {"toy/talk/anna.mp4": "toy/talk/anna.mp4"}, set()),
        (["../ben", "/ben", "ben/", "nobody"], {}, set()),
        (["carla"], {}, {"carla"}),
        (["one/carla"], {"toy/one/carla": "one/carla"}, set()),
    ],
)
def test_a_name_means_one_source_or_none(names, files, mistakes):
    found = match_names(names, [*NAMES[:2], "toy/one/carla", "toy/two/carla"])
    assert found.files == files
    assert set(found.mistakes) == mistakes
    assert set(found.unused) == ({*names} if not files and not mistakes else set())


def table_of(folder, clips):
    parts = []
    for clip, file in clips.items():
        values = np.load(folder / f"{file}.npy")
        parts.append(pd.DataFrame(values, columns=list("abc")).assign(clip=clip))
    return pd.concat(parts)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_one_table_of_many_sources_says_the_same(store, folder, tmp_path, suffix):
    clips = {"talk/anna.mp4": "talk/anna", "ben": "ben", "stranger": "carla"}
    table = table_of(folder, clips).sort_index(kind="stable")  # rows of the clips in turn
    path = tmp_path / f"t.{suffix}"
    table.to_csv(path, index=False) if suffix == "csv" else table.to_parquet(path)
    report = join(store, path, stream_spec("table", 50.0, patterns=("a", "b", "c")))
    assert (report.added, report.unused, report.without) == (2, ["stranger"], ["toy/carla"])
    join(store, folder, RATE)
    for source in ("toy/ben", "toy/talk/anna.mp4"):
        (values, time_s, _), (expected, at, _) = (rows_of(store, x, source) for x in ("table", "x"))
        np.testing.assert_allclose(values, expected, rtol=1e-6)
        np.testing.assert_array_equal(time_s, at)
    assert join(store, path, stream_spec("table", 50.0, patterns=("a", "b", "c"))).there == 2


def test_a_table_may_be_longer_than_is_read_at_once(store, tmp_path):
    long = pd.DataFrame({"clip": ["ben"] * 20_000 + ["carla"] * 5, "v": np.arange(20_005.0)})
    long.to_parquet(tmp_path / "t.parquet")
    assert join(store, tmp_path / "t.parquet", RATE).rows == 20_005
    np.testing.assert_array_equal(rows_of(store)[0][:, 0], np.arange(20_000))


def test_joining_again_goes_on(store, folder, tmp_path):
    (folder / "carla.npy").rename(tmp_path / "later.npy")
    assert join(store, folder, RATE).added == 2
    (tmp_path / "later.npy").rename(folder / "carla.npy")
    again = join(store, folder, RATE)
    assert (again.added, again.there, again.rows) == (1, 2, 40)
    grown = make_store(store.path, [*NAMES, "toy/dora"])
    np.save(folder / "dora.npy", np.ones((5, 3)))
    assert join(grown, folder, RATE).added == 1
    np.testing.assert_array_equal(rows_of(grown, source="toy/dora")[0], np.ones((5, 3)))


def test_a_changed_file_is_told_and_replaced_only_when_asked(store, folder):
    join(store, folder, RATE)
    before = store.fingerprint(["x"])
    np.save(folder / "ben.npy", np.zeros((4, 3)))
    report = join(store, folder, RATE)
    assert (report.there, report.added) == (2, 0)
    assert "--replace" in report.mistakes["toy/ben"]
    assert len(rows_of(store)[0]) == 40
    assert join(store, folder, RATE, replace_all=True).added == 3
    assert len(rows_of(store)[0]) == 4
    assert FeatureStore.open(store.path).fingerprint(["x"]) != before


def test_replacing_by_nothing_keeps_what_is_there(store, folder, tmp_path):
    join(store, folder, RATE)
    (tmp_path / "bad").mkdir()
    np.save(tmp_path / "bad" / "ben.npy", np.zeros(4))
    with pytest.raises(StoreError, match="shape"):
        join(store, tmp_path / "bad", RATE, replace_all=True)
    assert len(rows_of(store)[0]) == 40


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (stream_spec("x", 25.0), "50 rows a second, got 25 rows a second"),
        (stream_spec("x", None), "50 rows a second, got a row a frame"),
        (stream_spec("x", 50.0, offset_s=1), "offset"),
        (
            stream_spec("x", 50.0, patterns=("a",)),
            "columns of the stream that is there, all, got a",
        ),
        (stream_spec("x", 50.0, dtype="float16"), "number type"),
        (stream_spec("x", 50.0, any_face=True), "face numbers"),
    ],
)
def test_another_stream_of_the_same_name_is_refused(store, folder, other, message):
    join(store, folder, RATE)
    with pytest.raises(StoreError, match=message):
        join(store, folder, other)


def test_a_folder_that_fits_nothing_is_an_error(store, tmp_path):
    (tmp_path / "f").mkdir()
    np.save(tmp_path / "f" / "nobody.npy", np.zeros((2, 3)))
    with pytest.raises(StoreError, match=r"toy/talk/anna\.mp4.*nobody\.npy"):
        join(store, tmp_path / "f", RATE)
    with pytest.raises(StoreError, match="no such"):
        join(store, tmp_path / "nothing", RATE)
    with pytest.raises(StoreError, match=r"nobody\.npy"):
        join(store, tmp_path / "f" / "nobody.npy", RATE)
    (tmp_path / "t.csv").write_text("name,v\nben,1\n")
    with pytest.raises(Exception, match="a column 'clip' or 'source', got name, v"):
        join(store, tmp_path / "t.csv", RATE)


@pytest.mark.parametrize("name", ["face", "voice", "../x", "a/b", "", "CLIP", "a" * 65, "a\n"])
def test_a_name_that_cannot_be(store, folder, name):
    with pytest.raises(StoreError, match="a name of at most"):
        join(store, folder, stream_spec(name, 50.0))
    assert store.externals == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"rate": 0.0}, "--rate"),
        ({"rate": float("nan")}, "--rate"),
        ({"rate": 1.0, "offset_s": float("inf")}, "--offset"),
        ({"rate": 1.0, "dtype": "float64"}, "float32 or float16"),
    ],
)
def test_options_that_cannot_be(words, message):
    with pytest.raises(StoreError, match=message):
        stream_spec("x", **words)


def test_a_store_names_its_streams(store, folder):
    with pytest.raises(StoreError, match=r"'clip', got none at all; join it: triaffect join"):
        store.external("clip")
    join(store, folder, RATE)
    with pytest.raises(StoreError, match="'clip', got x"):
        store.external("clip")


def test_a_fingerprint_covers_the_streams_that_are_used(store, folder):
    plain = store.fingerprint()
    join(store, folder, RATE)
    join(store, folder, stream_spec("y", 25.0))
    assert store.fingerprint() == plain
    assert len({plain, store.fingerprint(["x"]), store.fingerprint(["y"])}) == 3


@pytest.mark.parametrize("name", ["rows.bin", "keys.bin"])
def test_what_lies_behind_the_last_line_counts_for_nothing(store, folder, tmp_path, name):
    (folder / "carla.npy").rename(tmp_path / "later.npy")
    join(store, folder, RATE)
    place = store.path / "external" / "x"
    with (place / name).open("ab") as stream:
        stream.write(b"left by an interrupted run")
    with (place / "sources.jsonl").open("ab") as stream:
        stream.write(b'{"source": "half a li')
    assert len(rows_of(store)[0]) == 40
    (tmp_path / "later.npy").rename(folder / "carla.npy")
    join(store, folder, RATE)
    np.testing.assert_array_equal(
        rows_of(store, source="toy/carla")[0], np.load(folder / "carla.npy")
    )
    os.truncate(place / name, 100)
    with pytest.raises(StoreError, match=name):
        FeatureStore.open(store.path).external("x")


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("external.json", lambda text: "{", "description"),
        ("external.json", lambda text: text.replace('"format": 1', '"format": 9'), "format 9"),
        ("external.json", lambda text: text.replace('"dim"', '"dam"'), "the field dim, got none"),
        ("sources.jsonl", lambda text: text.replace("[40, 80]", "[40, 30]"), r"jsonl:2"),
        ("sources.jsonl", lambda text: text.replace('"digest"', '"dugest"'), r"jsonl:1"),
    ],
)
def test_damage_is_named(store, folder, file, change, message):
    join(store, folder, RATE)
    path = store.path / "external" / "x" / file
    path.write_text(change(path.read_text()))
    with pytest.raises(StoreError, match=message):
        FeatureStore.open(store.path).external("x")


KILLED = """
import sys
from pathlib import Path
from triaffect.features.external.join import join, stream_spec
from triaffect.features.store import FeatureStore
def told(done, count, source):
    print(source, flush=True)
    if done == 2:
        sys.stdin.read()
store = FeatureStore.open(Path(sys.argv[1]))
import triaffect.features.external.writer as writer
writer._COMMIT_EVERY_S = 0.0
join(store, Path(sys.argv[2]), stream_spec("x", 50.0), progress=told)
"""


def test_a_killed_join_keeps_what_was_joined(store, folder):
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-c", KILLED, str(store.path), str(folder)]
    with subprocess.Popen(
        command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        for _ in range(2):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    assert len(store.external("x").joined) == 2
    report = join(store, folder, RATE)
    assert (report.there, report.added) == (2, 1)
    for line in (store.path / "external" / "x" / "sources.jsonl").read_text().splitlines():
        file = folder.rglob(json.loads(line)["file"])
        assert len(list(file)) == 1


def test_two_joins_at_once_are_refused(store, folder):
    def told(done, count, source):
        with pytest.raises(StoreError, match="in use"):
            join(store, folder, RATE)

    assert join(store, folder, RATE, progress=told).added == 3


def test_scale_is_that_of_the_sources_asked_for(store, folder):
    np.save(folder / "carla.npy", np.full((40, 3), 7.0))
    join(store, folder, RATE)
    stream = store.external("x")
    ben = np.load(folder / "ben.npy")
    scale = stream.scale({"toy/ben"})
    np.testing.assert_allclose(scale.mean, ben.mean(0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(scale.std, ben.std(0), rtol=1e-4)
    assert (stream.scale({"toy/carla"}).std == 1).all()
    assert stream.scale(set()).mean[0] > 1
