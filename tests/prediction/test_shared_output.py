"""Two runs with one output, names that are not UTF-8, files that are passed over."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.prediction.tiny_model import tone, write_sound
from triaffect.cli.app import main
from triaffect.errors import DiskError, TableError, printable
from triaffect.io.atomic import lock_output
from triaffect.media.find import PassedOverWarning
from triaffect.prediction.batch import predict_files
from triaffect.prediction.parts import PredictionJob
from triaffect.prediction.python_inputs import list_items

HOLD = (
    "import sys; from pathlib import Path; from triaffect.io.atomic import lock_output\n"
    "with lock_output(Path(sys.argv[1])): print('locked', flush=True); sys.stdin.read()"
)


def test_a_second_run_is_refused_and_the_first_loses_nothing(model, predictor, tmp_path):
    sound, output = write_sound(tmp_path / "a.wav", tone(1.0)), tmp_path / "t.csv"
    job = PredictionJob(output, model)
    predict_files([sound], job, predictor=predictor)
    before = output.read_bytes()
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(output)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout.readline() == b"locked\n"
        with pytest.raises(DiskError, match="another run is writing this; wait for it to end"):
            predict_files([sound], job, predictor=predictor)
        assert output.read_bytes() == before
        other.communicate(b"")
    assert predict_files([sound], job, predictor=predictor)[0].error is None
    assert output.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.wav", "t.csv", "t.csv.meta.json"]


def test_the_lock_of_a_process_that_was_killed_keeps_nobody_out(tmp_path):
    output = tmp_path / "t.csv"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(output)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout.readline() == b"locked\n"
        other.kill()
    with lock_output(output), pytest.raises(DiskError), lock_output(output):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="names are Unicode there")
def test_names_that_are_not_utf_8_stay_apart_and_end_nothing(model, predictor, tmp_path):
    sound = write_sound(tmp_path / "good.wav", tone(1.0))
    files = [sound]
    for name in (b"m\xfcller.wav", b"m\xf6ller.wav", rb"m\xfcller.wav"):
        files.append(Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), name))))  # noqa: PTH118
        shutil.copy(sound, files[-1])
    files.append(Path(os.fsdecode(os.fsencode(tmp_path) + b"/cut\xe9.wav")))
    files[-1].write_bytes(b"RIFF")
    for output in (tmp_path / "t.csv", tmp_path / "t.jsonl"):
        results = predict_files(files, PredictionJob(output, model), predictor=predictor)
        assert [bool(result.error) for result in results] == [False] * 4 + [True]
    table = pd.read_csv(tmp_path / "t.csv")
    clips = [Path(clip).name for clip in table["clip"].drop_duplicates()]
    expected = [r"good.wav", r"m\xfcller.wav", r"m\xf6ller.wav", r"m\x5cxfcller.wav"]
    assert clips == expected
    about = json.loads((tmp_path / "t.csv.meta.json").read_text("utf-8"))
    assert [Path(each["clip"]).name for each in about["problems"]] == [r"cut\xe9.wav"]
    assert r"cut\xe9.wav: expected" in about["problems"][0]["problem"]


def test_an_output_whose_name_is_no_text_is_refused_in_one_line(model, tmp_path):
    output = tmp_path / os.fsdecode(b"t\xfc.csv")
    with pytest.raises(TableError, match="an output whose name is UTF-8"):
        predict_files([tmp_path / "a.wav"], PredictionJob(output, model))


def test_common_names_are_shown_as_they_are():
    for name in ("a.mp4", "Müller 1.mov", "日本.mkv", "a\\b.mp4", "C:\\xyz\\1.mp4"):
        assert printable(name) == name


def test_what_a_folder_has_besides_media_is_named(model, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    folder = Path("clips")
    folder.mkdir()
    write_sound(folder / "a.wav", tone(1.0))
    (folder / "notes.txt").write_text("x", "utf-8")
    words = ["triaffect", "predict", "clips", "-o", "t.csv", "--model", str(model)]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code in (0, None)
    message = "passed over for their endings: clips/notes.txt"
    assert capsys.readouterr().err == f"triaffect: warning: {message}\n"
    about = json.loads(Path("t.csv.meta.json").read_text("utf-8"))
    assert [(each["clip"], each["state"]) for each in about["problems"]] == [
        ("clips/notes.txt", "passed over")
    ]
    with pytest.warns(PassedOverWarning, match=message):
        assert list_items("clips") == [folder / "a.wav"]
