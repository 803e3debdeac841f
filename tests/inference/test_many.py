"""Many files: the same table whatever the processes, failures and interruptions."""

import shutil

import numpy as np
import pandas as pd
import pytest

from tests.inference.tiny_model import portrait, tone, write_clip, write_sound, write_tiny_model
from tests.media.made import encode
from triaffect.errors import MediaError, ModelError
from triaffect.inference.many import find_media, predict_files
from triaffect.inference.options import Options
from triaffect.inference.predictor import Predictor


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Five files, the second of which is no media."""
    folder = tmp_path_factory.mktemp("files")
    paths = [write_sound(folder / f"{k}.wav", tone(0.5 + k / 2)) for k in range(4)]
    write_clip(folder / "clip.mp4", 6)
    (folder / "bad.mp4").write_bytes(b"nothing")
    return [paths[3], folder / "bad.mp4", folder / "clip.mp4", *paths[:3]]


@pytest.fixture
def computed(monkeypatch):
    """Names of the files that were really computed."""
    names, tables = [], Predictor.tables

    def watched(self, path):
        names.append(path.name)
        return tables(self, path)

    monkeypatch.setattr(Predictor, "tables", watched)
    return names


def test_the_table_does_not_depend_on_the_processes(files, model, predictor, tmp_path):
    one = predict_files(files, tmp_path / "one.csv", model, jobs=1)
    two = predict_files(files, tmp_path / "two.csv", model, jobs=2)
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()
    assert [(r.path, r.rows, str(r.error)) for r in one] == [
        (r.path, r.rows, str(r.error)) for r in two
    ]
    table = pd.read_csv(tmp_path / "one.csv")
    good = [path for path in files if path.name != "bad.mp4"]
    assert table["clip"].drop_duplicates().tolist() == [str(path) for path in good]
    whole = pd.concat([predictor.predict(path) for path in good], ignore_index=True)
    assert np.allclose(table["valence"], whole["valence"], equal_nan=True)
    assert [bool(r.error) for r in one] == [path.name == "bad.mp4" for path in files]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["one.csv", "two.csv"]


def interrupted_after(count):
    def told(done, word):
        if done == count:
            raise KeyboardInterrupt

    return told


def test_an_interrupted_run_goes_on_where_it_was(files, model, tmp_path, computed):
    output = tmp_path / "t.csv"
    with pytest.raises(KeyboardInterrupt):
        predict_files(files, output, model, told=interrupted_after(4))
    assert not output.exists()
    assert computed == [path.name for path in files[:4]]
    computed.clear()
    results = predict_files(files, output, model)
    # the broken one is tried again: it may have been repaired
    assert computed == ["bad.mp4", *(path.name for path in files[4:])]
    assert sum(result.rows for result in results) == len(pd.read_csv(output))
    predict_files(files, tmp_path / "u.csv", model)
    assert output.read_bytes() == (tmp_path / "u.csv").read_bytes()
    assert not output.with_name("t.csv.parts").exists()


def test_parts_of_another_model_or_of_a_changed_file_are_not_used(files, model, tmp_path, computed):
    mine = [tmp_path / "a.wav", tmp_path / "b.wav", tmp_path / "c.wav"]
    for path in mine:
        shutil.copy(files[3], path)
    output = tmp_path / "t.csv"
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            predict_files(mine, output, model, told=interrupted_after(3))
    assert computed == ["a.wav", "b.wav", "c.wav"]
    write_sound(mine[1], tone(2.0))
    with pytest.raises(KeyboardInterrupt):
        predict_files(mine, output, model, told=interrupted_after(3))
    assert computed[3:] == ["b.wav"]
    predict_files(mine, output, write_tiny_model(tmp_path / "other", seed=1))
    assert computed[4:] == ["a.wav", "b.wav", "c.wav"]


def test_parts_with_sound_are_not_used_without(files, model, tmp_path, computed):
    output = tmp_path / "t.csv"
    with pytest.raises(KeyboardInterrupt):
        predict_files(files, output, model, told=interrupted_after(4))
    results = predict_files(files, output, model, options=Options(sound=False))
    assert computed[4:] == [path.name for path in files]
    assert [r.path.name for r in results if r.error is None] == ["clip.mp4"]
    assert not pd.read_csv(output)["voice_heard"].any()


def test_a_cut_off_file_is_told_even_when_its_rows_were_kept(model, tmp_path):
    whole = encode(tmp_path / "whole.mkv", range(0, 2400, 40), source=("rgb24", portrait()))
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    other = write_sound(tmp_path / "a.wav", tone(0.5))
    with pytest.raises(KeyboardInterrupt):
        predict_files([cut, other], tmp_path / "t.csv", model, told=interrupted_after(1))
    results = predict_files([cut, other], tmp_path / "t.csv", model)
    assert 0 < results[0].rows < 60
    assert "could be decoded" in results[0].problem
    assert not results[1].problem


def test_no_table_is_written_if_every_file_fails(files, model, tmp_path):
    (tmp_path / "t.csv").write_text("old")
    results = predict_files([files[1]], tmp_path / "t.csv", model)
    assert isinstance(results[0].error, MediaError)
    assert (tmp_path / "t.csv").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["t.csv"]


def test_a_model_that_does_not_work_ends_it_at_once(files, tmp_path):
    with pytest.raises(ModelError):
        predict_files(files, tmp_path / "t.csv", tmp_path / "nothing")
    assert not list(tmp_path.iterdir())


def test_folders_give_their_media_sorted_and_each_file_once(tmp_path):
    for name in ("b/2.MP4", "b/1.wav", "a.jpg", "notes.txt", "b/.hidden.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = find_media([tmp_path / "b" / "2.MP4", tmp_path, tmp_path / "notes.txt"])
    names = [str(path.relative_to(tmp_path)) for path in found]
    assert names == ["b/2.MP4", "a.jpg", "b/1.wav", "notes.txt"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(MediaError, match="none in it"):
        find_media([tmp_path / "empty"])
