"""Kinds of picture that people send: tiled, turned, animated, with pages, one after another."""

import io
import struct
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from tests.media.heif_made import write_heic
from tests.media.made import corners, encode, quarters
from tests.media.test_audio import sine
from triaffect.errors import MediaError
from triaffect.media.probe import probe, read_image
from triaffect.media.video import VideoFrames
from triaffect.types import SourceKind

ORIENTATION = 0x0112
SHOWN = {
    1: [0, 1, 2, 3],
    2: [1, 0, 3, 2],
    3: [3, 2, 1, 0],
    4: [2, 3, 0, 1],
    5: [0, 2, 1, 3],
    6: [2, 0, 3, 1],
    7: [3, 1, 2, 0],
    8: [1, 3, 0, 2],
}
"""Which corner comes where, by EXIF orientation."""


def read(path):
    """What a file is, its frames, and what is said of it."""
    media = probe(path)
    frames = list(media.frames())
    return media.kind, frames, media.problem, media.remark


def smooth(height=128, width=192):
    """A picture in which a tile that is missing, or in another's place, shows."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows, columns, (rows + columns) // 2], axis=2).astype(np.uint8)


def difference(one, other):
    return np.abs(one.astype(int) - other).mean()


def test_the_tiles_of_a_heic_are_joined(tmp_path):
    path = write_heic(tmp_path / "a.heic", smooth(), (64, 64))
    kind, (frame,), problem, remark = read(path)
    assert (kind, problem, remark) == (SourceKind.IMAGES, None, None)
    assert frame.rgb.shape == (128, 192, 3)
    assert difference(frame.rgb, smooth()) < 3


def test_a_heic_shows_no_more_than_it_says(tmp_path):
    path = write_heic(tmp_path / "a.heic", smooth(), (64, 64), shown=(100, 150))
    assert difference(read_image(path), smooth()[:100, :150]) < 3


@pytest.mark.parametrize("tile", [(64, 64), (128, 192)])
@pytest.mark.parametrize(
    ("transforms", "shown"),
    [
        (((b"irot", b"\1"),), np.rot90(smooth(), 1)),
        (((b"irot", b"\3"),), np.rot90(smooth(), 3)),
        (((b"imir", b"\1"),), smooth()[:, ::-1]),
        (((b"imir", b"\0"),), smooth()[::-1]),
        (((b"irot", b"\1"), (b"imir", b"\1")), np.rot90(smooth(), 1)[:, ::-1]),
        (
            ((b"clap", struct.pack(">IIIIiIiI", 100, 1, 60, 1, -6, 1, 4, 1)), (b"irot", b"\2")),
            smooth()[38:98, 40:140][::-1, ::-1],
        ),
    ],
)
def test_a_heic_is_cut_turned_and_mirrored_once(tmp_path, tile, transforms, shown):
    path = write_heic(tmp_path / "a.heic", smooth(), tile, transforms)
    assert read_image(path).shape == shown.shape
    assert difference(read_image(path), shown) < 3


def test_further_pictures_and_lost_tiles_of_a_heic_are_told(tmp_path):
    path = write_heic(tmp_path / "a.heic", smooth(), (64, 64), seconds=2)
    assert read(path)[2:] == (None, "the first of its 3 pictures is read")
    whole = write_heic(tmp_path / "b.heic", smooth(), (64, 64)).read_bytes()
    (tmp_path / "cut.heic").write_bytes(whole[:-40])
    _, (frame,), problem, _ = read(tmp_path / "cut.heic")
    assert problem == "1 of the picture's 6 tiles do not decode"
    assert difference(frame.rgb[:64], smooth()[:64]) < 3


@pytest.mark.parametrize("length", [60, 200, 500])
def test_a_heic_without_its_end_is_one_line(tmp_path, length):
    whole = write_heic(tmp_path / "a.heic", smooth(), (64, 64)).read_bytes()
    (tmp_path / "a.heic").write_bytes(whole[:length])
    with pytest.raises(MediaError, match=r"a\.heic: expected"):
        probe(tmp_path / "a.heic")


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tiff", "avif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_applied_once(tmp_path, ending, orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    path = tmp_path / f"a.{ending}"
    Image.fromarray(quarters()).save(path, exif=exif, quality=95)
    assert corners(read_image(path)) == SHOWN[orientation]


def test_other_pages_of_a_tiff_are_told(tmp_path):
    pages = [Image.fromarray(np.roll(quarters(), 9 * k, 1)) for k in range(3)]
    path = tmp_path / "a.tiff"
    pages[0].save(path, save_all=True, append_images=pages[1:])
    kind, (frame,), _, remark = read(path)
    assert (kind, remark) == (SourceKind.IMAGES, "the first of its 3 pages is read")
    assert corners(frame.rgb) == [0, 1, 2, 3]
    pages[0].save(path, save_all=True, append_images=pages[1:2], big_tiff=True)
    assert read(path)[3] == "the first of its 2 pages is read"
    pages[0].save(path)
    assert read(path)[3] is None
    pages[0].save(path, tiffinfo={254: 1})
    assert "a reduced copy" in read(path)[3]


def test_an_animated_webp_is_a_video(tmp_path):
    frames = [Image.fromarray(np.roll(quarters(), 9 * k, 1)) for k in range(4)]
    path = tmp_path / "a.webp"
    options = {"duration": [100, 300, 0, 100], "lossless": True}
    frames[0].save(path, save_all=True, append_images=frames[1:], **options)
    kind, read_frames, problem, remark = read(path)
    assert (kind, problem, remark) == (SourceKind.VIDEO, None, None)
    assert [frame.time_s for frame in read_frames] == pytest.approx([0, 0.1, 0.4, 0.5])
    for frame, picture in zip(read_frames, frames, strict=True):
        assert difference(frame.rgb, np.asarray(picture)) < 3
    assert [frame.index for frame in probe(path).frames(0.35)] == [2, 3]
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(MediaError, match="a damaged WebP"):
        probe(path)


@pytest.mark.parametrize("ending", ["png", "gif", "avif"])
def test_animated_pictures_are_videos(tmp_path, ending):
    frames = [Image.fromarray(np.roll(quarters(), 9 * k, 1)) for k in range(4)]
    path = tmp_path / f"a.{ending}"
    options = {"duration": [100, 300, 100, 100]}
    frames[0].save(path, save_all=True, append_images=frames[1:], **options)
    kind, read_frames, problem, _ = read(path)
    assert (kind, problem) == (SourceKind.VIDEO, None)
    assert [frame.time_s for frame in read_frames] == pytest.approx([0, 0.1, 0.4, 0.5])
    frames[0].save(path, save_all=True)
    assert read(path)[0] is SourceKind.IMAGES


def jpeg(picture, **options):
    data = io.BytesIO()
    Image.fromarray(picture).save(data, "JPEG", quality=95, **options)
    return data.getvalue()


@pytest.mark.parametrize("name", ["a.mjpeg", "a.jpg", "a.bin"])
def test_jpegs_one_after_another_are_a_video(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"".join(jpeg(np.roll(quarters(), 2 * k, 1)) for k in range(25)))
    kind, frames, problem, remark = read(path)
    assert (kind, len(frames), problem) == (SourceKind.VIDEO, 25, None)
    assert frames[24].time_s == pytest.approx(0.96)
    assert remark == "its frames have no times: 25 a second are assumed"
    assert len(list(VideoFrames(path))) == 25


def multi_picture(first, others, kind):
    """A JPEG with others behind it, and a list that says of what type they are."""
    entries = struct.pack("<IIIHH", 0x030000, 0, 0, 0, 0)
    entries += struct.pack("<IIIHH", kind, 0, 0, 0, 0) * len(others)
    head = b"II*\0" + struct.pack("<IHHHII", 8, 1, 0xB002, 7, len(entries), 26) + bytes(4)
    content = b"MPF\0" + head + entries
    segment = b"\xff\xe2" + struct.pack(">H", len(content) + 2) + content
    return first[:2] + segment + first[2:] + b"".join(others)


@pytest.mark.parametrize(
    ("kind", "remark"),
    [(0x000000, None), (0x010001, None), (0x020002, "the first of its 3 views is read")],
)
def test_a_jpeg_with_others_that_belong_to_it_is_a_picture(tmp_path, kind, remark):
    others = [jpeg(quarters()[:, ::-1]), jpeg(quarters()[::-1])]
    (tmp_path / "a.jpg").write_bytes(multi_picture(jpeg(quarters()), others, kind))
    found, (frame,), problem, said = read(tmp_path / "a.jpg")
    assert (found, problem, said) == (SourceKind.IMAGES, None, remark)
    assert corners(frame.rgb) == [0, 1, 2, 3]


def test_a_jpeg_with_a_smaller_one_or_a_film_behind_it_is_a_picture(tmp_path):
    first, small = jpeg(quarters()), jpeg(quarters(48, 32))
    exif = b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0" + small
    film = encode(tmp_path / "film.mp4", range(0, 400, 40))
    cases = [first + small, jpeg(quarters(), exif=exif), first + film.read_bytes()]
    for number, content in enumerate(cases):
        path = tmp_path / f"{number}.jpg"
        path.write_bytes(content)
        kind, (frame,), problem, _ = read(path)
        assert (kind, problem) == (SourceKind.IMAGES, None), number
        assert corners(frame.rgb) == [0, 1, 2, 3]


def test_a_fragmented_film_of_key_frames_has_all_of_them(tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w", options={"movflags": "frag_keyframe+empty_moov"}) as container:
        stream = container.add_stream("libx264", rate=25, options={"g": "1"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for k in range(25):
            frame = av.VideoFrame.from_ndarray(np.roll(quarters(), k, 1), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    kind, frames, problem, _ = read(path)
    assert (kind, problem) == (SourceKind.VIDEO, None)
    assert [frame.time_s for frame in frames] == pytest.approx(np.arange(25) / 25)


def write_tracks(path, films, seconds=0.0):
    """Write pictures of several tracks, each of a codec and frames, and a tone."""
    with av.open(str(path), "w") as container:
        streams = []
        for codec, pictures in films:
            stream = container.add_stream(codec, rate=25)
            stream.height, stream.width = pictures[0].shape[:2]
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            streams.append(stream)
        track = container.add_stream("aac", rate=16000, layout="mono") if seconds else None
        for stream, (_, pictures) in zip(streams, films, strict=True):
            for k, picture in enumerate(pictures):
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts, frame.time_base = k, Fraction(1, 25)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        if track is not None:
            frame = av.AudioFrame.from_ndarray(
                sine(440, 16000, seconds)[None].astype(np.float32), "fltp", "mono"
            )
            frame.sample_rate = 16000
            container.mux(track.encode(frame))
            container.mux(track.encode(None))
    return path


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_the_longer_and_larger_picture_is_the_film(tmp_path, name):
    still, film = [quarters()[::-1].copy()], [quarters()] * 20
    path = write_tracks(tmp_path / name, [("mjpeg", still), ("libx264", film)], 0.8)
    kind, frames, problem, _ = read(path)
    assert (kind, len(frames), problem) == (SourceKind.VIDEO, 20, None)
    assert corners(frames[0].rgb) == [0, 1, 2, 3]
    small, large = [quarters(48, 32)[::-1].copy()] * 20, [quarters()] * 20
    both = write_tracks(tmp_path / f"b{name}", [("libx264", small), ("libx264", large)])
    _, frames, _, remark = read(both)
    assert corners(frames[0].rgb) == [0, 1, 2, 3]
    assert remark == "of its 2 moving pictures, number 2, 96x64, is read"


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_a_sound_with_a_picture_that_is_not_called_a_cover_is_a_sound(tmp_path, name):
    media = probe(write_tracks(tmp_path / name, [("libx264", [quarters()])], 3.0))
    assert (media.kind, media.has_sound) == (SourceKind.SOUND, True)
    assert sum(map(len, media.sound(8000))) == pytest.approx(24000, abs=1000)
    assert media.remark == "its only picture is taken for a cover"
    assert list(media.frames()) == []


def test_names_that_read_as_a_series_of_numbers_are_names(tmp_path):
    path = tmp_path / "a%03d.jpg"
    path.write_bytes(jpeg(quarters()))
    kind, (frame,), problem, _ = read(path)
    assert (kind, problem) == (SourceKind.IMAGES, None)
    assert corners(frame.rgb) == [0, 1, 2, 3]
    path.write_bytes(jpeg(quarters()) * 3)
    assert len(read(path)[1]) == 3


def test_of_an_icon_the_largest_picture_is_read(tmp_path):
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[:32] = 255
    Image.fromarray(picture).save(tmp_path / "a.ico", sizes=[(16, 16), (64, 64), (32, 32)])
    kind, (frame,), _, _ = read(tmp_path / "a.ico")
    assert (kind, frame.rgb.shape) == (SourceKind.IMAGES, (64, 64, 3))
    assert frame.rgb[:28].min() > 200
    assert frame.rgb[36:].max() < 50
