"""Kinds of picture that people send: tiled, turned, animated, with pages, one after another."""

import io
import os
import struct
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from tests.media.heif_made import write_heic
from tests.media.made import corners, encode, quarters
from tests.media.test_audio import sine
from triaffect.corpora.media_folder import MediaFolder
from triaffect.errors import MediaError
from triaffect.features.extraction_worker import Job, SourceCrops
from triaffect.media.frames_at import FramesAt
from triaffect.media.images import ImageFrames
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


def save(path, picture=None, **options):
    """Write a picture by its ending."""
    (Image.fromarray(quarters()) if picture is None else picture).save(path, **options)
    return path


def write_by_codec(path, codec, form, pix_fmt):
    """Write a picture that only FFmpeg writes."""
    with av.open(str(path), "w", format=form) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, pix_fmt
        frame = av.VideoFrame.from_ndarray(quarters(), format="rgb24").reformat(format=pix_fmt)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("name", "mode", "options"),
    [
        ("cmyk.jpg", "CMYK", {"quality": 95}),
        ("cmyk.tiff", "CMYK", {}),
        ("lab.tiff", "LAB", {}),
        ("progressive.jpg", "RGB", {"progressive": True, "quality": 95}),
        ("411.jpg", "RGB", {"subsampling": "4:1:1", "quality": 95}),
        ("restart.jpg", "RGB", {"restart_marker_rows": 1, "quality": 95}),
        ("lzw.tiff", "RGB", {"compression": "tiff_lzw"}),
        ("deflate.tiff", "RGB", {"compression": "tiff_adobe_deflate"}),
        ("jpeg.tiff", "RGB", {"compression": "jpeg", "quality": 95}),
        ("packbits.tiff", "RGB", {"compression": "packbits"}),
        ("lossless.webp", "RGB", {"lossless": True}),
        ("palette.png", "P", {}),
        ("transparent.png", "P", {"transparency": 0}),
        ("palette.bmp", "P", {}),
        ("rle.tga", "RGB", {"compression": "tga_rle"}),
        ("top.tga", "RGB", {"orientation": 1}),
        ("a.pcx", "RGB", {}),
        ("a.sgi", "RGB", {}),
        ("a.qoi", "RGB", {}),
        ("a.dds", "RGB", {}),
        ("a.ppm", "RGB", {}),
        ("a.jp2", "RGB", {}),
        ("alpha.avif", "RGBA", {"quality": 90}),
        ("alpha.jp2", "RGBA", {}),
    ],
)
def test_colors_and_compressions_of_pictures(tmp_path, name, mode, options):
    path = save(tmp_path / name, Image.fromarray(quarters()).convert(mode), **options)
    kind, (frame,), problem, remark = read(path)
    assert (kind, problem, remark) == (SourceKind.IMAGES, None, None)
    assert frame.rgb.shape == (64, 96, 3)
    assert corners(frame.rgb) == [0, 1, 2, 3]


@pytest.mark.parametrize("ending", ["png", "tiff", "jp2"])
def test_pictures_of_16_bits_have_the_levels_of_8(tmp_path, ending):
    levels = np.ascontiguousarray(quarters()[..., ::-1]).astype(np.uint16) * 257
    path = tmp_path / f"a.{ending}"
    path.write_bytes(cv2.imencode(f".{ending}", levels)[1].tobytes())
    assert difference(read(path)[1][0].rgb, quarters()) < 2


def test_levels_of_0_to_1_are_those_of_0_to_255(tmp_path):
    levels = np.ascontiguousarray(quarters()[..., ::-1] / 255, np.float32)
    (tmp_path / "a.pfm").write_bytes(cv2.imencode(".pfm", levels)[1].tobytes())
    assert difference(read(tmp_path / "a.pfm")[1][0].rgb, quarters()) < 2
    exr = write_by_codec(tmp_path / "a.exr", "exr", "image2pipe", "gbrpf32le")
    assert difference(read(exr)[1][0].rgb, quarters()) < 3


@pytest.mark.parametrize(
    ("codec", "pix_fmt"), [("dpx", "rgb24"), ("sgi", "rgb24"), ("jpegls", "rgb24")]
)
def test_pictures_that_only_ffmpeg_reads(tmp_path, codec, pix_fmt):
    path = write_by_codec(tmp_path / "a.bin", codec, "image2pipe", pix_fmt)
    kind, (frame,), _, _ = read(path)
    assert kind is SourceKind.IMAGES
    assert corners(frame.rgb) == [0, 1, 2, 3]


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (2, 2), (3, 7)])
@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "gif", "bmp"])
def test_pictures_of_hardly_a_pixel(tmp_path, size, ending):
    path = save(tmp_path / f"a.{ending}", Image.fromarray(quarters()).resize(size))
    kind, (frame,), _, _ = read(path)
    assert (kind, frame.rgb.shape) == (SourceKind.IMAGES, (size[1], size[0], 3))


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tiff", "bmp", "gif", "avif", "jp2"])
def test_half_a_picture_is_told_and_what_follows_one_is_not(tmp_path, ending):
    noise = np.random.default_rng(0).integers(0, 255, (320, 480, 3), np.uint8)
    noise[:160], noise[160:] = noise[:160] // 2, noise[160:] // 2 + 127
    path = save(tmp_path / f"a.{ending}", Image.fromarray(noise))
    whole = path.read_bytes()
    path.write_bytes(whole + b"junk" * 100)
    kind, (frame,), problem, _ = read(path)
    assert (kind, problem, frame.rgb.shape) == (SourceKind.IMAGES, None, (320, 480, 3))
    path.write_bytes(whole[: len(whole) // 2])
    if ending in ("jpg", "gif"):
        assert read(path)[2] == "the picture is damaged"
    else:
        with pytest.raises(MediaError, match=f"a.{ending}: expected"):
            probe(path)


def test_half_an_animated_gif_is_told(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (4, 64, 96, 3), np.uint8)
    first, *others = map(Image.fromarray, noise)
    path = save(tmp_path / "a.gif", first, save_all=True, append_images=others, duration=100)
    assert read(path)[2] is None
    path.write_bytes(path.read_bytes()[:-3000])
    kind, frames, problem, _ = read(path)
    assert (kind, problem) == (SourceKind.VIDEO, "cut off")
    assert 2 <= len(frames) <= 4


@pytest.mark.parametrize("orientation", [0, 9, 255])
def test_an_orientation_that_is_none_turns_nothing(tmp_path, orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    assert corners(read_image(save(tmp_path / "a.jpg", exif=exif, quality=95))) == [0, 1, 2, 3]


@pytest.mark.parametrize("ending", ["webp", "png", "gif", "avif"])
def test_an_animation_with_transparency_is_one_video(tmp_path, ending):
    frames = [
        Image.fromarray(
            np.dstack([np.roll(quarters(), 9 * k, 1), np.full((64, 96), 200, np.uint8)])
        )
        for k in range(3)
    ]
    options = {"save_all": True, "append_images": frames[1:], "duration": 100}
    path = save(tmp_path / f"a.{ending}", frames[0], **options)
    kind, read_frames, _, remark = read(path)
    assert (kind, len(read_frames), remark) == (SourceKind.VIDEO, 3, None)


def test_a_default_image_is_no_frame_of_an_animated_png(tmp_path):
    frames = [Image.fromarray(np.roll(quarters(), 30 * k, 1)) for k in range(4)]
    options = {"save_all": True, "append_images": frames[1:], "default_image": True}
    path = save(tmp_path / "a.png", frames[0], duration=100, **options)
    read_frames = read(path)[1]
    assert len(read_frames) == 3
    assert difference(read_frames[0].rgb, np.asarray(frames[1])) < 1


@pytest.mark.parametrize("ending", ["png", "bmp", "ppm"])
def test_other_pictures_one_after_another_are_a_video(tmp_path, ending):
    path = save(tmp_path / f"a.{ending}")
    path.write_bytes(path.read_bytes() * 3)
    kind, frames, _, remark = read(path)
    assert (kind, len(frames)) == (SourceKind.VIDEO, 3)
    assert "25 a second are assumed" in remark


def test_jpegs_of_an_http_camera_and_between_zeros_are_a_video(tmp_path):
    picture, path = jpeg(quarters()), tmp_path / "a.bin"
    head = b"--b\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(picture)
    for content in ((head + picture + b"\r\n") * 5, (picture + bytes(100)) * 5):
        path.write_bytes(content)
        kind, frames, _, remark = read(path)
        assert (kind, len(frames)) == (SourceKind.VIDEO, 5)
        assert "25 a second are assumed" in remark


@pytest.mark.parametrize("orientation", range(1, 9))
def test_jpegs_one_after_another_are_turned_and_mirrored_once(tmp_path, orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    path = tmp_path / "a.mjpeg"
    path.write_bytes(jpeg(quarters(), exif=exif) * 3)
    _, frames, problem, _ = read(path)
    assert [corners(frame.rgb) for frame in frames] == [SHOWN[orientation]] * 3
    assert problem is None
    (still,) = FramesAt(path, [frames[1].time_s])
    assert corners(still.rgb) == SHOWN[orientation]


def test_a_damaged_jpeg_among_whole_ones_is_told(tmp_path):
    """FFmpeg would fill what it lacks with gray, and say nothing."""
    noise = jpeg(np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8))
    holed = noise[: len(noise) // 2] + bytes(40) + noise[len(noise) // 2 + 40 :]
    for number, damaged in enumerate((holed, noise[: len(noise) // 2])):
        path = tmp_path / f"{number}.mjpeg"
        path.write_bytes(noise + damaged + noise)
        _, frames, problem, _ = read(path)
        assert [frame.index for frame in frames] == [0, 1, 2]
        assert problem == "some frames are damaged"
        assert difference(frames[0].rgb, frames[2].rgb) == 0
        assert difference(frames[0].rgb, frames[1].rgb) > 1
    path.write_bytes(noise * 3)
    assert read(path)[2] is None


def test_a_last_jpeg_that_is_cut_is_told(tmp_path):
    picture = jpeg(quarters())
    (tmp_path / "a.mjpeg").write_bytes(picture * 5 + picture[:600])
    _, frames, problem, _ = read(tmp_path / "a.mjpeg")
    assert len(frames) == 5
    assert "does not decode" in problem


@pytest.mark.parametrize(
    "name",
    ["new\nline.jpg", "-dash.jpg", "é😀.jpg", "x" * 250 + ".jpg", "http:a.jpg", "[1].jpg", " .jpg",
     'quote".jpg', "back\\slash.jpg", "no_ending", "film.mp4", "sound.wav", "notes.txt"],
)  # fmt: skip
def test_a_picture_of_any_name_is_a_picture(tmp_path, name):
    (tmp_path / name).write_bytes(jpeg(quarters()))
    kind, (frame,), problem, _ = read(tmp_path / name)
    assert (kind, problem) == (SourceKind.IMAGES, None)
    assert corners(frame.rgb) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("content", "got"),
    [
        (b"%PDF-1.7\n" + bytes(100), "a document, a drawing or a list of other files"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "a document, a drawing or a list"),
        (b"#EXTM3U\n/etc/passwd\n", "a document, a drawing or a list of other files"),
        (b"PK\3\4" + bytes(500), "an archive or an office file"),
        (b"8BPS\0\1" + bytes(50), ""),
    ],
)
def test_what_is_no_picture_is_refused_in_one_line(tmp_path, content, got):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(MediaError, match=rf"a\.jpg: expected .*{got}") as refused:
        probe(tmp_path / "a.jpg")
    assert "\n" not in str(refused.value)


def test_cmyk_in_jpeg_2000_is_refused(tmp_path):
    path = save(tmp_path / "a.jp2", Image.fromarray(quarters()).convert("CMYK"))
    with pytest.raises(MediaError, match="got CMYK in JPEG 2000; convert it"):
        probe(path)


def test_pipes_devices_and_links_to_nothing_are_refused_at_once(tmp_path):
    paths = [Path("/dev/zero"), Path("/proc/cpuinfo"), tmp_path / "link.jpg", tmp_path / "fifo.mp4"]
    paths[2].symlink_to("nowhere")
    os.mkfifo(paths[3])
    for path in paths:
        with pytest.raises(MediaError, match="expected a media file, got"):
            probe(path)
    (tmp_path / "a.jpg").write_bytes(jpeg(quarters()))
    paths[2].unlink()
    paths[2].symlink_to("a.jpg")
    assert corners(read_image(paths[2])) == [0, 1, 2, 3]


def test_damage_and_pages_of_pictures_in_a_folder_are_told(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)
    for number in (1, 2, 3):
        save(tmp_path / f"{number}.jpg", Image.fromarray(noise), quality=95)
    cut = (tmp_path / "2.jpg").read_bytes()[:-600]
    (tmp_path / "2.jpg").write_bytes(cut)
    pages = [Image.fromarray(quarters())] * 2
    pages[0].save(tmp_path / "4.tiff", save_all=True, append_images=pages[1:])
    frames = ImageFrames(tmp_path, 25.0)
    assert [frame.index for frame in frames] == [0, 1, 2, 3]
    assert frames.problem == "1 are damaged, the first: 2.jpg, the picture is damaged"
    unread = "4.tiff, the first of its 2 pages is read"
    assert frames.remark == f"1 are not read whole, the first: {unread}"


def test_a_cover_shows_no_face_in_an_extraction_either(tmp_path):
    write_tracks(tmp_path / "a.mp4", [("libx264", [quarters()])], 3.0)
    corpus = MediaFolder(tmp_path)
    (source,) = corpus.sources()
    crops = SourceCrops(corpus, Job(0, source), faces=None)
    assert list(crops) == []
    assert crops.remarks == ["its only picture is taken for a cover"]
