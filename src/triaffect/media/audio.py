"""The sound of a file: mono float32 in [-1, 1], on the clock of `triaffect.media.video`.

Sample k of what is yielded is heard k / rate seconds after the start of the file. A sound that
starts late, or has a hole in it, is filled with silence; what lies before the start is dropped.
All channels count equally.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import av
import numpy as np
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from numpy.typing import NDArray

from triaffect.media.container import (
    audio_stream,
    check_file,
    duration_s,
    open_container,
    packets,
    start_s,
    stream_duration_s,
)

Waveform = NDArray[np.float32]

_CUT_S = 0.5
"""A sound that ends this much before its declared end has been cut off."""

_GUESSED = frozenset({"mp3", "aac", "ac3", "eac3", "amr", "dts", "loas"})
"""Forms that do not say how long they are; FFmpeg guesses it from the first seconds."""

_UNKNOWN_SIZES = frozenset({0, 2**31 - 1, 2**32 - 1})
"""What recorders that cannot go back write as the size of a WAV file."""

_LOOSE_ENDS = 2
"""Parts that may not decode in a whole file: broadcasts begin, and many an MP3 ends, with some."""

_SLACK_S = 0.05
"""Timestamps may be off by this much (rounding, jitter) without the sound being mended."""


def sound_chunks(
    path: str | Path, rate: int, problems: list[str] | None = None
) -> Iterator[Waveform]:
    """Read the sound of a file, a second at a time.

    Args:
        path: A video or sound file.
        rate: Samples per second wanted.
        problems: Gets what was wrong with a broken or cut-off sound, once it was read to its end.

    Returns:
        An iterator of float32 arrays in [-1, 1] of `rate` samples, the last one shorter;
        empty if the file has no sound. A broken part is silent, a cut-off file just ends.

    Raises:
        MediaError: It cannot be opened.
    """
    path = check_file(Path(path))
    return _chunks(path, rate, problems if problems is not None else [])


def read_sound(path: str | Path, rate: int) -> Waveform:
    """Read the whole sound of a file into one array.

    Args:
        path: A video or sound file.
        rate: Samples per second wanted.

    Returns:
        Mono samples in [-1, 1], float32, shape (samples,); empty if the file has no sound.

    Raises:
        MediaError: It cannot be opened.
    """
    return np.concatenate([np.empty(0, np.float32), *sound_chunks(path, rate)])


def _chunks(path: Path, rate: int, problems: list[str]) -> Iterator[Waveform]:
    container = open_container(path)
    if audio_stream(container) is not None:
        yield from OpenSound(path, container, problems).chunks(rate)


class OpenSound:
    """The sound of an open file, to be read once.

    Args:
        path: The file.
        container: The same file, open and not read yet; it is closed at the end.
        problems: Gets what was wrong with a broken or cut-off sound, once it was read to its end.

    Attributes:
        problems: The same list.

    Raises:
        ValueError: It has no sound.
    """

    def __init__(self, path: Path, container: InputContainer, problems: list[str]) -> None:
        stream = audio_stream(container)
        if stream is None:
            raise ValueError(f"{path}: a file with sound expected")
        self._path, self._container, self._stream = path, container, stream
        self.problems, self._rate = problems, stream.codec_context.sample_rate
        parts = _decoded(container, stream, self._rate, problems)
        self._parts = _on_clock(parts, self._rate, duration_s(container))

    def decodes(self) -> bool:
        """Return whether there is any sound in it; reading goes on from its start."""
        first = next(self._parts, None)
        if first is not None:
            self._parts = chain([first], self._parts)
        return first is not None

    def chunks(self, rate: int) -> Iterator[Waveform]:
        """Yield the sound a second at a time; the file is closed then.

        Args:
            rate: Samples per second.

        Yields:
            Samples in [-1, 1], float32, shape (rate,), the last ones fewer.
        """
        samples, held = 0, np.empty(0, np.float32)
        with self._container:
            for part in _resampled(self._parts, self._rate, rate):
                held = np.concatenate([held, np.clip(part, -1, 1)])
                while len(held) >= rate:
                    samples += rate
                    yield held[:rate].copy()
                    held = held[rate:]
            if len(held):
                yield held
            length_s = (samples + len(held)) / rate
            declared_s = _declared_s(self._path, self._container, self._stream)
            if not self.problems and declared_s is not None and declared_s - length_s > _CUT_S:
                self.problems.append(
                    f"the sound is cut off: {length_s:.2f} s of {declared_s:.2f} s"
                )


def _declared_s(path: Path, container: InputContainer, stream: AudioStream) -> float | None:
    """Seconds the file says its sound lasts; None where it does not say."""
    if container.format.name in _GUESSED:
        return None
    declared_s = stream_duration_s(container, stream)
    if container.format.name == "wav" and stream.bit_rate and declared_s is not None:
        # FFmpeg tells what is there, the file's head what there was
        with path.open("rb") as file:
            riff, size = struct.unpack("<4sI", file.read(8))
        if riff == b"RIFF" and size not in _UNKNOWN_SIZES:
            declared_s += max(0, size + 8 - path.stat().st_size) * 8 / stream.bit_rate
    return declared_s


def _decoded(
    container: InputContainer, stream: AudioStream, native: int, problems: list[str]
) -> Iterator[tuple[float | None, Waveform]]:
    """Mono sound as decoded, at the native rate, each part with its time from the start."""
    start, resampler, layout = start_s(container), None, None
    for frame in _frames(container, stream, problems):
        if layout != (layout := (frame.format.name, frame.layout.name, frame.sample_rate)):
            resampler = AudioResampler("fltp", frame.layout.name, native)
        time_s = None
        if frame.pts is not None and frame.time_base is not None:
            time_s = float(frame.pts * frame.time_base - start)
        assert resampler is not None  # noqa: S101 - set at the first frame
        for part in resampler.resample(frame):
            yield time_s, np.asarray(part.to_ndarray(), np.float32).mean(axis=0)
            time_s = None


def _frames(
    container: InputContainer, stream: AudioStream, problems: list[str]
) -> Iterator[av.AudioFrame]:
    """Yield what decodes, and note at the end how much did not."""
    parts, broken, ended = packets(container, stream), 0, ""
    while True:
        try:
            packet = next(parts)
        except StopIteration:
            break
        except FFmpegError as error:
            ended = f"reading the sound stopped: {error.strerror}"
            break
        try:
            frames = packet.decode()
        except FFmpegError:
            broken += 1
            continue  # the clock leaves silence in its place
        yield from frames
    if broken > _LOOSE_ENDS or ended:
        problems.append(ended or f"{broken} parts of the sound do not decode")


def _on_clock(
    parts: Iterator[tuple[float | None, Waveform]], native: int, longest_s: float | None
) -> Iterator[Waveform]:
    """Put each part where its time says: silence into holes, overlaps dropped."""
    slack, done = round(_SLACK_S * native), 0
    for time_s, part in parts:
        gap = 0 if time_s is None else round(time_s * native) - done
        if longest_s is not None and abs(gap) > longest_s * native + slack:
            gap = 0  # a broken timestamp, not a hole
        if gap > slack or (done == 0 and gap > 0):
            done += gap
            for at in range(0, gap, native):
                yield np.zeros(min(native, gap - at), np.float32)
        elif gap < -slack or (done == 0 and gap < 0):
            part = part[-gap:]  # noqa: PLW2901
        done += len(part)
        if len(part):
            yield part


def _resampled(parts: Iterator[Waveform], native: int, rate: int) -> Iterator[Waveform]:
    """Change the rate of a sound; its parts change their lengths and bounds."""
    if native == rate:
        yield from parts
        return
    resampler = AudioResampler("fltp", "mono", rate)
    for part in parts:
        frame = av.AudioFrame.from_ndarray(part[None], "fltp", "mono")
        frame.sample_rate = native
        for out in resampler.resample(frame):
            yield np.asarray(out.to_ndarray()[0], np.float32)
    for out in resampler.resample(None):
        yield np.asarray(out.to_ndarray()[0], np.float32)
