"""Broken files, small faces and missing sound, found in media made for it."""

import cv2
import numpy as np
import pytest

from tests.corpora.test_aff_wild2 import crop, film, label
from tests.media.test_sound_kinds import write_click
from tests.prediction.tiny_model import portrait, tone, write_clip, write_sound
from triaffect.corpora.base import open_corpus
from triaffect.corpora.ferplus import FILE_NAME
from triaffect.corpora.integrity import ARRAY_PICTURES, PICTURES, Quiet, check_media, pick_evenly
from triaffect.media.writer import write_video


def table(folder, *clips):
    lines = ["clip,frame,time_s,valence", *(f"{clip},0,0,0.5" for clip in clips)]
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return open_corpus(folder)


def save(path, rgb, size=None):
    picture = cv2.resize(rgb, (size, size), interpolation=cv2.INTER_AREA) if size else rgb
    cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    return path


def far_away():
    """The portrait so small that its face is found only by looking closer."""
    canvas = np.full((640, 640, 3), 90, np.uint8)
    canvas[300:364, 300:364] = cv2.resize(portrait(), (64, 64), interpolation=cv2.INTER_AREA)
    return canvas


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("media")
    write_clip(folder / "good.mp4")
    write_clip(folder / "mute.mp4", sound=False)
    write_clip(folder / "silent.mp4", sound=np.zeros(19_200, np.float32))
    write_clip(folder / "short.mp4", frames=75, sound=tone(1.0))
    write_clip(folder / "empty_room.mp4", faceless=range(30))
    write_video(folder / "far.mp4", [far_away()] * 20, 25.0, tone(0.8))
    (folder / "broken.mp4").write_bytes(b"no video at all")
    write_sound(folder / "voice.wav", tone(1.0))
    (folder / "broken.wav").write_bytes(b"RIFF")
    save(folder / "face.png", portrait())
    cut = save(folder / "cut.jpg", portrait())
    cut.write_bytes(cut.read_bytes()[:-300])
    clips = sorted(path.name for path in folder.iterdir())
    return check_media(table(folder, *clips, "gone.mp4"), jobs=2)


def test_broken_files_are_all_found_and_stop_nothing(report):
    broken = ["table/broken.mp4", "table/broken.wav", "table/cut.jpg"]
    assert sorted(report.broken_sources) == broken
    assert sorted(report.broken.values()) == broken
    assert any("cut.jpg: expected a whole JPEG picture" in line for line in report.broken)
    assert report.sources == 12


def test_faces(report):
    assert report.faceless == ["table/empty_room.mp4"]
    assert list(report.small) == ["table/far.mp4"]
    assert 8 < report.small["table/far.mp4"] < 32
    assert 32 < report.face_px["table/good.mp4"] < 128
    assert report.face_px["table/face.png"] == pytest.approx(report.face_px["table/good.mp4"], 0.2)


def test_sound(report):
    assert report.quiet[Quiet.MISSING] == ["table/mute.mp4"]
    assert report.quiet[Quiet.SILENT] == ["table/silent.mp4"]
    assert list(report.short_s) == ["table/short.mp4"]
    assert report.short_s["table/short.mp4"] == pytest.approx((1.0, 3.0), abs=0.1)
    assert report.audible == 5


def test_an_ogg_that_is_cut_off_is_broken_however_well_it_sounds(tmp_path):
    whole = write_click(tmp_path / "whole.ogg", "libopus", 48_000).read_bytes()
    (tmp_path / "cut.ogg").write_bytes(whole[:-40])
    report = check_media(table(tmp_path, "whole.ogg", "cut.ogg"), jobs=1)
    assert report.broken_sources == ["table/cut.ogg"]
    assert report.audible == 2


def test_the_report_does_not_depend_on_the_processes(report, tmp_path):
    write_clip(tmp_path / "a.mp4")
    (tmp_path / "b.mp4").write_bytes(b"")
    corpus = table(tmp_path, "a.mp4", "b.mp4")
    seen = []
    alone = check_media(corpus, 1, progress=lambda *told: seen.append(told))
    assert alone.to_json() == check_media(corpus, 2).to_json()
    assert seen == [(1, 2, "table/a.mp4"), (2, 2, "table/b.mp4")]


def test_faces_are_looked_for_in_so_many_sources(tmp_path):
    for name in "abcd":
        save(tmp_path / f"{name}.png", portrait())
    corpus = table(tmp_path, *(f"{name}.png" for name in "abcd"))
    report = check_media(corpus, face_sources=2)
    assert (report.searched_sources, report.pictures) == (2, 4)
    assert list(report.face_px) == ["table/b.png", "table/d.png"]
    assert check_media(corpus, face_sources=0).searched == 0


def test_aligned_pictures_are_sampled_and_measured_as_stored(tmp_path):
    for name in ("v1", "v2", "v3"):
        label(tmp_path, "VA", "Train_Set", name, "0.5,0.5")
    crop(tmp_path, "v1", *range(1, 31))
    for path in sorted((tmp_path / "cropped_aligned" / "v1").iterdir())[::2]:
        path.write_bytes(path.read_bytes()[:300])
    (tmp_path / "cropped_aligned" / "v2").mkdir()
    save(tmp_path / "cropped_aligned" / "v2" / "00001.jpg", portrait(), 24)
    (tmp_path / "cropped_aligned" / "v3").mkdir()
    film(tmp_path / "v1.mp4")
    (tmp_path / "v2.mp4").write_bytes(b"no video")
    report = check_media(open_corpus(tmp_path))
    assert report.searched == PICTURES // 2 + 1 + 1
    assert len([line for line in report.broken if ".jpg" in line]) == PICTURES // 2
    assert report.small == {"aff_wild2/v2": 24}
    assert report.faceless == ["aff_wild2/v3"]
    assert report.quiet[Quiet.MISSING] == ["aff_wild2/v1"]  # v2 is broken altogether
    assert set(report.broken_sources) == {"aff_wild2/v1", "aff_wild2/v2"}


def test_an_array_of_pictures_is_sampled(tmp_path):
    small = cv2.cvtColor(cv2.resize(portrait()[:128, 50:178], (48, 48)), cv2.COLOR_RGB2GRAY)
    count = ARRAY_PICTURES + 30
    columns = ["neutral", "happiness", "unknown", "NF"]
    np.savez(
        tmp_path / FILE_NAME,
        images=np.stack([small + np.uint8(k % 7) for k in range(count)]),
        votes=np.tile(np.array([3, 7, 0, 0], np.uint8), (count, 1)),
        vote_columns=np.array(columns),
        split=np.array(["Training"] * count),
    )
    report = check_media(open_corpus(tmp_path))
    assert report.pictures == report.searched == ARRAY_PICTURES
    assert report.with_faces > 0
    assert report.quiet == {why: [] for why in Quiet}


@pytest.mark.parametrize(("count", "expected"), [(0, []), (2, [2, 7]), (10, list(range(10)))])
def test_spread(count, expected):
    assert pick_evenly(range(10), count) == expected
