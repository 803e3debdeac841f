"""Files as users have them: odd, wrong, cut, large, turned. Each gives rows or one clear error."""

import errno
import os
import subprocess
import sys
import warnings
from fractions import Fraction

import av
import cv2
import numpy as np
import pandas as pd
import pytest
import skimage.io

from tests.media.made import encode, write_aspect
from tests.prediction.tiny_model import portrait, tone, write_clip, write_sound
from triaffect.errors import DiskError, MediaError
from triaffect.media.writer import write_video
from triaffect.prediction.batch import predict_files
from triaffect.prediction.parts import PredictionJob
from triaffect.prediction.predictor import DoubtfulMediaWarning, PartialMediaWarning

TIMES = range(0, 120, 40)


def sized(width, height):
    return cv2.resize(portrait(), (width, height))


@pytest.mark.parametrize(
    ("width", "height", "seen"),
    [(321, 241, True), (17, 9, False), (2, 2, False), (1, 1, False), (640, 33, False)],
)
def test_frames_of_odd_sizes(predictor, tmp_path, width, height, seen):
    source = ("rgb24", sized(width, height))
    path = encode(tmp_path / "a.mkv", TIMES, codec="ffv1", pix_fmt="bgr0", source=source)
    table = predictor.predict(path)
    assert table["face_seen"].tolist() == [seen] * 3


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le"])
def test_4k(predictor, tmp_path, pix_fmt):
    source = ("rgb24", np.pad(sized(2160, 2160), ((0, 0), (840, 840), (0, 0))))
    path = encode(tmp_path / "a.mp4", [0, 40], pix_fmt=pix_fmt, source=source)
    table = predictor.predict(path)
    assert table["face_seen"].tolist() == [True] * 2
    assert (table["box_w"] > 300).all()


def test_a_turned_video_is_judged_upright(predictor, tmp_path):
    plain = encode(tmp_path / "plain.mp4", TIMES, source=("rgb24", portrait()))
    lying = np.ascontiguousarray(np.rot90(portrait(), 1))  # a quarter turn against the clock
    turn = (0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    turned = encode(tmp_path / "turned.mp4", TIMES, source=("rgb24", lying), matrix=turn)
    wanted, got = predictor.predict(plain), predictor.predict(turned)
    assert got["face_seen"].all()
    assert np.allclose(got["box_x"], wanted["box_x"], atol=4)
    assert np.allclose(got["box_y"], wanted["box_y"], atol=4)


def test_boxes_are_of_the_picture_with_square_pixels(predictor, tmp_path):
    plain = encode(tmp_path / "plain.mp4", TIMES, source=("rgb24", portrait()))
    stored = cv2.resize(portrait(), (180, 256), interpolation=cv2.INTER_AREA)
    squeezed = write_aspect(tmp_path / "squeezed.mp4", stored, (64, 45))
    wanted, got = predictor.predict(plain), predictor.predict(squeezed)
    assert got["face_seen"].all()
    for name in ("box_x", "box_y", "box_w", "box_h"):
        assert np.allclose(got[name].mean(), wanted[name].mean(), atol=4), name


def test_an_interlaced_video(predictor, tmp_path):
    path = tmp_path / "a.mpg"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg2video", rate=25, options={"flags": "+ilme+ildct"})
        stream.width, stream.height, stream.pix_fmt = 256, 256, "yuv420p"
        for k in range(6):
            rgb = portrait().copy()
            rgb[1::2] = np.roll(rgb, 4, axis=1)[1::2]  # the lower field is a little later
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.pts, frame.time_base = k, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    table = predictor.predict(path)
    assert table["face_seen"].sum() == len(table) == 6


@pytest.mark.parametrize(
    ("made", "named", "rows"),
    [("mp4", "avi", 5), ("wav", "mp4", 1), ("mp4", "jpg", 5), ("png", "wav", 1)],
)
def test_a_wrong_ending_does_not_matter(predictor, tmp_path, made, named, rows):
    path = tmp_path / f"a.{made}"
    if made == "mp4":
        write_clip(path, 5)
    elif made == "wav":
        write_sound(path, tone(1.0))
    else:
        skimage.io.imsave(path, portrait())
    wrong = path.rename(tmp_path / f"b.{named}")
    table = predictor.predict(wrong)
    assert len(table) >= rows
    assert table["face_seen"].all() == (made != "wav")


def test_files_without_a_frame_or_a_sample(predictor, tmp_path):
    with av.open(str(tmp_path / "none.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        container.start_encoding()
    write_sound(tmp_path / "none.wav", np.empty(0, np.float32))
    for name in ("none.mp4", "none.wav"):
        with pytest.raises(MediaError, match=name):
            predictor.predict(tmp_path / name)


def test_sound_that_is_shorter_than_the_picture(predictor, tmp_path):
    path = write_clip(tmp_path / "short.mp4", 100, sound=tone(1.5))
    table = predictor.predict(path)
    silent = predictor.predict(write_clip(tmp_path / "silent.mp4", 100, sound=False))
    assert len(table) == 100
    assert table["voice_heard"][:30].any()
    late = table["time_s"] > 2.5
    assert not table["voice_heard"][late].any()
    assert np.allclose(table["valence"][late], silent["valence"][late], atol=1e-5)


def tracks(path, pictures, sounds):
    """A file with several of each; the pictures are shown for 1.6 s."""
    with av.open(str(path), "w") as container:
        videos = [container.add_stream("ffv1", rate=25) for _ in pictures]
        tones = [container.add_stream("pcm_s16le", rate=16000, layout="mono") for _ in sounds]
        for stream in videos:
            stream.width, stream.height, stream.pix_fmt = 256, 256, "bgr0"
        for stream, rgb in zip(videos, pictures, strict=True):
            for k in range(40):
                frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
                frame.pts, frame.time_base = k, Fraction(1, 25)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        for stream, samples in zip(tones, sounds, strict=True):
            pcm = (samples[None] * 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(pcm, "s16", "mono")
            frame.sample_rate, frame.pts, frame.time_base = 16000, 0, Fraction(1, 16000)
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return path


def test_of_several_tracks_the_first_of_each_kind_counts(predictor, tmp_path):
    gray, quiet = np.full_like(portrait(), 90), np.zeros(25600)
    one = predictor.predict(tracks(tmp_path / "1.mkv", [portrait()], [tone(1.6)]))
    path = tracks(tmp_path / "2.mkv", [portrait(), gray], [tone(1.6), quiet])
    with pytest.warns(DoubtfulMediaWarning, match="of its 2 moving pictures, number 1, 256x256"):
        both = predictor.predict(path)
    assert one["face_seen"].all()
    assert one["voice_heard"].any()
    pd.testing.assert_frame_equal(one.drop(columns="clip"), both.drop(columns="clip"))


@pytest.mark.parametrize("rate", [8000, 11025, 44100, 96000, 192000])
def test_sound_of_any_rate(predictor, tmp_path, rate):
    at = np.arange(2 * rate) / rate
    samples = np.interp(at, np.arange(32000) / 16000, tone(2.0))
    table = predictor.predict(write_sound(tmp_path / "a.wav", samples, rate))
    wanted = predictor.predict(write_sound(tmp_path / "b.wav", tone(2.0)))
    assert table["time_s"].tolist() == wanted["time_s"].tolist()
    assert (table["voice_heard"] == wanted["voice_heard"]).all()


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.jpg"])
def test_what_a_sound_or_picture_lacks_is_told(predictor, tmp_path, name):
    path = tmp_path / name
    if name == "a.jpg":
        skimage.io.imsave(path, portrait())
    else:
        made = write_sound(tmp_path / "made.wav", tone(4.0))
        with av.open(str(made)) as source, av.open(str(path), "w") as container:
            codec = "flac" if name == "a.flac" else "pcm_s16le"
            stream = container.add_stream(codec, rate=16000, layout="mono")
            for frame in source.decode(audio=0):
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        whole = predictor.predict(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    with pytest.warns(PartialMediaWarning, match=name):
        cut = predictor.predict(path)
    assert 0 < len(cut) <= len(whole)


@pytest.mark.parametrize(("down", "right"), [(-40, 0), (0, -80), (0, 110), (180, 110), (-60, -90)])
def test_faces_at_the_border(predictor, tmp_path, down, right):
    moved = cv2.warpAffine(portrait(), np.float32([[1, 0, right], [0, 1, down]]), (256, 256))
    skimage.io.imsave(tmp_path / "a.png", moved)
    table = predictor.predict(tmp_path / "a.png")
    seen = table[table["face_seen"]]
    assert len(table) == max(1, len(seen))
    assert np.isfinite(seen[["box_x", "box_y", "box_w", "box_h", "valence"]].to_numpy(float)).all()


def test_thirty_faces(predictor, tmp_path):
    crowd = np.tile(portrait()[10:110, 60:160], (5, 6, 1))
    write_video(tmp_path / "a.mp4", [crowd] * 3, 25)
    table = predictor.predict(tmp_path / "a.mp4")
    assert table.groupby("frame").size().tolist() == [30] * 3
    assert table["face_id"].nunique() == 30


def test_a_read_only_place_is_told(model, tmp_path, monkeypatch):
    sounds = [write_sound(tmp_path / name, tone(1.0)) for name in ("a.wav", "b.wav")]

    def refuse(*arguments):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "mkdir", refuse)
    with pytest.raises(DiskError, match=r"t\.csv\.parts: .*Read-only file system"):
        predict_files(sounds, PredictionJob(tmp_path / "t.csv", model))
    with pytest.raises(DiskError, match=r"new: .*Read-only file system"):
        predict_files(sounds[:1], PredictionJob(tmp_path / "new" / "t.csv", model))


def test_a_file_that_may_not_grow_is_told_in_one_line(model, tmp_path):
    write_sound(tmp_path / "a.wav", tone(1.0))
    command = [sys.executable, "-m", "triaffect", "predict", "a.wav", "-o", "t.csv"]
    limited = ["bash", "-c", 'ulimit -f 2; exec "$@"', "-", *command, "--model", str(model)]
    for line, code in ((limited, 2), ([*command, "--model", str(model)], 0)):
        done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        if code:
            assert "File too large" in done.stderr
            assert len(done.stderr.splitlines()) == 1
        written = {path.name for path in tmp_path.iterdir()} - {"a.wav"}
        assert written == (set() if code else {"t.csv", "t.csv.meta.json"})
