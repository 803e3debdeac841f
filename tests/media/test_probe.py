"""A file is taken for what it is, not for what it is called."""

import av
import numpy as np
import pytest
from PIL import Image

from tests.media.made import corners, encode, quarters
from tests.media.test_audio import sine, write_wav
from triaffect.errors import MediaError
from triaffect.media.audio import read_sound
from triaffect.media.probe import probe, read_image
from triaffect.media.video import VideoFrames
from triaffect.types import SourceKind

STILL = (SourceKind.IMAGES, False)
ORIENTATION = 0x0112


def kind_of(path):
    media = probe(path)
    return media.kind, media.has_sound


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.bmp", "a.webp", "a.tiff", "a.gif", "a.avif"])
def test_pictures(tmp_path, name):
    Image.fromarray(quarters()).save(tmp_path / name)
    assert kind_of(tmp_path / name) == STILL
    assert corners(read_image(tmp_path / name)) == [0, 1, 2, 3]


def test_names_count_for_nothing(tmp_path):
    Image.fromarray(quarters()).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "a.mp4")
    assert kind_of(tmp_path / "a.mp4") == STILL
    video = encode(tmp_path / "b.mp4", [0, 40, 80])
    video.rename(tmp_path / "b.jpg")
    assert kind_of(tmp_path / "b.jpg") == (SourceKind.VIDEO, False)


def test_a_sound_track_of_a_video_without_sound_is_named(tmp_path):
    media = probe(encode(tmp_path / "a.mp4", [0, 40, 80]))
    assert media.remark is None
    media.sound_track = 2
    assert media.remark == "it has no sound, so no sound track 2"


def test_video_and_sound(tmp_path):
    with_sound = encode(tmp_path / "a.mkv", [0, 40, 80], sound_from_ms=0)
    assert kind_of(with_sound) == (SourceKind.VIDEO, True)
    wav = write_wav(tmp_path / "a.wav", sine(440, 16000, 1.0)[None], 16000)
    assert kind_of(wav) == (SourceKind.SOUND, True)


def test_moving_gif_is_a_video(tmp_path):
    frames = [Image.fromarray(np.roll(quarters(), 9 * k, 1)) for k in range(4)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=100)
    assert probe(tmp_path / "a.gif").kind is SourceKind.VIDEO
    video = VideoFrames(tmp_path / "a.gif")
    assert [f.time_s for f in video] == pytest.approx([0, 0.1, 0.2, 0.3])


def test_a_song_with_a_cover_is_a_sound(tmp_path):
    path = tmp_path / "a.flac"
    with av.open(str(path), "w") as container:
        track = container.add_stream("flac", rate=16000, layout="mono")
        cover = container.add_stream("png")
        cover.width, cover.height, cover.pix_fmt = 96, 64, "rgb24"
        cover.disposition = av.stream.Disposition.attached_pic
        picture = av.VideoFrame.from_ndarray(quarters(), format="rgb24")
        container.mux(cover.encode(picture))
        container.mux(cover.encode(None))
        pcm = (sine(440, 16000, 1.0) * 32767).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(pcm, "s16", "mono")
        frame.sample_rate = 16000
        container.mux(track.encode(frame))
        container.mux(track.encode(None))
    with av.open(str(path)) as container:
        assert len(container.streams.video) == 1
    assert kind_of(path) == (SourceKind.SOUND, True)
    with pytest.raises(MediaError, match="without a picture"):
        VideoFrames(path)


@pytest.mark.parametrize(
    ("orientation", "shown"), [(1, [0, 1, 2, 3]), (3, [3, 2, 1, 0]), (6, [2, 0, 3, 1])]
)
def test_exif_orientation(tmp_path, orientation, shown):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    Image.fromarray(quarters()).save(tmp_path / "a.jpg", exif=exif, quality=95)
    assert corners(read_image(tmp_path / "a.jpg")) == shown
    assert corners(next(iter(VideoFrames(tmp_path / "a.jpg"))).rgb) == shown


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "I;16", "1"])
def test_odd_picture_modes(tmp_path, mode):
    picture = Image.fromarray(quarters())
    if mode == "I;16":
        picture = Image.fromarray(quarters()[..., 1].astype(np.uint16) * 257)
    else:
        picture = picture.convert(mode)
    picture.save(tmp_path / "a.png")
    rgb = read_image(tmp_path / "a.png")
    assert rgb.shape == (64, 96, 3)
    assert rgb.dtype == np.uint8
    if mode in ("RGBA", "P"):
        assert corners(rgb) == [0, 1, 2, 3]


def test_not_media(tmp_path):
    rng = np.random.default_rng(0)
    cases = {
        "noise.mp4": rng.integers(0, 256, 20000, np.uint8).tobytes(),
        "page.html": b"<html>" * 200,
        "labels.csv": b"frame,valence\n1,0.5\n" * 40,
        "words.srt": b"1\n00:00:01,000 --> 00:00:02,000\nhello\n\n",
        "notes.txt": b"hello\n" * 100,
        "empty.png": b"",
        "head.jpg": None,
    }
    Image.fromarray(quarters()).save(tmp_path / "head.jpg")
    cases["head.jpg"] = (tmp_path / "head.jpg").read_bytes()[:200]
    for name, content in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(MediaError) as caught:
            probe(tmp_path / name)
        assert str(caught.value).startswith(str(tmp_path / name)), name
    for missing in (tmp_path, tmp_path / "no.mp4"):
        with pytest.raises(MediaError):
            probe(missing)
        with pytest.raises(MediaError):
            read_image(missing)


def count_opened(monkeypatch):
    """List of the files that FFmpeg opens from now on."""
    names, open_ = [], av.open

    def opened(file, *arguments, **options):
        names.append(file)
        return open_(file, *arguments, **options)

    monkeypatch.setattr(av, "open", opened)
    return names


def test_a_probed_video_is_read_through_with_what_probe_opened(tmp_path, monkeypatch):
    path = encode(tmp_path / "a.mkv", range(0, 2000, 40), sound_from_ms=0)
    expected = [(frame.index, frame.time_s, frame.rgb.sum()) for frame in VideoFrames(path)]
    sound = read_sound(path, 8000)
    names = count_opened(monkeypatch)
    media = probe(path)
    frames = [(frame.index, frame.time_s, frame.rgb.sum()) for frame in media.frames()]
    assert len(names) == 1
    np.testing.assert_array_equal(np.concatenate(list(media.sound(8000))), sound)
    assert len(names) == 2
    assert frames == expected
    assert media.problem is None
    assert [frame.index for frame in media.frames()] == [index for index, _, _ in expected]


def test_a_probed_sound_is_read_with_what_probe_opened(tmp_path, monkeypatch):
    path = write_wav(tmp_path / "a.wav", sine(440, 16000, 2.5)[None], 16000)
    expected = read_sound(path, 8000)
    names = count_opened(monkeypatch)
    media = probe(path)
    for _ in range(2):
        np.testing.assert_array_equal(np.concatenate(list(media.sound(8000))), expected)
    assert list(media.frames()) == []
    assert len(names) == 2  # the second reading opens it again


def test_a_probed_picture_is_one_frame(tmp_path):
    Image.fromarray(quarters()).save(tmp_path / "a.png")
    media = probe(tmp_path / "a.png")
    (frame,) = media.frames()
    assert (frame.index, frame.time_s) == (0, 0.0)
    assert corners(frame.rgb) == [0, 1, 2, 3]
    assert list(media.sound(8000)) == []


def test_a_probed_file_tells_what_was_wrong_once_it_was_read(tmp_path):
    wav = write_wav(tmp_path / "a.wav", sine(440, 16000, 4.0)[None], 16000)
    wav.write_bytes(wav.read_bytes()[:40_000])
    media = probe(wav)
    assert media.problem is None
    list(media.sound(8000))
    assert "cut off" in media.problem
    jpeg = tmp_path / "a.jpg"
    noise = np.random.default_rng(0).integers(0, 255, (256, 256, 3), np.uint8)
    Image.fromarray(noise).save(jpeg)
    jpeg.write_bytes(jpeg.read_bytes()[:-9000])
    media = probe(jpeg)
    list(media.frames())
    assert media.problem == "the picture is damaged"
