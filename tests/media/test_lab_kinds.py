"""Pictures as laboratories, scanners and old programs write them; levels that are not 0 to 255."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.media.films_made import write_high_range
from tests.media.made import corners, quarters
from tests.prediction.tiny_model import portrait
from triaffect.errors import MediaError
from triaffect.media.pictures import read_picture
from triaffect.media.probe import probe, read_image
from triaffect.types import SourceKind

GRAY = quarters()[..., 1]
BGR = np.ascontiguousarray(quarters()[..., ::-1])


def tiff(levels):
    return cv2.imencode(".tiff", levels)[1].tobytes()


def png_chunk(kind, content):
    checked = kind + content
    return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))


def png(width, height, bits, color, rows, interlaced=0):
    head = struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, interlaced)
    parts = (b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*each) for each in parts)


def read(path):
    """A picture and what is said of it."""
    media = probe(path)
    assert media.kind is SourceKind.IMAGES
    (frame,) = media.frames()
    assert media.problem is None
    return frame.rgb, media.remark


@pytest.mark.parametrize(
    ("levels", "said"),
    [
        (BGR.astype(np.float32) / 255, None),
        (BGR.astype(np.float64) / 255, None),
        (GRAY.astype(np.float32) / 255, None),
        (BGR.astype(np.float32), "its 32 bits go to 220: those of 8 bits are assumed"),
        (GRAY.astype(np.float32) * 257, "its 32 bits go to 51400: those of 16 bits are assumed"),
        (GRAY.astype(np.float64) * 16, "its 64 bits go to 3200: those of 12 bits are assumed"),
        (GRAY.astype(np.uint16) * 257, None),
        (GRAY.astype(np.uint16) * 16, "its 16 bits go to 3200: those of 12 bits are assumed"),
        (GRAY.astype(np.uint16) * 4, "its 16 bits go to 800: those of 10 bits are assumed"),
        (GRAY.astype(np.uint16), "its 16 bits go to 200: those of 8 bits are assumed"),
        (BGR.astype(np.uint16) * 16, "its 16 bits go to 3520: those of 12 bits are assumed"),
    ],
)
def test_levels_of_a_tiff_are_brought_to_8_bits(tmp_path, levels, said):
    """Floats of 0 to 255 came all white, 12 bits all black, and gray floats not at all."""
    (tmp_path / "a.tiff").write_bytes(tiff(levels))
    rgb, remark = read(tmp_path / "a.tiff")
    expected = quarters() if levels.ndim > 2 else np.repeat(GRAY[..., None], 3, axis=2)
    assert np.abs(rgb.astype(int) - expected).max() <= 2
    assert remark == (said and f"the levels of {said}")


def test_levels_that_are_no_numbers_or_below_0_are_black(tmp_path):
    levels = GRAY.astype(np.float32) / 255
    levels[:2], levels[2:4], levels[4:6] = np.nan, -5, np.inf
    (tmp_path / "a.tiff").write_bytes(tiff(levels))
    rgb, remark = read(tmp_path / "a.tiff")
    assert not rgb[:6].any()
    assert np.abs(rgb[6:, :, 0].astype(int) - GRAY[6:]).max() <= 1
    assert remark is None


def test_whole_numbers_of_32_bits_are_stretched_and_told(tmp_path):
    Image.fromarray(GRAY.astype(np.int32) * 1000).save(tmp_path / "a.tiff")
    rgb, remark = read(tmp_path / "a.tiff")
    assert np.abs(rgb[..., 0] - GRAY * (255 / 200)).max() <= 1
    assert remark == "the levels of its 32 bits go to 200000: they are stretched to that"


def test_a_png_of_12_bits_in_16_and_one_that_is_just_dark(tmp_path):
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in GRAY.astype(np.uint16) * 16)
    (tmp_path / "a.png").write_bytes(png(96, 64, 16, 0, rows))
    rgb, remark = read(tmp_path / "a.png")
    assert np.abs(rgb[..., 0].astype(int) - GRAY).max() <= 1
    assert remark == "the levels of its 16 bits go to 3200: those of 12 bits are assumed"
    Image.fromarray(GRAY // 20).save(tmp_path / "b.png")
    rgb, remark = read(tmp_path / "b.png")
    assert rgb.max() == 10
    assert remark is None


@pytest.mark.parametrize("highest", [15, 100, 1023, 4095, 65_535])
@pytest.mark.parametrize("kind", ["P2", "P5", "P3", "P6"])
def test_pgm_and_ppm_of_any_highest_level(tmp_path, kind, highest):
    """OpenCV takes the lower 8 bits of 12, and 15 of 15 for nearly black."""
    picture = GRAY if kind in ("P2", "P5") else quarters()
    levels = np.round(picture / 255 * highest).astype(int)
    head = f"{kind}\n# made by a camera\n96 64\n{highest}\n".encode()
    data = " ".join(map(str, levels.ravel())).encode() + b"\n"
    if kind in ("P5", "P6"):
        data = levels.astype(">u2" if highest > 255 else "u1").tobytes()
    (tmp_path / "a.pnm").write_bytes(head + data)
    rgb, remark = read(tmp_path / "a.pnm")
    expected = np.repeat(picture[..., None], 3, axis=2) if picture.ndim == 2 else picture
    assert np.abs(rgb.astype(int) - expected).max() <= 255 / highest / 2 + 2
    assert remark is None


def interlaced():
    """The rows of Adam7's seven passes."""
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2)]
    return b"".join(
        b"\0" + quarters()[y, left::right].tobytes()
        for left, top, right, down in [*passes, (0, 1, 1, 2)]
        for y in range(top, 64, down)
    )


def saved(kind, mode="RGB", **options):
    data = io.BytesIO()
    Image.fromarray(quarters()).convert(mode).save(data, kind, **options)
    return data.getvalue()


def wide_rgba():
    levels = np.dstack([quarters(), np.full((64, 96), 255, np.uint8)]).astype(">u2") * 257
    return png(96, 64, 16, 6, b"".join(b"\0" + row.tobytes() for row in levels.astype(">u2")))


def photoshop():
    head = b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 64, 96, 8, 3) + bytes(12)
    return head + b"\0\0" + np.moveaxis(quarters(), 2, 0).tobytes()


IN_COLOR = {
    "PNG, interlaced": lambda: png(96, 64, 8, 2, interlaced(), 1),
    "PNG of 16 bits with alpha": wide_rgba,
    "PNG with a profile": lambda: saved("PNG", icc_profile=bytes(3000)),
    "JPEG in RGB": lambda: saved("JPEG", quality=95, keep_rgb=True),
    "JPEG with a profile": lambda: saved("JPEG", quality=95, icc_profile=bytes(3000)),
    "JPEG with bytes in front": lambda: b"\0\0\r\n" + saved("JPEG", quality=95),
    "JPEG after the head of an answer": lambda: (
        b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\n\r\n" + saved("JPEG", quality=95)
    ),
    "JPEG without its last two bytes": lambda: saved("JPEG", quality=95)[:-2],
    "TIFF in YCbCr": lambda: saved("TIFF", "YCbCr"),
    "TIFF with alpha": lambda: saved("TIFF", "RGBA"),
    "BMP of 32 bits": lambda: saved("BMP", "RGBA"),
    "PAM with alpha": lambda: (
        b"P7\nWIDTH 96\nHEIGHT 64\nDEPTH 4\nMAXVAL 255\nTUPLTYPE RGB_ALPHA\nENDHDR\n"
        + np.dstack([quarters(), np.full((64, 96), 255, np.uint8)]).tobytes()
    ),
    "Photoshop": photoshop,
    "Sun raster": cv2.imencode(".ras", BGR)[1].tobytes,
    "Radiance HDR": cv2.imencode(".hdr", np.float32(BGR / 255))[1].tobytes,
    "GIF, interlaced": lambda: saved("GIF", "P", interlace=1),
}


@pytest.mark.parametrize("kind", IN_COLOR)
def test_pictures_of_programs_come_in_their_colors(tmp_path, kind):
    (tmp_path / "a.bin").write_bytes(IN_COLOR[kind]())
    rgb, remark = read(tmp_path / "a.bin")
    assert rgb.shape == (64, 96, 3)
    assert corners(rgb) == [0, 1, 2, 3]
    assert remark is None


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "PPM", "XBM", "MSP"])
def test_black_and_white_of_one_bit(tmp_path, kind):
    """Scans, faxes: `XBM` writes ink as 1."""
    options = {"compression": "group4"} if kind == "TIFF" else {}
    (tmp_path / "a.bin").write_bytes(saved(kind, "1", **options))
    expected = np.asarray(Image.fromarray(quarters()).convert("1")).astype(int) * 255
    rgb, _ = read(tmp_path / "a.bin")
    off = np.abs(rgb[..., 0] - expected).mean() / 255
    assert off == 1 if kind == "XBM" else off == 0


@pytest.mark.parametrize("bits", [2, 4])
def test_gray_of_few_bits(tmp_path, bits):
    steps = 2**bits
    row = np.repeat(np.arange(steps), 96 // steps)
    packed = np.packbits(np.unpackbits(row.astype(np.uint8)[:, None], axis=1)[:, -bits:].ravel())
    (tmp_path / "a.png").write_bytes(png(96, 8, bits, 0, (b"\0" + packed.tobytes()) * 8))
    rgb, _ = read(tmp_path / "a.png")
    assert (rgb[0, :, 0] == np.round(row * (255 / (steps - 1)))).all()


@pytest.mark.parametrize("ending", ["png", "bmp", "tiff"])
def test_pictures_that_would_fill_the_memory_are_refused_at_once(tmp_path, ending):
    """Some kilobytes that say 40,000 by 40,000 pixels."""
    if ending == "png":
        content = png(40_000, 40_000, 1, 0, bytes(50_000))
    elif ending == "bmp":
        content = bytearray(saved("BMP"))
        struct.pack_into("<ii", content, 18, 40_000, -40_000)
    else:
        content = bytearray(saved("TIFF"))
        (at,) = struct.unpack_from("<I", content, 4)
        for entry in range(at + 2, at + 26, 12):
            struct.pack_into("<HHII", content, entry, 256 + (entry > at + 2), 4, 1, 40_000)
    (tmp_path / f"a.{ending}").write_bytes(content)
    with pytest.raises(MediaError, match="of up to 268435456 pixels, got 40000x40000"):
        read_image(tmp_path / f"a.{ending}")


def test_an_avif_of_high_dynamic_range(tmp_path):
    path = write_high_range(tmp_path / "a.avif", "pq", portrait(), "libsvtav1", frames=1)
    assert np.abs(read_picture(path).rgb.astype(int) - portrait()).mean() < 12


def test_frames_of_an_animated_png_without_a_duration_last_a_tenth_of_a_second(tmp_path):
    frames = [Image.fromarray(np.roll(quarters(), 9 * k, 1)) for k in range(4)]
    for ending in ("png", "gif"):
        path = tmp_path / f"a.{ending}"
        frames[0].save(path, save_all=True, append_images=frames[1:], duration=0)
        times = [frame.time_s for frame in probe(path).frames()]
        assert times == pytest.approx([0, 0.1, 0.2, 0.3])


def test_gifs_joined_and_a_gif_that_ends_and_goes_on(tmp_path):
    frames = [Image.fromarray(np.roll(quarters(), 9 * k, 1)) for k in range(4)]
    options = {"save_all": True, "append_images": frames[1:], "duration": 100, "loop": 3}
    frames[0].save(tmp_path / "one.gif", disposal=2, **options)
    content = (tmp_path / "one.gif").read_bytes()
    (tmp_path / "a.gif").write_bytes(content * 2)
    times = [frame.time_s for frame in probe(tmp_path / "a.gif").frames()]
    assert times == pytest.approx(np.arange(8) / 10)
