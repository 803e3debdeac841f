"""Films of any codec and container made for a test: a portrait, a white frame, a click with it."""

import struct
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from tests.prediction.tiny_model import portrait

FRAMES, WHITE = 10, 6
"""Frames of a film, and which of them is white."""

QUIET_X265 = {"x265-params": "log-level=none:pools=1"}


def shown(size=(256, 256)):
    """The portrait in the middle of a frame of width and height, as large as it fits."""
    width, height = size
    side = min(size)
    frame = np.full((height, width, 3), 90, np.uint8)
    top, left = (height - side) // 2, (width - side) // 2
    frame[top : top + side, left : left + side] = cv2.resize(portrait(), (side, side))
    return frame


def write_film(
    path,
    codec="libx264",
    pix_fmt="yuv420p",
    sound=("pcm_s16le", 16_000, "mono"),
    *,
    rate=25,
    size=(256, 256),
    form=None,
    options=None,
    coder=None,
    frames=FRAMES,
    picture=None,
    metadata=None,
    click_s=None,
    times=None,
):
    """Write a film whose frame `WHITE` is white and whose sound clicks as it is shown.

    Args:
        path: Where to.
        codec: Of the picture; None for a sound alone.
        pix_fmt: Likewise.
        sound: Codec, rate and layout; None for a film without sound.
        rate: Frames per second.
        size: Width and height.
        form: Of the container, if its name does not say.
        options: Of the container.
        coder: Options of the picture's encoder.
        frames: How many.
        picture: The frame shown, if not the portrait.
        metadata: Of the picture's stream.
        click_s: When it clicks, if not with the white frame.
        times: When each frame is shown in milliseconds, if not at an even pace.
    """
    with av.open(str(path), "w", format=form, options=options or {}) as container:
        packets = []
        if codec:
            video = container.add_stream(codec, rate=rate, options=coder or {})
            video.width, video.height, video.pix_fmt = *size, pix_fmt
            video.codec_context.thread_count = 1
            unit = Fraction(1, 1000) if times else 1 / Fraction(rate)
            if times:
                video.codec_context.time_base = video.time_base = unit
            video.metadata.update(metadata or {})
        if sound:
            audio = container.add_stream(sound[0], rate=sound[1], layout=sound[2])
        if codec:
            plain = shown(size) if picture is None else picture
            for k in range(frames):
                rgb = np.full_like(plain, 255) if k == WHITE else plain
                frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format=pix_fmt)
                frame.pts, frame.time_base = times[k] if times else k, unit
                packets += video.encode(frame)
            packets += video.encode(None)
        if sound:
            at_s = WHITE / float(rate) if click_s is None else click_s
            packets += _click(audio, sound, frames / float(rate), at_s)
        for packet in sorted(packets, key=lambda each: (each.dts or 0) * each.time_base):
            container.mux(packet)
    return Path(path)


def _click(audio, sound, seconds, at_s):
    """Encode silence with a click of 10 ms."""
    _, rate, layout = sound
    samples = np.zeros(round(seconds * rate), np.float32)
    samples[round(at_s * rate) :][: rate // 100] = 0.8
    convert = av.AudioResampler(audio.codec_context.format, layout, rate)
    channels, packets = audio.codec_context.layout.nb_channels, []
    for at in range(0, len(samples), 1024):
        packed = np.repeat(samples[at : at + 1024], channels)[None]
        frame = av.AudioFrame.from_ndarray(packed, "flt", layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, at, Fraction(1, rate)
        for part in convert.resample(frame):
            packets += audio.encode(part)
    for part in convert.resample(None):
        packets += audio.encode(part)
    return [*packets, *audio.encode(None)]


def write_joined(path, source, *others):
    """Write files one after another, as ``cat`` does."""
    path.write_bytes(b"".join(each.read_bytes() for each in (source, *others)))
    return path


def boxes(data, at=0, end=None, above=""):
    """Yield the boxes of an MP4 or MOV with those above them, where each begins, and its length."""
    end = len(data) if end is None else end
    while at + 8 <= end:
        length, kind = struct.unpack_from(">I4s", data, at)
        if length < 8:
            return
        name = f"{above}/{kind.decode('latin1')}"
        yield name, at, length
        if kind in (b"moov", b"trak", b"mdia"):
            yield from boxes(data, at + 8, at + length, name)
        at += length


def write_edited(path, source, edits):
    """Write a copy of a MOV that shows some parts of it: pairs of a length and a start in seconds.

    Its index is to stand at the end, and each of its tracks to have a list of edits.
    """
    data = bytearray(source.read_bytes())
    for number in range(2):
        listed = list(boxes(data))
        (unit,) = struct.unpack_from(">I", data, _first(listed, "mvhd")[0] + 20)
        _, start, length = [each for each in listed if each[0] == "/moov/trak"][number]
        inner = [each for each in listed if start < each[1] < start + length]
        (own_unit,) = struct.unpack_from(">I", data, _first(inner, "mdhd")[0] + 20)
        entries = b"".join(
            struct.pack(">IiI", round(shown_s * unit), round(from_s * own_unit), 1 << 16)
            for shown_s, from_s in edits
        )
        new = struct.pack(">I4sII", 16 + len(entries), b"elst", 0, len(edits)) + entries
        new = struct.pack(">I4s", 8 + len(new), b"edts") + new
        at, old = _first(inner, "edts")
        for _, above, above_length in listed:
            if above < at and above + above_length >= at + old:
                struct.pack_into(">I", data, above, above_length + len(new) - old)
        data[at : at + old] = new
    path.write_bytes(data)
    return path


def _first(listed, name):
    return next((at, length) for path, at, length in listed if path.endswith(name))


def transport_packets(path):
    data = path.read_bytes()
    return [data[at : at + 188] for at in range(0, len(data), 188)]


def packet_id(packet):
    return (packet[1] & 31) << 8 | packet[2]


def write_programs(path, folder, sizes, late_ms=0):
    """Write a transport stream of two programs; the clock of the second may be ahead."""
    parts = []
    for number, size in enumerate(sizes):
        options = {
            "mpegts_service_id": str(number + 1),
            "mpegts_pmt_start_pid": str(0x1000 + 16 * number),
            "mpegts_start_pid": str(0x100 + 256 * number),
            "output_ts_offset": str(late_ms * number / 1000),
        }
        sound = ("mp2", 32_000, "mono")
        one = folder / f"{number}.ts"
        click_s = 0.16 if number else None
        write_film(one, sound=sound, size=size, options=options, click_s=click_s)
        parts.append([each for each in transport_packets(one) if packet_id(each) not in (0, 17)])
    table = b"\0\xb0\x11\0\1\xc1\0\0" + struct.pack(">HHHH", 1, 0xF000, 2, 0xF010)
    head = b"\x47\x40\x00\x10\0" + table + struct.pack(">I", _checksum(table))
    mixed = [head.ljust(188, b"\xff")]
    for k in range(max(map(len, parts))):
        mixed += [part[k] for part in parts if k < len(part)]
    path.write_bytes(b"".join(mixed))
    return path


def _checksum(data):
    """CRC-32 of MPEG's tables."""
    sum_ = 0xFFFFFFFF
    for byte in data:
        sum_ ^= byte << 24
        for _ in range(8):
            sum_ = (sum_ << 1 ^ (0x04C11DB7 if sum_ & 1 << 31 else 0)) & 0xFFFFFFFF
    return sum_


def read_click_s(sound, rate=16_000):
    """When a sound clicks, in seconds; None if it does not."""
    loud = np.flatnonzero(np.abs(sound) > 0.3)
    return None if not len(loud) else float(loud[0] / rate)


HDR_CURVES = {"pq": 16, "hlg": 18}
_TO_WIDE = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])


def write_high_range(path, curve, rgb, codec="libx265", frames=6):
    """Write a picture as phones do in HDR: 10 bits, BT.2020, PQ or HLG, white at 203 cd/m2."""
    srgb = rgb / 255
    light = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4) @ _TO_WIDE.T
    if curve == "pq":
        power = (light * 203 / 10_000) ** (2610 / 16384)
        coded = ((3424 + 2413 * 32 * power) / (4096 + 2392 * 32 * power)) ** (2523 / 32)
    else:
        light = light * 203 / 1000
        luminance = np.maximum(light @ [0.2627, 0.678, 0.0593], 1e-6)[..., None]
        scene = light * luminance ** (1 / 1.2 - 1)
        a, b = 0.17883277, 0.28466892
        bright = a * np.log(np.maximum(12 * scene - b, 1e-9)) + 0.55991073
        coded = np.where(scene <= 1 / 12, np.sqrt(3 * scene), bright)
    y = coded @ [0.2627, 0.678, 0.0593]
    planes = [
        16 + 219 * y,
        128 + 224 * ((coded[..., 2] - y) / 1.8814)[::2, ::2],
        128 + 224 * ((coded[..., 0] - y) / 1.4746)[::2, ::2],
    ]
    frame = av.VideoFrame(rgb.shape[1], rgb.shape[0], "yuv420p10le")
    for plane, levels in zip(frame.planes, planes, strict=True):
        padded = np.zeros((levels.shape[0], plane.line_size // 2), "<u2")
        padded[:, : levels.shape[1]] = np.round(levels * 4)
        plane.update(padded.tobytes())
    tags = {"colorspace": 9, "color_range": 1, "color_primaries": 9}
    tags["color_trc"] = HDR_CURVES[curve]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=QUIET_X265)
        stream.height, stream.width = rgb.shape[:2]
        stream.pix_fmt = "yuv420p10le"
        for name, value in tags.items():
            setattr(stream.codec_context, name, value)
            setattr(frame, name, value)
        for k in range(frames):
            frame.pts, frame.time_base = k, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
