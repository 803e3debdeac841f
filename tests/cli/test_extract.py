"""``triaffect extract`` as it is typed."""

import shutil
import sys

import cv2
import numpy as np
import pytest
from av.stream import Disposition

from tests.features.made_corpus import write_ferplus, write_sound
from tests.features.networks import face_folder
from tests.media.made import encode, speech, write_tracks
from triaffect.cli.app import main
from triaffect.features.store import FeatureStore
from triaffect.voice.log_mel import log_mel


@pytest.fixture
def typed(monkeypatch, capsys):
    """Run a command line; returns exit code, stdout and stderr."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["triaffect", *map(str, words)])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        return code, *capsys.readouterr()

    return run


def write_picture(path):
    cv2.imwrite(str(path), np.zeros((64, 64, 3), np.uint8))


@pytest.fixture
def voices(tmp_path):
    """Three utterances named as EMO-DB's are."""
    folder = tmp_path / "emodb"
    folder.mkdir()
    for name in ("03a01Fa", "08a01Wb", "11a02Nc"):
        write_sound(folder / f"{name}.wav", 1.0)
    return folder


def test_two_corpora_into_one_store(typed, voices, tmp_path):
    store = tmp_path / "store"
    code, out, err = typed("extract", voices, "-o", store, "--face", "none",
                           "--voice", "logmel64", "--jobs", 1)  # fmt: skip
    assert (code, err) == (0, "")
    assert "added 3 sources (0 face rows, 300 voice rows" in out
    code, out, _ = typed("extract", voices, "-o", store, "--face", "none",
                         "--voice", "logmel64", "--jobs", 1)  # fmt: skip
    assert code == 0
    assert "added 0 sources" in out
    assert "3 were there" in out
    assert len(FeatureStore.open(store).sources) == 3


def test_faces_of_a_small_set(typed, tmp_path):
    corpus = write_ferplus(tmp_path / "fer", 5)
    code, out, err = typed("extract", corpus, "-o", tmp_path / "s", "--face", "gray64",
                           "--voice", "none", "--jobs", 1)  # fmt: skip
    assert (code, err) == (0, "")
    assert "5 face rows" in out


def test_crops_of_a_store_are_read_by_another_network(typed, tmp_path):
    corpus = write_ferplus(tmp_path / "fer", 5)
    crops, own = tmp_path / "crops", ("--voice", "none")
    typed("extract", corpus, "-o", crops, "--face", "gray64", *own, "--jobs", 1)
    network, _ = face_folder(tmp_path / "network")
    code, out, err = typed("extract", crops, "-o", tmp_path / "s", "--face", network.path, *own)
    assert (code, err) == (0, "")
    assert "added 1 sources (5 face rows, 0 voice rows, 5 labelled moments)" in out
    code, out, err = typed("extract", crops, "-o", tmp_path / "s", "--limit", 3, *own)
    assert (code, out) == (2, "")
    assert "expected a store of crops with its own labels, got an option for reading" in err
    code, _, err = typed("extract", crops, "-o", tmp_path / "s", "--engine", "ray", *own)
    assert code == 2
    assert "an option for reading" in err


def test_a_broken_file_is_named_and_the_rest_is_done(typed, voices, tmp_path):
    (voices / "08a01Wb.wav").write_bytes(b"not a sound")
    code, out, err = typed("extract", voices, "-o", tmp_path / "s", "--face", "none",
                           "--voice", "logmel64", "--jobs", 1)  # fmt: skip
    assert code == 1, "not all was done"
    assert "warning: emodb/08a01Wb is left out" in err
    assert "added 2 sources" in out
    assert "1 left out" in out


@pytest.mark.parametrize(
    ("change", "words", "message"),
    [
        (lambda folder: [p.write_bytes(b"x") for p in folder.iterdir()], (), "can be read"),
        (shutil.rmtree, (), "no such file or folder"),
        (lambda folder: None, ("--voice", "logmel65"), "got 'logmel65'"),
    ],
)
def test_mistakes_end_in_one_line_and_code_two(typed, voices, tmp_path, change, words, message):
    change(voices)
    code, out, err = typed("extract", voices, "-o", tmp_path / "s", "--face", "none",
                           "--voice", "logmel64", "--jobs", 1, *words)  # fmt: skip
    assert (code, out) == (2, "")
    assert message in err.splitlines()[-1]


def test_a_share_of_one_person_is_nobody(typed, tmp_path):
    write_sound(tmp_path / "a.wav", 1.0)
    (tmp_path / "labels.csv").write_text("clip,person,expression\na.wav,one,anger\n")
    code, _, err = typed("extract", tmp_path, "-o", tmp_path / "s", "--face", "none", "--voice",
                         "logmel64", "--name", "mine", "--test-share", 0.01)  # fmt: skip
    assert code == 0
    assert "--test-share: nobody of mine is in the test split (its people: 1)" in err
    code, _, err = typed("extract", tmp_path, "-o", tmp_path / "s2", "--face", "none", "--voice",
                         "logmel64", "--test-share", 0.9, "--name", "mine")  # fmt: skip
    assert (code, "nobody" in err) == (0, False)


def test_a_store_of_another_extractor(typed, voices, tmp_path):
    typed("extract", voices, "-o", tmp_path / "s", "--face", "none", "--voice", "logmel64",
          "--limit", 1, "--jobs", 1)  # fmt: skip
    code, _, err = typed("extract", voices, "-o", tmp_path / "s", "--face", "gray64",
                         "--voice", "logmel64", "--jobs", 1)  # fmt: skip
    assert code == 2
    assert "expected the store's face extractor none, got gray64" in err


def test_labels_moved_by_a_delay_and_then_by_another(typed, tmp_path):
    write_sound(tmp_path / "a.wav", 1.0)
    write_picture(tmp_path / "b.png")
    (tmp_path / "labels.csv").write_text("clip,time_s,valence\na.wav,0.5,1\nb.png,,0.5\n")
    words = ("extract", tmp_path, "-o", tmp_path / "s", "--face", "none", "--voice", "logmel64",
             "--jobs", 1)  # fmt: skip
    code, _, err = typed(*words, "--va-delay", "400ms")
    assert code == 0
    assert err == ("triaffect: warning: --va-delay moves no labels of unrelated pictures: "
                   "1 sources, such as table/b.png\n")  # fmt: skip
    moments = FeatureStore.open(tmp_path / "s").moments
    assert moments.column("time_s").tolist() == pytest.approx([0.1, 0.0])
    assert moments.column("frame").tolist() == [3, 0]
    code, out, _ = typed(*words, "--va-delay", "0.4s")
    assert (code, "2 were there" in out) == (0, True)
    for other in ((), ("--va-delay", "0.3")):
        code, _, err = typed(*words, *other)
        assert code == 2
        assert "table/a.wav as it was extracted, got other labels" in err
        assert "extract into a new store" in err
        assert len(err.splitlines()[-1]) > 0
    code, _, err = typed(*words, "--va-delay", "400")
    assert code == 2
    assert err.splitlines()[-1].endswith(
        "--va-delay: expected a delay from 0 to 10 s, such as 0.4s or 400ms, got '400'"
    )


def test_a_cluster_is_asked_for_by_name(typed, voices, tmp_path):
    words = ("extract", voices, "-o", tmp_path / "s", "--face", "none", "--voice", "logmel64")
    code, _, err = typed(*words, "--ray-address", "127.0.0.1:9")
    assert (code, err) == (
        2, "triaffect: --ray-address: expected --engine ray, got processes; add it\n"
    )  # fmt: skip
    code, _, err = typed(*words, "--engine", "ray", "--ray-address", "nowhere")
    assert code == 2
    assert err.startswith(("triaffect: --ray-address: expected HOST", "triaffect: expected the pa"))


def test_a_folder_without_labels(typed, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    write_sound(folder / "a.wav", 1.0)
    write_picture(folder / "b.png")
    (folder / "c.wav").write_bytes(b"no sound")
    words = ("extract", folder, "-o", tmp_path / "s", "--face", "gray64", "--voice", "logmel64",
             "--jobs", 1)  # fmt: skip
    code, out, err = typed(*words)
    assert code == 1, "one of them is broken"
    assert "no label file of a known form; each of its 3 files is a source without labels" in err
    assert "warning: media/c.wav is left out" in err
    assert "added 2 sources (1 face rows, 100 voice rows, 0 labelled moments)" in out
    store = FeatureStore.open(tmp_path / "s")
    assert store.sources == ["media/a.wav", "media/b.png"]
    assert len(store.moments) == 0
    (folder / "c.wav").unlink()
    code, out, _ = typed(*words)
    assert (code, "2 were there" in out) == (0, True)


def test_a_mistyped_clip_is_told_once_with_its_row(typed, tmp_path):
    write_sound(tmp_path / "anna.wav", 1.0)
    lines = "clip,frame,valence\nanna.wav,0,0.5\nana.wav,0,0.5\n"
    (tmp_path / "labels.csv").write_text(lines)
    _, out, err = typed("extract", tmp_path, "-o", tmp_path / "s", "--face", "none",
                        "--voice", "logmel64", "--jobs", 1)  # fmt: skip
    assert "added 1 sources" in out
    place = tmp_path / "labels.csv"
    told = f"table/ana.wav is left out: labels: {place}, row 2, column clip: expected a file in"
    assert told in err
    assert err.endswith("got 'ana.wav'; did you mean anna.wav?\n")
    assert err.count("\n") == 1
    code, _, err = typed("corpus", "check", tmp_path, "--jobs", 1)
    assert code == 2
    assert err.count("row 2, column clip") == 1


def test_one_of_several_sound_tracks_is_taken(typed, tmp_path):
    tracks = speech(2), 0.3 * np.sin(2 * np.pi * 220 * np.arange(2 * 16_000) / 16_000)
    (tmp_path / "data").mkdir()
    path = write_tracks(tmp_path / "data" / "a.mka", tracks, (Disposition(0), Disposition(0)))
    for number, track in enumerate(tracks, 1):
        store = tmp_path / f"s{number}"
        options = ("--face", "none", "--voice", "logmel64", "--sound-track", number)
        code, _, told = typed("extract", path.parent, "-o", store, *options, "--jobs", 1)
        assert (code, told.count("sound tracks")) == (0, 0), told
        expected = log_mel(np.round(track * 32767).astype(np.float32) / 32768)
        assert np.abs(FeatureStore.open(store).voice.astype(float) - expected).max() < 0.1
    options = ("--face", "none", "--voice", "logmel64", "--sound-track", 3, "--jobs", 1)
    code, _, told = typed("extract", path.parent, "-o", tmp_path / "s3", *options)
    assert code == 2, "it was the only source"
    assert "expected a sound track from 1 to 2, got 3" in told


MAPPING = """title = "raters"
origin = "human"
frame = "frame"
[columns.valence]
from = ["happy"]
center = 50
scale = 50
"""


def test_people_and_splits_hold_for_labels_of_other_tables(typed, tmp_path):
    (tmp_path / "data").mkdir()
    for name in ("a.png", "b.png"):
        write_picture(tmp_path / "data" / name)
    labels = tmp_path / "data" / "labels.csv"
    labels.write_text("clip,person,split,mood\na.png,ann,train,1\nb.png,bob,test,2\n")
    (tmp_path / "m.toml").write_text(MAPPING.replace('frame = "frame"\n', ""))
    (tmp_path / "t.csv").write_text("clip,happy\na.png,10\nb.png,90\n")
    words = ("extract", tmp_path / "data", "-o", tmp_path / "s", "--face", "gray64", "--voice",
             "none", "--jobs", 1)  # fmt: skip
    code, _, err = typed(*words)
    assert (code, "a label in at least one of" in err) == (2, True)
    code, _, err = typed(*words, "--labels-from", f"{tmp_path / 'm.toml'}={tmp_path / 't.csv'}")
    assert (code, err) == (0, "triaffect: warning: columns passed over: mood\n")
    moments = FeatureStore.open(tmp_path / "s").moments
    columns = [moments.column(name).tolist() for name in ("person", "split", "VA_origin")]
    assert columns == [["ann", "bob"], ["train", "test"], ["human", "human"]]


def test_a_frame_past_the_end_of_a_video_is_refused_before_extracting(typed, tmp_path):
    (tmp_path / "data").mkdir()
    encode(tmp_path / "data" / "a.mkv", [0, 40, 80])
    (tmp_path / "m.toml").write_text(MAPPING)
    (tmp_path / "t.csv").write_text("clip,frame,happy\na.mkv,0,10\na.mkv,3,90\n")
    words = ("extract", tmp_path / "data", "-o", tmp_path / "s", "--face", "gray64", "--voice",
             "none", "--jobs", 1)  # fmt: skip
    labels = f"{tmp_path / 'm.toml'}={tmp_path / 't.csv'}"
    code, out, err = typed(*words, "--labels-from", labels)
    assert (code, out) == (2, "")
    said = f"{tmp_path / 't.csv'}, row 2, column frame: expected a frame of the video, from 0 to 2"
    assert err == f"triaffect: {said}, got 3\n"


def test_labels_of_a_face_that_a_clip_has_not_are_doubted(typed, tmp_path):
    encode(tmp_path / "a.mkv", [0, 40, 80])
    lines = ["a.mkv,0,0,0.5", "a.mkv,1,3,0.5", "a.mkv,2,3,0.5"]
    (tmp_path / "labels.csv").write_text("\n".join(["clip,frame,face_id,valence", *lines]))
    code, _, err = typed("extract", tmp_path, "-o", tmp_path / "s", "--face", "gray64", "--voice",
                         "none", "--jobs", 1)  # fmt: skip
    assert code == 0
    said = "table/a.mkv is read doubtfully: 2 labels of face_id 3, which no face of it has"
    assert err == f"triaffect: warning: {said}\n"
