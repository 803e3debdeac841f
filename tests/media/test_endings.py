"""Which files of a folder are media, and that the others are named."""

import re
from pathlib import Path

import pytest

from triaffect.corpora.media_folder import MediaFolder
from triaffect.media.find import MEDIA, describe_passed_over, find_media
from triaffect.media.images import ImageFrames

DOCS = Path(__file__).parents[2] / "docs" / "reference" / "media.md"


NAMES = (
    "clip.MTS clip.m2ts disc.VOB moving.gif ok.mp4 photo.avif voice.aiff voice.amr a.asf a.dv "
    "a.m2v a.mpe a.3g2 a.qt a.mka a.HEIC a.jfif a.jp2 a.caf a.au a.mjpeg a.h265 a.mxf a.wv a.ac3 "
    "a.exr a.tga a.mod a.dvr-ms a.sph a.dav"
)


@pytest.mark.parametrize("name", NAMES.split())
def test_a_folder_gives_files_of_every_ending_that_is_read(tmp_path, name):
    (tmp_path / name).touch()
    assert find_media([tmp_path]) == [tmp_path / name]
    assert MediaFolder(tmp_path).sources()[0].source_id == f"media/{name}"


def test_what_is_passed_over_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("c/d").mkdir(parents=True)
    for name in ("1.mp4", "notes.txt", "d/10.xyz", "d/9.xyz", "d/noname", ".hidden", "d/2.wav"):
        Path("c", name).touch()
    others: list[Path] = []
    assert find_media([Path("c")], passed_over=others) == [Path("c/1.mp4"), Path("c/d/2.wav")]
    names = ["c/notes.txt", "c/d/9.xyz", "c/d/10.xyz", "c/d/noname"]
    assert [path.as_posix() for path in others] == names
    assert describe_passed_over(others) == f"passed over for their endings: {', '.join(names)}"
    assert sorted(MediaFolder(Path("c")).passed_over) == sorted(others)
    others.clear()
    assert find_media([Path("c/*")], passed_over=others) == [Path("c/1.mp4"), Path("c/d/2.wav")]
    assert Path("c/notes.txt") in others
    others.clear()
    find_media([Path("c"), Path("c/notes.txt")], passed_over=others)
    assert Path("c/notes.txt") not in others
    many = [Path(f"{number}.txt") for number in range(30)]
    assert describe_passed_over(many).endswith("19.txt; and 10 more: .txt")


def test_the_documentation_lists_the_endings():
    text = DOCS.read_text("utf-8")
    listed = {
        f".{ending}"
        for line in re.findall(r"^- (?:Films|Pictures|Sounds): (.*)$", text, re.MULTILINE)
        for ending in re.findall(r"`([^`]+)`", line)
    }
    assert listed == MEDIA


def test_every_kind_in_the_documentation_has_a_test_that_is_there():
    """Each row names a file and a function; ``::name`` alone is of the file before it."""
    tests, file, count = DOCS.parents[2] / "tests", "", 0
    for line in DOCS.read_text("utf-8").splitlines():
        for named, function in re.findall(r"`([\w/]*\.?p?y?)::(test_\w+)`", line):
            file = named or file
            assert f"def {function}(" in (tests / file).read_text("utf-8"), (file, function)
        count += line.startswith("| ") and "kind of file" not in line
    assert count > 140


@pytest.mark.parametrize(
    ("numbers", "remark"),
    [
        ([1, 2, 3, 4, 5], None),
        ([10, 20, 30, 40], None),
        ([1, 9, 10], None),
        ([1, 2, 3, 7, 8], "3 numbers are missing, the first after f3.png"),
        ([10, 20, 40, 50], "a number is missing, the first after f20.png"),
        ([0, 1, 2, 4, 5, 6, 9, 10, 11, 12], "3 numbers are missing, the first after f2.png"),
    ],
)
def test_gaps_in_the_numbers_of_pictures_are_told(tmp_path, numbers, remark):
    for number in numbers:
        (tmp_path / f"f{number}.png").touch()
    found = ImageFrames(tmp_path, 25.0).remark
    assert (found or "").partition(":")[0] == (remark or "")


def test_numbers_of_several_series_are_counted_apart(tmp_path):
    for name in ("a1.png", "a2.png", "a3.png", "b7.png", "b8.png", "b9.png", "cover.png"):
        (tmp_path / name).touch()
    assert ImageFrames(tmp_path, 25.0).remark is None
