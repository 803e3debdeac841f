"""``triaffect corpus check``: its page, its JSON, its exit code."""

import json

import pytest
from typer.testing import CliRunner

from tests.corpora.test_aff_wild2 import UNITS, crop, film, label, label_images
from triaffect.cli.app import app
from triaffect.errors import TriaffectError


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "corpus"
    label(root, "VA", "Train_Set", "v1", "0.5,-0.5", "-0.5,-5", "-5,-5")
    label(root, "EXPR", "Train_Set", "v1", "4", "4", "0", "-1")
    label_images(root, "validation_set.txt", f"v2/00001.jpg,0,0,3,{UNITS}")
    crop(root, "v1", 1, 2, 3)
    film(root / "v1.mp4")
    return root


def check(folder, *options):
    return CliRunner().invoke(app, ["corpus", "check", str(folder), "--jobs", "1", *options])


def words(result):
    return [line.split() for line in result.stdout.splitlines()]


def fact(result, what):
    """What stands behind a line's name."""
    (line,) = [line for line in result.stdout.splitlines() if line.startswith(what)]
    return line.removeprefix(what).strip()


def test_the_page(folder):
    result = check(folder)
    assert result.exit_code == 0, result.output
    lines = words(result)
    assert ["VA", "2"] in lines  # rows
    assert ["VA", "2", "(40.0%)", "1", "(100.0%)"] in lines  # annotated
    assert ["VA,", "some", "missing", "1", "(20.0%)"] in lines
    assert ["AU,", "some", "missing", "1", "(100.0%)"] in lines
    assert ["EXPR", "alone", "3", "(60.0%)"] in lines
    assert ["VA", "+", "EXPR", "+", "AU", "1", "(100.0%)"] in lines
    assert ["p_happiness", "2", "(66.7%)", "0", "(0.0%)"] in lines
    assert ["valence", "+0.00", "±", "0.50", "+0.00", "±", "0.00"] in lines
    assert fact(result, "aff_wild2, sources") == "2 images"
    assert fact(result, "no images, video or sound to read") == "1 (aff_wild2/v2)"
    assert fact(result, "no sound beside the picture") == "1 (aff_wild2/v1)"
    assert fact(result, "pictures and frames decoded") == "3"
    assert fact(result, "mistakes and broken files") == "0"
    assert len(lines) < 60


def test_shared_people_and_videos_are_loud_but_no_mistake(folder):
    for k in range(5):
        for name in ("train_set.txt", "validation_set.txt"):
            path = folder / "MTL_Challenge" / name
            line = f"w{k}/0000{k + 1}.jpg,0,0,3,{UNITS}\n"
            if path.exists():
                path.write_text(path.read_text() + line)
            else:
                label_images(folder, name, line.strip())
    result = check(folder)
    assert result.exit_code == 0
    told = fact(result, "LEAK: people in several splits")
    assert told.startswith("5 (aff_wild2/w0: train/validation, ")
    assert told.endswith(" and 2 more)")
    assert fact(result, "LEAK: videos in several splits").startswith("5 (")
    assert "train refuses them without --drop-leak or --allow-leak" in result.stdout


def break_some(folder):
    """Two label files, a multi-task line, a raw video and a picture."""
    yield f"{label(folder, 'AU', 'Train_Set', 'v3', UNITS, UNITS + ',1')}:3:"
    yield f"{label(folder, 'EXPR', 'Train_Set', 'v4', '9')}:2:"
    yield f"{label_images(folder, 'train_set.txt', f'../v5/00001.jpg,0,0,3,{UNITS}')}:2:"
    (folder / "v6.mp4").write_bytes(b"no video")
    label(folder, "EXPR", "Train_Set", "v6", "1")
    yield f"{folder / 'v6.mp4'}:"
    picture = folder / "cropped_aligned" / "v1" / "00002.jpg"
    picture.write_bytes(picture.read_bytes()[:200])
    yield f"{picture}:"


def test_mistakes_and_broken_files_are_listed_once_and_end_in_code_2(folder):
    places = list(break_some(folder))
    result = check(folder)
    assert result.exit_code == 2
    wrong = [line for line in result.stderr.splitlines() if line.startswith("wrong: ")]
    assert len(wrong) == len(places)
    for place in places:
        assert any(line.startswith(f"wrong: {place}") for line in wrong), place
    assert ["VA", "2"] in words(result)
    assert fact(result, "mistakes and broken files") == "5"
    assert fact(result, "broken") == "2 (aff_wild2/v1, aff_wild2/v6)"


def test_labels_only_opens_no_media(folder):
    picture = folder / "cropped_aligned" / "v1" / "00002.jpg"
    picture.write_bytes(b"")
    assert check(folder).exit_code == 2
    result = check(folder, "--labels-only")
    assert result.exit_code == 0
    assert "decoded" not in result.stdout
    assert fact(result, "no images, video or sound to read") == "1 (aff_wild2/v2)"


def test_json_holds_everything(folder, tmp_path):
    list(break_some(folder))
    out = tmp_path / "new" / "found.json"
    check(folder, "--json", str(out))
    found = json.loads(out.read_text())
    assert found["corpus"] == "aff_wild2"
    assert found["sources"] == {"images": 5}
    assert found["complete"]["VA"] == {"train": 1, "validation": 1}
    assert len(found["mistakes"]) == 4
    assert len(found["media"]["broken"]) == 2
    assert found["media"]["faces"]["median_px"] == 112
    assert found["media"]["sound"]["missing"] == ["aff_wild2/v1"]
    check(folder, "--json", str(out), "--labels-only")
    assert json.loads(out.read_text())["media"] is None


def test_a_long_list_of_mistakes_is_cut(folder):
    for k in range(25):
        label(folder, "EXPR", "Train_Set", f"wrong{k:02}", "9")
    result = check(folder, "--labels-only")
    wrong = result.stderr.splitlines()
    assert len(wrong) == 21
    assert wrong[-1] == "and 5 more: write them to a file by --json"
    assert fact(result, "mistakes and broken files") == "25"


def test_a_place_that_cannot_be_written_is_told_before_the_work(folder, tmp_path):
    (tmp_path / "file").touch()
    for place in (tmp_path, tmp_path / "file" / "found.json"):
        with pytest.raises(TriaffectError, match="expected a f"):
            CliRunner().invoke(
                app, ["corpus", "check", str(folder), "--json", str(place)], catch_exceptions=False
            )


def test_a_folder_without_labels(tmp_path):
    film(tmp_path / "a.mp4")
    crop(tmp_path, "pictures", 1)
    (tmp_path / "cropped_aligned").rename(tmp_path / "other")
    result = check(tmp_path)
    assert result.exit_code == 0, result.output
    assert "no label file of a known form; each of its 2 files is" in result.stderr
    assert fact(result, "media, sources") == "1 images, 1 video"
    assert fact(result, "labels") == "none"
    assert fact(result, "mistakes and broken files") == "0"
    (tmp_path / "a.mp4").write_bytes(b"no video")
    assert check(tmp_path).exit_code == 2


def test_people_who_differ_in_capitals_only(tmp_path):
    film(tmp_path / "a.mp4")
    rows = ("anna,train", "Anna,test", "ben,train", "ANNA,train", "Zoe,train", "zoe,train")
    lines = "".join(f"a.mp4,{k},{k / 30},{row},0.5\n" for k, row in enumerate(rows))
    (tmp_path / "labels.csv").write_text("clip,frame,time_s,person,split,valence\n" + lines)
    result = check(tmp_path)
    assert result.exit_code == 0, result.output
    assert (
        fact(result, "people alike but for capitals or spaces")
        == "2 (ANNA and Anna and anna, Zoe and zoe)"
    )
    assert result.stdout.count("alike") == 1
