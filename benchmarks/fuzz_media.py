"""Break videos, sounds and pictures at random, and see what prediction makes of them.

    python benchmarks/fuzz_media.py [--files 500] [--seed 0] [--json FILE]

Small clips in a dozen containers are damaged by flipped bits, cuts, and pieces overwritten, left
out, put in or taken from another clip. Each goes through the whole prediction (decoding, face
detection, tracking, networks; the networks are those of the tests, with random weights) in a
process of its own kind, with a time limit. Right is one clear error of the package, or a table
whose times rise; wrong is any other exception, a process that dies, or one that hangs. Ends with
exit code 1 if anything was wrong.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import av
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from measure import machine

from tests.prediction.tiny_model import portrait, tone, write_tiny_model
from triaffect.errors import TriaffectError
from triaffect.prediction.predictor import Predictor

FORMS = {
    "a.mp4": ("libx264", "aac"),
    "b.mkv": ("libx264", "pcm_s16le"),
    "c.webm": ("libvpx", "libopus"),
    "d.avi": ("mpeg4", "libmp3lame"),
    "e.mpg": ("mpeg2video", "mp2"),
    "f.mov": ("mjpeg", "pcm_s16le"),
    "g.ts": ("libx264", "mp2"),
    "h.wav": (None, "pcm_s16le"),
    "i.flac": (None, "flac"),
    "j.mp3": (None, "libmp3lame"),
    "k.jpg": ("mjpeg", None),
    "l.png": ("png", None),
}
"""Files that are broken, with the codecs of their picture and sound."""

FRAMES, RATE, SOUND_RATE = 20, 25, 48_000
LIMIT_S = 60.0


@dataclass
class Tally:
    """What became of the files.

    Attributes:
        outcomes: How often each container ended in each way.
        wrong: What should not be, with the file it happened with.
    """

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


def make_clips(folder: Path) -> dict[str, bytes]:
    """Write a whole clip in every form that can be written here; gives their bytes by name."""
    found = {}
    for name, (picture, sound) in FORMS.items():
        if {picture, sound} - {None} <= av.codecs_available:
            _write_clip(folder / name, picture, sound)
            found[name] = (folder / name).read_bytes()
    return found


def _write_clip(path: Path, picture: str | None, sound: str | None) -> None:
    form = {"form": "image2"} if path.suffix in (".jpg", ".png") else {}
    with av.open(str(path), "w", format=form.get("form")) as container:
        video = audio = None
        if picture:
            options = {"g": "8", "bf": "0"} if sound else {}
            video = container.add_stream(picture, rate=RATE, options=options)
            video.width, video.height = portrait().shape[1] // 2, portrait().shape[0] // 2
            video.pix_fmt = {"mjpeg": "yuvj420p", "png": "rgb24"}.get(picture, "yuv420p")
        if sound:
            audio = container.add_stream(sound, rate=SOUND_RATE, layout="mono")
        if video:
            for k in range(FRAMES if sound else 1):
                rgb = np.ascontiguousarray(np.roll(portrait(), k, axis=1)[::2, ::2])
                frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
                frame.pts, frame.time_base = k, 1 / video.average_rate
                container.mux(video.encode(frame))
            container.mux(video.encode(None))
        if audio:
            _write_sound(container, audio)


def _write_sound(container: av.container.OutputContainer, audio: av.AudioStream) -> None:
    samples = np.interp(np.arange(1.2 * SOUND_RATE) / 3, np.arange(1.2 * 16_000), tone(1.2))
    resampler = av.AudioResampler(audio.codec_context.format, "mono", SOUND_RATE)
    for at in range(0, len(samples), 1024):
        pcm = (samples[None, at : at + 1024] * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(pcm, "s16", "mono")
        frame.sample_rate, frame.pts = SOUND_RATE, at
        for part in resampler.resample(frame):
            container.mux(audio.encode(part))
    container.mux(audio.encode(None))


def broken(content: bytes, others: list[bytes], rng: random.Random) -> tuple[str, bytes]:
    """One way to break a file, and what it then holds."""
    data, size = bytearray(content), len(content)
    at = rng.choice(
        [
            rng.randrange(size),
            rng.randrange(min(size, 2048)),
            size - rng.randrange(1, 1024) % size - 1,
        ]
    )
    length = min(size - at, 2 ** rng.randrange(12))
    kind = rng.choice(["flips", "cut", "overwrite", "leave out", "put in", "splice"])
    if kind == "flips":
        for _ in range(2 ** rng.randrange(9)):
            where = rng.choice([rng.randrange(size), rng.randrange(min(size, 4096))])
            data[where] ^= 1 << rng.randrange(8)
    elif kind == "cut":
        del data[max(1, rng.randrange(size)) :]
    elif kind == "overwrite":
        data[at : at + length] = rng.choice(
            [bytes(length), b"\xff" * length, rng.randbytes(length)]
        )
    elif kind == "leave out":
        del data[at : at + length]
    elif kind == "put in":
        data[at:at] = data[(start := rng.randrange(size)) : start + length]
    else:
        other = rng.choice(others)
        data[at:] = other[rng.randrange(len(other)) :]
    return kind, bytes(data)


class Watched:
    """A process that predicts one file after another, and is started again when it must be."""

    def __init__(self, work: Callable[[Connection, Path], None], model: Path) -> None:
        self._work, self._model = work, model
        self._context = multiprocessing.get_context("spawn")
        self._process: BaseProcess | None = None

    def outcome(self, path: Path, limit_s: float = LIMIT_S) -> str:
        """What became of a file: a word that begins with "wrong" if it should not be."""
        if self._process is None:
            self._start()
        try:
            self._pipe.send(path)
            if not self._pipe.poll(limit_s):
                self.close()
                return f"wrong: no answer within {limit_s:g} s"
            return str(self._pipe.recv())
        except (EOFError, OSError):
            assert self._process is not None
            self._process.join()
            code = self._process.exitcode
            self._process = None
            return f"wrong: the process died with {code}"

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None

    def _start(self) -> None:
        self._pipe, theirs = self._context.Pipe()
        self._process = self._context.Process(target=self._work, args=(theirs, self._model))
        self._process.start()
        theirs.close()
        self._pipe.recv()  # everything is loaded: the time of a file begins now


def predicting(pipe: Connection, model: Path) -> None:
    """Answer each path that comes through a pipe with what became of it."""
    predictor = Predictor(model)
    pipe.send("ready")
    while True:
        pipe.send(tried(predictor.tables, pipe.recv()))


def tried(tables: Callable[[Path], Iterable], path: Path) -> str:
    """What becomes of one file: "error", "partial", "whole", or "wrong: ..."."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            frames, times = [], []
            for table in tables(path):
                frames.append(table["frame"].to_numpy())
                times.append(table["time_s"].to_numpy())
        except TriaffectError:
            return "error"
        except Exception as error:
            return f"wrong: {type(error).__name__}: {error}"
    return judged(frames, times, partial=bool(caught))


def judged(frames: list[np.ndarray], times: list[np.ndarray], partial: bool) -> str:
    """Whether the numbers and times of a table's rows, in parts, can be."""
    if not sum(map(len, frames)):
        return "wrong: a table without a row"
    number, time_s = np.concatenate(frames), np.concatenate(times)
    if not np.isfinite(time_s).all() or time_s[0] < 0:
        return "wrong: times that cannot be"
    if (np.diff(number) < 0).any() or (np.diff(time_s)[np.diff(number) > 0] <= 0).any():
        return "wrong: times that do not rise"
    return "partial" if partial else "whole"


def fuzz(files: int, seed: int, folder: Path, keep: Path | None = None) -> Tally:
    """Break files and predict them.

    Args:
        files: How many; the containers take turns.
        seed: Decides what is broken.
        folder: Where the files are meanwhile.
        keep: Where files with which something was wrong are kept.
    """
    clips, tally = make_clips(folder), Tally()
    watched = Watched(predicting, write_tiny_model(folder / "model"))
    for name in clips:
        tally.wrong += [
            f"{name}: {told}" for told in [watched.outcome(folder / name)] if told != "whole"
        ]
    for k in range(files):
        name = list(clips)[k % len(clips)]
        rng = random.Random(f"{seed} {k}")
        kind, content = broken(clips[name], list(clips.values()), rng)
        path = folder / f"{k}{Path(name).suffix}"
        path.write_bytes(content)
        told = watched.outcome(path)
        tally.outcomes[Path(name).suffix, told.partition(":")[0]] += 1
        if told.startswith("wrong"):
            tally.wrong.append(f"file {k} ({name}, {kind}): {told}")
            if keep:
                path.rename(keep / path.name)
        path.unlink(missing_ok=True)
    watched.close()
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for files with which something was wrong")
    parser.add_argument("--json", type=Path, help="also write the counts to this file")
    options = parser.parse_args()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        tally = fuzz(options.files, options.seed, Path(folder), options.keep)
    seconds = time.perf_counter() - started
    words = ("error", "partial", "whole", "wrong")
    print(f"{options.files} files in {seconds:.0f} s, seed {options.seed}")
    for suffix in dict.fromkeys(suffix for suffix, _ in tally.outcomes):
        print(suffix, *(f"{word} {tally.outcomes[suffix, word]}" for word in words))
    for each in tally.wrong:
        print(each)
    if options.json:
        options.json.write_text(
            json.dumps(result(tally, options.files, options.seed), indent=1) + "\n"
        )
    return int(bool(tally.wrong))


def result(tally: Tally, files: int, seed: int) -> dict[str, object]:
    """The counts in the form of every benchmark's result."""
    sums = {"wrong": len(tally.wrong)}
    for (_, word), count in tally.outcomes.items():
        if word != "wrong":
            sums[word] = sums.get(word, 0) + count
    by_form = [
        {"form": form, "outcome": word, "files": n}
        for (form, word), n in sorted(tally.outcomes.items())
    ]
    return {
        "benchmark": "fuzz_media",
        "settings": {"files": files, "seed": seed},
        "results": [
            {"name": f"broken files: {word}", "median": n, "values": [n], "unit": "files"}
            for word, n in sorted(sums.items())
        ],
        "by_form": by_form,
        "wrong": tally.wrong,
        "machine": machine(),
    }


if __name__ == "__main__":
    sys.exit(main())
