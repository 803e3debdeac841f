"""What is no film, picture or sound that can be read: one line says what it is."""

import os
import struct
import zipfile

import numpy as np
import pytest

from tests.media.films_made import FRAMES, packet_id, transport_packets, write_film
from triaffect.errors import MediaError
from triaffect.media.probe import probe

NOISE = np.random.default_rng(0).bytes(4000)
AAC = ("aac", 16_000, "mono")
UNFINISHED = r"an MP4 or MOV without its index \(moov\): its recording was not finished"
ENCRYPTION = {
    "encryption_scheme": "cenc-aes-ctr",
    "encryption_key": "76a6c65c5ea762046bd749a2e632ccbb",
    "encryption_kid": "a7e61c373e219033c21091fa607bf3b8",
}


def refuse(path, got):
    with pytest.raises(MediaError, match=rf"{path.name}: expected .*, got {got}") as refused:
        probe(path)
    assert "\n" not in str(refused.value)


CONTENTS = {
    "7z": (b"7z\xbc\xaf'\x1c" + NOISE, "an archive or an office file"),
    "rar": (b"Rar!\x1a\7\1\0" + NOISE, "an archive or an office file"),
    "gzip": (b"\x1f\x8b\x08" + NOISE, "an archive or an office file"),
    "old office file": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + NOISE, "an archive or an office"),
    "NumPy": (b"\x93NUMPY\1\0" + bytes(118) + NOISE, "a file of data or a program"),
    "HDF5, MATLAB 7.3": (b"\x89HDF\r\n\x1a\n" + NOISE, "a file of data or a program"),
    "SQLite": (b"SQLite format 3\0" + NOISE, "a file of data or a program"),
    "program": (b"\x7fELF" + NOISE, "a file of data or a program"),
    "Git LFS": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64,
        r"the pointer of Git LFS, not the file itself \(git lfs pull\)",
    ),
    "macOS": (b"\0\5\x16\7\0\2\0\0Mac OS X" + bytes(4000), "what macOS stores beside a file"),
    "JPEG XL": (b"\xff\x0a" + bytes(60), "JPEG XL, for which there is no decoder"),
    "JPEG XL in boxes": (
        bytes.fromhex("0000000c4a584c200d0a870a") + bytes(60),
        "JPEG XL, for which there is no decoder",
    ),
    "answer of a server": (b'{"error": "not found"}' * 9, "text"),
    "page": (b"\n<!DOCTYPE html><html></html>", "a document, a drawing or a list"),
    "page in UTF-16": ("<html>no</html>".encode("utf-16"), "text"),
    "XML": (b'<?xml version="1.0"?><Error/>', "a document, a drawing or a list"),
    "subtitles": (b"1\n00:00:01,000 --> 00:00:02,000\nhi\n\n" * 9, "text"),
    "WebVTT": (b"WEBVTT\n\n00:01.000 --> 00:02.000\nhi\n", "text"),
    "list of files": (b"file '/etc/passwd'\n", "text"),
    "playlist": (b"[playlist]\nFile1=/etc/passwd\n", "text"),
    "cue sheet": (b'FILE "a.wav" WAVE\n  TRACK 01 AUDIO\n', "text"),
    "address": (b"rtsp://127.0.0.1/x\n", "text"),
    "base64": (b"/9j/4AAQSkZJRgABAQAAAQABAAD/" * 9, "text"),
    "zeros": (bytes(50_000), "zeros at first: a download or copy that was not finished"),
    "noise": (NOISE * 9, ""),
    "empty AMR": (b"#!AMR\n", "a sound without a sample"),
    "camera raw of Canon": (b"\0\0\0\x14ftypcrx \0\0\0\1crx " + bytes(3000), UNFINISHED),
    "null packets": ((b"\x47\x1f\xff\x10" + b"\xff" * 184) * 50, ""),
}


@pytest.mark.parametrize("kind", CONTENTS)
@pytest.mark.parametrize("name", ["a.mp4", "a.jpg", "a.wav"])
def test_what_is_no_media_is_named(tmp_path, kind, name):
    content, got = CONTENTS[kind]
    (tmp_path / name).write_bytes(content)
    refuse(tmp_path / name, got)


def test_an_archive_with_films_in_it(tmp_path):
    film = write_film(tmp_path / "one.mp4", sound=None)
    with zipfile.ZipFile(tmp_path / "a.mp4", "w") as archive:
        archive.write(film)
    refuse(tmp_path / "a.mp4", "an archive or an office file")


@pytest.mark.parametrize("until", ["the head", "half the film", "the film", "half the index"])
def test_an_mp4_whose_recording_was_not_finished(tmp_path, until):
    """Phones and OBS write the index last."""
    content = write_film(tmp_path / "a.mp4", sound=AAC).read_bytes()
    at = content.find(b"moov") - 4
    end = {"the head": 40, "half the film": at // 2, "the film": at, "half the index": at + 150}
    (tmp_path / "a.mp4").write_bytes(content[: end[until]])
    refuse(tmp_path / "a.mp4", UNFINISHED)


@pytest.mark.parametrize("part", ["first", "second"])
def test_a_segment_of_a_stream_and_its_first_part(tmp_path, part):
    options = {"movflags": "frag_keyframe+empty_moov"}
    content = write_film(tmp_path / "a.mp4", sound=AAC, options=options).read_bytes()
    at = content.find(b"moof") - 4
    (tmp_path / "a.m4s").write_bytes(content[:at] if part == "first" else content[at:])
    none = "none" if part == "first" else "a segment of a stream, without the first one"
    refuse(tmp_path / "a.m4s", none)


def test_an_index_that_is_cut_off_where_ffmpeg_reads_the_rest(tmp_path):
    """The picture is whole, the sound is gone."""
    content = write_film(tmp_path / "a.mp4", sound=AAC).read_bytes()
    second = content.find(b"trak", content.find(b"trak") + 4)
    (tmp_path / "a.mp4").write_bytes(content[: second + 150])
    media = probe(tmp_path / "a.mp4")
    assert len(list(media.frames())) == FRAMES
    assert media.problem == "its index is cut off: tracks and frames may be missing"


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_an_encrypted_film(tmp_path, codec):
    """Some of what is encrypted decodes to noise."""
    path = write_film(tmp_path / "a.mp4", codec, sound=AAC, options=ENCRYPTION)
    refuse(path, "a film or sound that is encrypted")


def test_an_encrypted_sound(tmp_path):
    path = write_film(tmp_path / "a.m4a", None, sound=AAC, options=ENCRYPTION)
    refuse(path, "a film or sound that is encrypted")


def test_an_encrypted_broadcast(tmp_path):
    packets = [bytearray(each) for each in transport_packets(write_film(tmp_path / "a.ts"))]
    for packet in packets:
        if 0x100 <= packet_id(packet) < 0x1000:
            packet[3] |= 0x80
            head = 4 + (1 + packet[4] if packet[3] & 0x20 else 0)
            packet[head:] = bytes(byte ^ 91 ^ k % 251 for k, byte in enumerate(packet[head:]))
    (tmp_path / "a.ts").write_bytes(b"".join(map(bytes, packets)))
    refuse(tmp_path / "a.ts", "a film that is encrypted")


@pytest.mark.parametrize("size", [1, 7, 32, 187])
def test_files_of_a_few_bytes(tmp_path, size):
    whole = {
        "mp4": write_film(tmp_path / "one.mp4", sound=None),
        "mkv": write_film(tmp_path / "one.mkv", sound=None),
        "ts": write_film(tmp_path / "one.ts", sound=None),
        "wav": write_film(tmp_path / "one.wav", None),
    }
    for ending, path in whole.items():
        start = path.read_bytes()[:size]
        if ending == "wav" and size > 44:
            continue
        (tmp_path / f"a.{ending}").write_bytes(start)
        refuse(tmp_path / f"a.{ending}", "")


def test_a_sparse_file_of_3_gb_is_refused_at_once(tmp_path):
    with (tmp_path / "a.mp4").open("wb") as file:
        file.truncate(3 << 30)
    refuse(tmp_path / "a.mp4", "zeros at first")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path):
    path = write_film(tmp_path / "a.mp4", sound=None)
    path.chmod(0)
    refuse(path, "Permission denied")


def test_a_film_that_is_all_index(tmp_path):
    content = write_film(tmp_path / "a.mp4", sound=None).read_bytes()
    at = content.find(b"mdat") - 4
    (length,) = struct.unpack_from(">I", content, at)
    (tmp_path / "a.mp4").write_bytes(content[:at] + content[at + length :])
    with pytest.raises(MediaError, match=r"a\.mp4: expected"):
        probe(tmp_path / "a.mp4")
