"""``triaffect predict`` as a user meets it: files, messages, exit codes."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import onnxruntime
import pandas as pd
import pytest
import skimage.io
from av.stream import Disposition

import triaffect
from tests.media.made import encode, speech, write_tracks
from tests.prediction.tiny_model import portrait, tone, write_clip, write_sound, write_tiny_model
from triaffect.cli.app import main
from triaffect.media.video import VideoFrames
from triaffect.prediction import batch as many
from triaffect.synthetic.voice import utter

AGAIN = " the same command tries those that failed again, and computes no others"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_tiny_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture
def run(monkeypatch, capsys, model, tmp_path):
    """Run the command in an empty folder; gives exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        line = ["triaffect", "predict", *map(str, arguments)]
        if "--model" not in line:
            line += ["--model", str(model)]
        monkeypatch.setattr(sys, "argv", line)
        with pytest.raises(SystemExit) as done:
            main()
        out = capsys.readouterr()
        return done.value.code or 0, out.out, out.err

    return call


def test_files_and_folders_become_one_table_and_a_page(run, tmp_path):
    (tmp_path / "clips").mkdir()
    write_clip(tmp_path / "clips" / "b.mp4", 5)
    write_sound(tmp_path / "clips" / "a.wav", tone(1.0))
    skimage.io.imsave(tmp_path / "one.png", portrait())
    code, out, err = run("one.png", "clips", "-o", "t.csv", "--report", "page.html")
    assert (code, err) == (0, "")
    table = pd.read_csv("t.csv")
    assert table["clip"].drop_duplicates().tolist() == ["one.png", "clips/a.wav", "clips/b.mp4"]
    assert f"{len(table)} rows from 3 files" in out
    page = (tmp_path / "page.html").read_text("utf-8")
    assert page.count("<h2>") == 3
    assert "image/jpeg" in page
    assert "Model tiny, version" in page
    code, _, _ = run("one.png", "clips", "-o", "t.parquet", "--jobs", "2")
    assert code == 0
    assert np.allclose(pd.read_parquet("t.parquet")["valence"], table["valence"])
    assert {p.name for p in tmp_path.iterdir()} == {
        *("clips", "one.png", "t.csv", "t.csv.meta.json", "t.parquet", "page.html")
    }


def test_a_page_can_be_made_without_pictures(run, tmp_path):
    skimage.io.imsave(tmp_path / "one.png", portrait())
    code, _, err = run("one.png", "-o", "t.csv", "--report", "page.html", "--no-thumbnails")
    assert (code, err) == (0, "")
    assert "image/jpeg" not in (tmp_path / "page.html").read_text("utf-8")


def test_a_broken_file_among_others_is_told_at_the_end(run, tmp_path):
    write_sound(tmp_path / "good.wav", tone(1.0))
    (tmp_path / "bad.mp4").write_bytes(b"")
    code, out, err = run("bad.mp4", "missing.mp4", "good.wav", "-o", "t.csv")
    assert code == 1
    assert "1 file; 2 left out" in out
    assert [line.split(":")[:3] for line in err.splitlines()] == [
        ["triaffect", " warning", " bad.mp4"],
        ["triaffect", " warning", " missing.mp4"],
        ["triaffect", " finished files are kept in t.csv.parts", AGAIN],
    ]
    assert set(pd.read_csv("t.csv")["clip"]) == {"good.wav"}


def test_patterns_and_folders_of_pictures(run, tmp_path):
    for name in ("s/1.png", "s/2.png", "t/1.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
    for name in ("s/1.png", "s/2.png"):
        skimage.io.imsave(tmp_path / name, portrait())
    write_sound(tmp_path / "t" / "1.wav", tone(1.0))
    code, _, err = run("*/*.png", "-o", "t.csv")
    assert (code, err) == (0, "")
    table = pd.read_csv("t.csv")
    assert table["clip"].tolist() == ["s/1.png", "s/2.png"]
    code, _, err = run("s", "**/*.wav", "-o", "t.csv", "--images-as-video", "4")
    assert (code, err) == (0, "")
    table = pd.read_csv("t.csv")
    assert table["clip"].drop_duplicates().tolist() == ["s", "t/1.wav"]
    assert table["time_s"][:2].tolist() == [0.0, 0.25]
    for pattern, words in (
        ("*.mp4", "matches media"),
        ("webcam:99", "webcam:99: expected a camera that can be opened"),
        ("webcam", "webcam:0: expected a camera that can be opened"),
    ):
        code, _, err = run(pattern, "-o", "u.csv", "--seconds", "1")
        assert code == 2
        assert words in err
        assert len(err.splitlines()) == 1


def test_copies_are_drawn(run, tmp_path):
    write_clip(tmp_path / "clip.mp4", 5)
    write_sound(tmp_path / "a.wav", tone(1.0))
    code, _, err = run("clip.mp4", "-o", "t.csv", "--annotate", "drawn.mp4")
    assert (code, err) == (0, "")
    code, _, err = run("clip.mp4", "a.wav", "-o", "t.csv", "--annotate", "drawn")
    assert (code, err) == (0, "")
    assert [path.name for path in (tmp_path / "drawn").iterdir()] == ["clip.annotated.mp4"]
    for path in ("drawn.mp4", "drawn/clip.annotated.mp4"):
        assert len(list(VideoFrames(tmp_path / path))) == 5
    code, _, err = run("clip.mp4", "-o", "t.csv", "--annotate", "clip.mp4")
    assert code == 2
    assert "an input, which it would replace" in err


def test_what_is_lost_is_marked_beside_the_table(run, tmp_path):
    path = encode(tmp_path / "whole.mkv", range(0, 2400, 40), source=("rgb24", portrait()))
    (tmp_path / "cut.mkv").write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    (tmp_path / "bad.mp4").write_bytes(b"words")
    code, out, _ = run("cut.mkv", "bad.mp4", "-o", "t.csv")
    assert code == 1
    assert "1 left out; 1 only in part" in out
    told = json.loads((tmp_path / "t.csv.meta.json").read_text())["problems"]
    assert [(each["clip"], each["state"]) for each in told] == [
        *(("cut.mkv", "partial"), ("bad.mp4", "failed"))
    ]
    assert told[0]["rows"] == len(pd.read_csv("t.csv"))
    code, *_ = run("whole.mkv", "-o", "t.csv")
    assert code == 0
    assert json.loads((tmp_path / "t.csv.meta.json").read_text())["problems"] == []


@pytest.mark.parametrize("others", [(), ("plain.wav",)])
def test_which_of_several_sounds_was_read_is_told(run, tmp_path, others):
    silence, voice = np.zeros(48_000), speech(3)
    write_tracks(tmp_path / "two.mka", (silence, voice), (Disposition(0), Disposition.default))
    write_sound(tmp_path / "plain.wav", tone(2))
    code, _, err = run("two.mka", *others, "-o", "t.csv")
    assert code == 0
    line = "of 2 sound tracks, number 2 was read: the only one that is not silent"
    assert err.count(line) == 1
    (about,) = json.loads((tmp_path / "t.csv.meta.json").read_text())["problems"]
    assert (about["clip"], about["state"]) == ("two.mka", "doubtful")
    assert line in about["problem"]
    code, _, err = run("two.mka", "--sound-track", 1, "-o", "first.csv")
    assert (code, "warning" in err) == (0, False)
    assert not pd.read_csv("first.csv")["voice_heard"].any()
    code, _, err = run("two.mka", "--sound-track", 3, "-o", "third.csv")
    assert code == 2
    assert "expected a sound track from 1 to 2, got 3" in err


def test_sound_can_be_left_out(run, tmp_path):
    voice = utter(2.0, valence=0.5, arousal=0.5)
    write_clip(tmp_path / "clip.mp4", 5, sound=voice)
    write_sound(tmp_path / "voice.wav", voice)
    for option, heard in (([], True), (["--no-sound"], False)):
        code, _, err = run("clip.mp4", "voice.wav", "-o", "t.csv", *option)
        assert code == (0 if heard else 1)
        assert ("voice.wav: expected a video or picture" in err) is not heard
        table = pd.read_csv("t.csv")
        assert table["face_seen"][:5].all()
        assert table["voice_heard"].any() == heard


def test_the_table_comes_in_many_forms(run, tmp_path, model):
    write_clip(tmp_path / "clip.mp4", 30)
    more = ["--smooth", "centred:0.2s", "--baseline", "400ms", "--summary", "sum.jsonl"]
    code, _, err = run("clip.mp4", "-o", "t.jsonl", *more)
    assert (code, err) == (0, "")
    told = pd.read_json("t.jsonl", lines=True).astype({"face_id": "Int64"})
    raw = triaffect.load(model).predict("clip.mp4")
    expected = triaffect.subtract_baseline(triaffect.smooth(raw, "centred:0.2s"), 0.4)
    pd.testing.assert_frame_equal(told, expected, check_dtype=False)
    assert (expected["valence_smooth"] != raw["valence"]).any()
    assert expected["valence_above_own"].notna().any()
    summed = pd.read_json("sum.jsonl", lines=True)
    assert summed["rows"].sum() == len(raw)
    code, _, _ = run("clip.mp4", "-o", "t.csv", "--columns", "openface")
    assert code == 0
    told = pd.read_csv("t.csv", dtype={"face_id": "Int64"})
    expected = triaffect.to_openface(raw, triaffect.load(model).thresholds)
    pd.testing.assert_frame_equal(told, expected, check_dtype=False)
    about = json.loads((tmp_path / "t.csv.meta.json").read_text("utf-8"))
    assert about["options"]["columns"] == "openface"
    assert about["thresholds"]["AU1"] == 0.4


def test_options_give_the_same_numbers_as_in_python(run, model, tmp_path):
    write_clip(tmp_path / "two.mp4", 20, copies=2)
    words = [
        "--stride",
        "200ms",
        "--max-faces",
        "1",
        "--min-face",
        "20",
        "--detection-interval",
        "0",
    ]
    code, _, err = run("two.mp4", "-o", "t.csv", *words)
    assert (code, err) == (0, "")
    options = {"stride_s": 0.2, "max_faces": 1, "min_face_px": 20, "detection_interval_s": 0}
    expected = triaffect.load(model).predict("two.mp4", **options)
    table = pd.read_csv("t.csv", dtype={"face_id": "Int64"})
    pd.testing.assert_frame_equal(table, expected, check_dtype=False)
    assert len(table) == 4


def test_a_start_and_an_end(run):
    write_clip(Path("one.mp4"), 4)
    code, _, err = run("one.mp4", "-o", "t.csv", "--start", "0:00.04", "--end", "0.1s")
    assert code == 0, err
    assert pd.read_csv("t.csv")["frame"].tolist() == [1, 2]
    code, _, err = run("one.mp4", "-o", "t.csv", "--start", "0.1", "--annotate", "a.mp4")
    assert code == 2
    assert "--annotate: expected whole videos to annotate, got a start or an end" in err


@pytest.mark.parametrize(
    ("words", "told"),
    [(["--stride", "0"], "stride_s"), (["--stride", "soon"], "--stride"),
     (["--detection-interval", "-1s"], "--detection-interval"),
     (["--stride", "0,2s"], "write 0.2s")],
)  # fmt: skip
def test_an_option_that_cannot_be_is_one_line(run, words, told):
    code, _, err = run("one.mp4", "-o", "t.csv", *words)
    assert code == 2
    assert len(err.splitlines()) == 1
    assert told in err


def test_a_cut_off_video_is_told(run, tmp_path):
    path = encode(tmp_path / "whole.mkv", range(0, 2400, 40), source=("rgb24", portrait()))
    (tmp_path / "cut.mkv").write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    code, _, err = run("cut.mkv", "-o", "t.csv")
    assert code == 0
    assert err.startswith("triaffect: warning: cut.mkv: ")
    assert 0 < len(pd.read_csv("t.csv")) < 60


@pytest.mark.parametrize("content", [None, b"", b"words, no video\n" * 99])
def test_a_single_bad_input_is_one_line_and_code_2(run, tmp_path, content):
    if content is not None:
        (tmp_path / "bad.mp4").write_bytes(content)
    code, out, err = run("bad.mp4", "-o", "t.csv")
    assert code == 2
    assert out == ""
    assert len(err.splitlines()) == 1
    assert err.startswith("triaffect: bad.mp4: expected")
    assert not (tmp_path / "t.csv").exists()


def test_only_bad_inputs_are_code_2(run, tmp_path):
    (tmp_path / "t.csv").write_text("old")
    code, _, err = run("a.mp4", "b.mp4", "-o", "t.csv")
    assert code == 2
    assert len(err.splitlines()) == 3
    assert (tmp_path / "t.csv").read_text() == "old"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["one.png", "-o", "t.ods"], [".csv", ".parquet"]),
        (["one.png", "-o", "t.csv", "--device", "cuda"], ["onnxruntime-gpu"]),
        (["one.png", "-o", "t.csv", "--model", "nowhere"], ["nowhere", "model.json"]),
        (["empty", "-o", "t.csv"], ["empty", "none in it"]),
        (["one.png", "-o", "t.csv", "--smooth", "much"], ["smooth", "causal", "'much'"]),
        (["one.png", "-o", "t.csv", "--baseline", "1h"], ["baseline", "'1h'"]),
        (["one.png", "-o", "t.csv", "--summary", "one.png/s.csv"], ["one.png", "a folder"]),
        (["one.png", "-o", "one.png/t.csv"], ["one.png", "a folder"]),
        (["one.png", "-o", "t.csv", "--report", "one.png/p.html"], ["one.png", "a folder"]),
        (["one.png", "-o", "t.csv", "--annotate", "one.png/a"], ["one.png", "a folder"]),
        (["one.png", "-o", "t.csv", "--annotate", "a.mp4"], ["ends in .png", "'.mp4'"]),
    ],
)
def test_mistakes_are_told_before_any_work(run, tmp_path, arguments, words):
    skimage.io.imsave(tmp_path / "one.png", portrait())
    (tmp_path / "empty").mkdir()
    code, _, err = run(*arguments)
    assert code == 2
    assert len(err.splitlines()) == 1
    assert all(word in err for word in words)
    assert {p.name for p in tmp_path.iterdir()} == {"one.png", "empty"}


def test_missing_folders_of_all_outputs_are_made_and_all_are_named(run, tmp_path):
    write_clip(tmp_path / "clip.mp4", 5)
    outputs = ["-o", "a/b/t.csv", "--report", "c/p.html", "--summary", "d/s.csv"]
    code, out, err = run("clip.mp4", *outputs, "--annotate", "e/f/copies")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "a/b/t.csv: 5 rows from 1 file",
        *("a/b/t.csv.meta.json", "d/s.csv", "c/p.html", "e/f/copies"),
    ]
    for name in ("a/b/t.csv.meta.json", "d/s.csv", "c/p.html", "e/f/copies/clip.annotated.mp4"):
        assert (tmp_path / name).is_file()
    assert run("clip.mp4", "-o", "t.csv", "--quiet") == (0, "", "")


@pytest.mark.parametrize(
    ("old", "new", "value"),
    [
        ("--every", "--stride", "0.1s"),
        ("--detect-every", "--detection-interval", "0"),
        ("--smallest-face", "--min-face", "20"),
        ("--most-faces", "--max-faces", "1"),
    ],
)
def test_an_old_spelling_of_an_option_is_accepted_with_a_warning(run, tmp_path, old, new, value):
    skimage.io.imsave(tmp_path / "one.png", portrait())
    code, _, err = run("one.png", "-o", "t.csv", old, value)
    assert (code, err) == (0, f"triaffect: warning: {old} is now {new}\n")


def counted(monkeypatch, owner, name):
    """Names of the files that a function is called with."""
    names, call = [], getattr(owner, name)

    def watched(file, *arguments, **options):
        names.append(Path(str(file)).name)
        return call(file, *arguments, **options)

    monkeypatch.setattr(owner, name, watched)
    return names


def test_one_command_opens_a_file_and_loads_a_network_once(run, tmp_path, monkeypatch):
    """All outputs of one video come from one pass over its pictures.

    The sound is opened for itself, as it is read ahead of the pictures; once more for the copy,
    at another rate; and once more for the pictures of the page, whose moments are known at the end.
    """
    write_clip(tmp_path / "silent.mp4", 40, sound=False)
    write_clip(tmp_path / "clip.mp4", 40)
    skimage.io.imsave(tmp_path / "one.png", portrait())
    opened = counted(monkeypatch, av, "open")
    networks = []

    class Session(onnxruntime.InferenceSession):
        def __init__(self, network, *arguments, **options):
            networks.append(hashlib.sha256(as_bytes(network)).hexdigest())
            super().__init__(network, *arguments, **options)

    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    extras = ["--report", "p.html", "--summary", "s.csv", "--annotate", "copies"]
    for name, options, times in (
        ("silent.mp4", [], 1),
        ("silent.mp4", ["--summary", "s.csv", "--annotate", "copies"], 1),
        ("silent.mp4", extras, 2),
        ("clip.mp4", [], 2),
        ("clip.mp4", extras, 4),
        ("one.png", ["--summary", "s.csv", "--annotate", "copies"], 0),  # OpenCV reads its bytes
    ):
        opened.clear()
        networks.clear()
        code, _, err = run(name, "-o", "t.csv", *options)
        assert (code, err) == (0, "")
        assert opened.count(name) == times, (name, options)
        assert len(networks) == len(set(networks)) == 4
    assert pd.read_csv("s.csv")["clip"].tolist() == ["one.png"]
    networks.clear()
    code, _, err = run("silent.mp4", "clip.mp4", "-o", "t.csv", "--jobs", "1", *extras)
    assert (code, err) == (0, "")
    assert len(networks) == len(set(networks)) == 4


def as_bytes(network):
    return network if isinstance(network, bytes) else Path(network).read_bytes()


def test_an_interruption_is_told_in_one_line(run, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(many, "predict_files", interrupted)
    code, _, err = run("one.png", "-o", "t.csv")
    assert code == 130
    assert err == "triaffect: interrupted; what was finished is kept\n"


def test_the_installed_command_ends_without_a_traceback(tmp_path):
    command = [sys.executable, "-c", "from triaffect.cli.app import main; main()", "predict"]
    done = subprocess.run(
        [*command, "no.mp4", "-o", "t.csv", "--model", "no"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["-o", "t.csv", "--report", "clip.mp4"], "clip.mp4: expected a page whose name ends in"),
        (["-o", "t.csv", "--report", "t.csv"], "t.csv: expected a page whose name ends in"),
        (["-o", "t.csv", "--summary", "x/../t.csv"], "two outputs of one name"),
        (["-o", "p.csv", "--people", "p.csv"], "p.csv: expected an output beside what is read"),
        (
            ["-o", "t.csv", "--people", "p.csv", "--summary", "link.csv"],
            "link.csv: expected an out",
        ),
        (["-o", "t.csv", "--events", "e.csv", "--summary", "e.csv"], "which it would replace"),
        (["-o", "t.csv", "--annotate", "clip.mp4"], "got an input, which it would"),
    ],
)
def test_no_output_replaces_what_is_read_or_another(run, tmp_path, options, words):
    (tmp_path / "x").mkdir()
    clip = write_clip(tmp_path / "clip.mp4", 5)
    (tmp_path / "p.csv").write_text("clip,participant\nclip,Ann\n")
    (tmp_path / "e.csv").write_text("clip,start,end,name\nclip,0,1,joke\n")
    (tmp_path / "link.csv").symlink_to("p.csv")
    before = {path: path.read_bytes() for path in (clip, tmp_path / "p.csv", tmp_path / "e.csv")}
    code, out, err = run("clip.mp4", *options)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert words in err
    assert {path: path.read_bytes() for path in before} == before
    assert not (tmp_path / "t.csv").exists()


def test_options_that_change_nothing_here_are_named(run, tmp_path):
    skimage.io.imsave(tmp_path / "one.png", portrait())
    options = [
        "--seconds",
        "2",
        "--images-as-video",
        "5",
        "--no-thumbnails",
        "--event-length",
        "5s",
    ]
    code, _, err = run("one.png", "-o", "t.csv", *options)
    assert code == 0
    assert [line.split()[2] for line in err.splitlines()] == [
        *("--seconds", "--images-as-video", "--no-thumbnails", "--event-length"),
    ]
