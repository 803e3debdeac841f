"""The sound of a file: mono float32 in [-1, 1], on the clock of `triaffect.media.video`.

Sample k of what is yielded is heard k / rate seconds after the start of the file. A sound that
starts late, or has a hole in it, is filled with silence; what lies before the start is dropped.
All channels count equally, unless they cancel each other: then one of them is taken.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import numpy as np
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition
from numpy.typing import NDArray

from triaffect.errors import MediaError
from triaffect.media.container import (
    SteadyPackets,
    audio_stream,
    audio_streams,
    check_file,
    duration_s,
    open_container,
    packets,
    start_s,
    stream_duration_s,
    video_stream,
    wav_lengths,
)
from triaffect.media.content import index_problem, is_joined, ogg_end

Waveform = NDArray[np.float32]

_CUT_S = 0.5
"""A sound that ends this much before its declared end has been cut off."""

_GUESSED = frozenset({"mp3", "aac", "ac3", "eac3", "amr", "dts", "loas"})
"""Forms that do not say how long they are; FFmpeg guesses it from the first seconds."""

_LOOSE_ENDS = 2
"""Parts that may not decode in a whole file: broadcasts begin, and many an MP3 ends, with some."""

_LISTENED_S, _STEP_S, _SILENT = 30.0, 0.02, 1e-3
"""Of several sounds so much is heard, in such steps; one that stays below that level is silent."""

_SLOWEST_SYLLABLES, _FASTEST_SYLLABLES = 2.0, 8.0
"""Syllables a second."""

_SPECIAL = sum(
    each.value for each in (Disposition.comment, Disposition.visual_impaired, Disposition.karaoke)
)
"""Flags of sounds that are not what is heard in the picture."""

_LOST, _CANCELLED_S = 4, 0.5
"""Channels cancel if the mix keeps less than a 4th of what it would keep of independent ones;
that is said if it lasts."""

_BELIEVED_S = 5.0
"""A hole that is longer, and longer than the file declares to last, is a broken time stamp."""

_SLACK_S = 0.05
"""Timestamps may be off by this much (rounding, jitter) without the sound being mended."""


def sound_chunks(
    path: str | Path,
    rate: int,
    problems: list[str] | None = None,
    remarks: list[str] | None = None,
    track: int | None = None,
) -> Iterator[Waveform]:
    """Read the sound of a file, a second at a time.

    Args:
        path: A video or sound file.
        rate: Samples per second wanted.
        problems: Gets what was wrong with a broken or cut-off sound, once it was read to its end.
        remarks: Gets what is doubtful in how it was read, likewise.
        track: Which of several sounds, from 1; None chooses as `choose_track` does.

    Returns:
        An iterator of float32 arrays in [-1, 1] of `rate` samples, the last one shorter;
        empty if the file has no sound. A broken part is silent, a cut-off file just ends.

    Raises:
        MediaError: It cannot be opened, or has no such track.
    """
    path = check_file(Path(path))
    problems = problems if problems is not None else []
    return _chunks(path, rate, problems, remarks if remarks is not None else [], track)


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


def _chunks(
    path: Path, rate: int, problems: list[str], remarks: list[str], track: int | None
) -> Iterator[Waveform]:
    container = open_container(path)
    if audio_stream(container) is not None:
        yield from OpenSound(path, container, problems, remarks, track).chunks(rate)


class OpenSound:
    """The sound of an open file, to be read once.

    Args:
        path: The file.
        container: The same file, open and not read yet; it is closed at the end.
        problems: Gets what was wrong with a broken or cut-off sound, once it was read to its end.
        remarks: Gets what is doubtful in how it was read, likewise.
        track: Which of several sounds, from 1; None chooses as `choose_track` does.

    Attributes:
        problems: The same list.
        remarks: Likewise.

    Raises:
        ValueError: It has no sound.
        MediaError: It has no such track.
    """

    def __init__(
        self,
        path: Path,
        container: InputContainer,
        problems: list[str],
        remarks: list[str],
        track: int | None = None,
    ) -> None:
        streams = audio_streams(container)
        if not streams:
            raise ValueError(f"{path}: a file with sound expected")
        if track is None and len(streams) > 1:
            track, remark = choose_track(path)
            remarks.append(remark)
        if not 1 <= (track or 1) <= len(streams):
            expected, got = f"a sound track from 1 to {len(streams)}", str(track)
            raise MediaError(expected, got, "see --sound-track", where=path)
        self._stream = streams[(track or 1) - 1]
        self._path, self._container, self.problems, self.remarks = (
            path,
            container,
            problems,
            remarks,
        )
        self._rate = self._stream.codec_context.sample_rate
        self._steady, self._mix = SteadyPackets(container, self._stream), _Mix(self._rate)
        self._unreal, self._overlaps = 0, list[int]()
        parts = self._decoded()
        self._parts = _on_clock(parts, self._rate, duration_s(container), self._overlaps)

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
            for part in _joined(_resampled(self._parts, self._rate, rate), rate):
                held = np.concatenate([held, np.clip(part, -1, 1)])
                while len(held) >= rate:
                    samples += rate
                    yield held[:rate].copy()
                    held = held[rate:]
            if len(held):
                yield held
            self._judge((samples + len(held)) / rate)

    def _judge(self, length_s: float) -> None:
        """Say what was lost, and what is doubtful, of a sound that was read to its end."""
        declared_s = _declared_s(self._path, self._container, self._stream)
        has_picture = video_stream(self._container) is not None  # reading it says the same
        joined = is_joined(self._path, self._steady.end)
        if self._steady.jumps or joined:
            declared_s = None  # it counts the jumps
        if self._steady.jumps and not has_picture:
            self.remarks.append(str(self._steady.remark))
        if joined and not has_picture:
            self.remarks.append("sounds were joined in one file; only the first of them is read")
        if wav_lengths(self._path)[1]:
            self.remarks.append(f"the header declares less sound than the {length_s:.2f} s read")
        if self._mix.cancelled_s > _CANCELLED_S:
            self.remarks.append("channels of opposite sign cancel out; one of them was read")
        if self._unreal:
            self.remarks.append(f"{self._unreal} samples are no numbers; they are read as silence")
        overlap_s = sum(self._overlaps) / self._rate
        if overlap_s > _CUT_S:
            self.remarks.append(f"{overlap_s:.2f} s of the sound overlap what is before them")
        if not has_picture:
            cut, unmarked = ogg_end(self._path)
            self.problems += [each for each in (index_problem(self._path), cut) if each]
            self.remarks += [unmarked] if unmarked else []
        if not self.problems and declared_s is not None and declared_s - length_s > _CUT_S:
            self.problems.append(f"the sound is cut off: {length_s:.2f} s of {declared_s:.2f} s")

    def _decoded(self) -> Iterator[tuple[float | None, Waveform]]:
        """Mono sound as decoded, at the native rate, each part with its time from the start."""
        start, resampler, layout = start_s(self._container), None, None
        base, is_direct = Fraction(0), False
        is_guessed, last = self._container.format.name in _GUESSED, None
        for frame in _frames(self._steady, self.problems):
            if layout != (layout := (frame.format.name, frame.layout.name, frame.sample_rate)):
                resampler = AudioResampler("flt", frame.layout.name, self._rate)
                is_direct = frame.sample_rate == self._rate and _is_direct(frame)
                base = frame.time_base or Fraction(0)  # fractions are slow: one for all frames
            time_s, stamp = None, frame.pts
            # stamps that stand still, or are computed by another rate, are none
            is_real = stamp != last and not (is_guessed and frame.sample_rate != self._rate)
            if stamp is not None and base and is_real:
                time_s = (
                    stamp * base.numerator * start.denominator - start.numerator * base.denominator
                ) / (base.denominator * start.denominator)
            last = stamp
            assert resampler is not None  # noqa: S101 - set at the first frame
            for part in [frame] if is_direct else resampler.resample(frame):
                yield time_s, self._mix(self._real_numbers(_channels(part)))
                time_s = None

    def _real_numbers(self, channels: Waveform) -> Waveform:
        """Put silence where samples are no numbers, and count them; (channels, samples)."""
        with np.errstate(all="ignore"):
            total = float(channels.sum())  # quicker than to look at each
        if math.isfinite(total):
            return channels
        is_real = np.isfinite(channels)
        self._unreal += int(np.count_nonzero(~is_real.all(axis=0)))
        return np.where(is_real, channels, np.float32(0))


_SCALES: dict[str, tuple[str, float]] = {"s16": ("i2", 2.0**-15), "flt": ("f4", 1.0)}
_SCALES |= {f"{name}p": scale for name, scale in _SCALES.items()}
"""Type and unit of the samples that are taken as they are; FFmpeg converts the others."""
_MOST_PLANES = 7
"""PyAV crashes on a frame that holds more channels one after another."""


def _is_direct(frame: av.AudioFrame) -> bool:
    fits = not frame.format.is_planar or frame.layout.nb_channels <= _MOST_PLANES
    return fits and frame.format.name in _SCALES


def _channels(frame: av.AudioFrame) -> Waveform:
    """Take the samples of a frame of the forms in `_SCALES`, shape (channels, samples)."""
    kind, scale = _SCALES[frame.format.name]
    planes, channels = frame.planes, frame.layout.nb_channels
    if len(planes) == 1:
        packed = np.frombuffer(bytes(planes[0]), kind, frame.samples * channels)
        samples = packed.reshape(-1, channels).T
    else:
        samples = np.stack([np.frombuffer(bytes(each), kind, frame.samples) for each in planes])
    return np.ascontiguousarray(samples, np.float32) * np.float32(scale)


class _Mix:
    """The mean of the channels of a sound, or one of them while they cancel each other.

    Attributes:
        cancelled_s: Seconds during which one had to be taken.
    """

    def __init__(self, rate: int) -> None:
        self._rate, self._mixed, self._channel = rate, 0.0, -1
        self._each = np.zeros(1)
        self.cancelled_s = 0.0

    def __call__(self, channels: Waveform) -> Waveform:
        """Mix the next samples, (channels, samples), on what the last second was like."""
        if len(channels) == 1:
            only: Waveform = channels[0]
            return only
        mixed: Waveform = channels.mean(axis=0)
        if len(self._each) != len(channels):
            self._each, self._mixed, self._channel = np.zeros(len(channels)), 0.0, -1
        forgotten = math.exp(-len(mixed) / self._rate)
        self._mixed = forgotten * self._mixed + float(np.square(mixed).sum())
        self._each = forgotten * self._each + np.square(channels).sum(axis=1)
        # independent channels lose 1 part in their number of their energy, opposite ones all
        if self._mixed >= self._each.mean() / (_LOST * len(channels)):
            self._channel = -1
            return mixed
        if self._channel < 0 or self._each[self._channel] < self._each.max() / _LOST:
            self._channel = int(np.argmax(self._each))  # and stay with it, or the sign would flip
        self.cancelled_s += len(mixed) / self._rate
        taken: Waveform = channels[self._channel]
        return taken


def choose_track(path: Path) -> tuple[int, str]:
    """Choose among the sounds of a file: one that is heard, the default one, one with a voice.

    As far as the half minute goes that is listened to, a silent track is no choice. Of the
    others those flagged as default come first, unless all are, then those that are no comment
    or description, then the one that rises and falls most like speech, 2 to 8 times a second.

    Args:
        path: The file; it has several sounds.

    Returns:
        The track's number, from 1, and why it was chosen, in words.
    """
    with open_container(path) as container:
        streams = audio_streams(container)
        flags = [int(stream.disposition) for stream in streams]
        levels = _levels(container, streams)
    audible = [len(each) > 0 and each.max() > _SILENT for each in levels]
    is_default = [bool(flag & Disposition.default.value) for flag in flags]
    voice = [_syllables(each) for each in levels]
    ranks = [
        (audible[k], is_default[k] and not all(is_default), not flags[k] & _SPECIAL, voice[k])
        for k in range(len(streams))
    ]
    best = max(range(len(streams)), key=ranks.__getitem__)
    why = "most like a voice"
    if audible[best] and not any(each for k, each in enumerate(audible) if k != best):
        why = "the only one that is not silent"
    elif ranks[best][1]:
        why = "the default"
    elif not any(audible):
        why = "all are silent at first"
    elif sum(not flag & _SPECIAL for flag in flags) == 1:
        why = "the only one that is not a commentary"
    return best + 1, f"of {len(streams)} sound tracks, number {best + 1} was read: {why}"


def _levels(container: InputContainer, streams: list[AudioStream]) -> list[NDArray[np.float64]]:
    """Root mean square of every 20 ms of each sound, until one has got to half a minute."""
    levels: dict[int, list[float]] = {stream.index: [] for stream in streams}
    waiting = {stream.index: np.empty(0, np.float32) for stream in streams}
    try:
        for packet in packets(container, *streams):
            if max(map(len, levels.values())) * _STEP_S >= _LISTENED_S:
                break
            try:
                frames = packet.decode()
            except FFmpegError:
                continue
            for frame in frames:
                resampler = AudioResampler("flt", frame.layout.name, frame.sample_rate)
                step = max(1, round(_STEP_S * frame.sample_rate))
                for part in resampler.resample(frame):
                    square = np.square(np.nan_to_num(_channels(part))).mean(axis=0)
                    square = np.concatenate([waiting[packet.stream.index], square])
                    whole, rest = np.split(square, [len(square) // step * step])
                    waiting[packet.stream.index] = rest
                    levels[packet.stream.index] += np.sqrt(whole.reshape(-1, step).mean(1)).tolist()
    except FFmpegError:
        pass  # what was read until then is judged
    return [np.array(levels[stream.index]) for stream in streams]


def _syllables(level: NDArray[np.float64]) -> float:
    """How much a sound rises and falls at the pace of syllables, as a share of its level."""
    if len(level) < 1 / _STEP_S or not level.any():
        return 0.0
    pace = np.fft.rfftfreq(len(level), _STEP_S)
    strength = np.abs(np.fft.rfft(level - level.mean())) ** 2
    of_syllables = (pace >= _SLOWEST_SYLLABLES) & (pace <= _FASTEST_SYLLABLES)
    return float(np.sqrt(2 * strength[of_syllables].sum()) / level.sum())


def _declared_s(path: Path, container: InputContainer, stream: AudioStream) -> float | None:
    """Seconds the file says its sound lasts; None where it does not say."""
    if container.format.name in _GUESSED:
        return None
    declared_s = stream_duration_s(container, stream)
    if container.format.name == "wav" and stream.bit_rate and declared_s is not None:
        # FFmpeg tells what is there, the file's head what there was
        declared_s += wav_lengths(path)[0] * 8 / stream.bit_rate
    return declared_s


def _frames(steady: SteadyPackets[AudioStream], problems: list[str]) -> Iterator[av.AudioFrame]:
    """Yield what decodes, and note at the end how much did not."""
    parts, broken, ended = iter(steady), 0, ""
    while True:
        try:
            packet = next(parts)
        except StopIteration:
            break
        except FFmpegError as error:
            ended = f"reading the sound stopped: {error.strerror}"
            break
        if packet.has_sidedata("encryption_info"):
            ended = "the sound is encrypted"
            break
        try:
            frames = packet.decode()
        except FFmpegError:
            broken += 1
            continue  # the clock leaves silence in its place
        broken += packet.is_corrupt
        yield from frames
    if broken > _LOOSE_ENDS or ended:
        problems.append(ended or f"{broken} parts of the sound do not decode")


def _on_clock(
    parts: Iterator[tuple[float | None, Waveform]],
    native: int,
    longest_s: float | None,
    overlaps: list[int],
) -> Iterator[Waveform]:
    """Put each part where its time says: silence into holes, overlaps dropped and counted."""
    slack, done = round(_SLACK_S * native), 0
    for time_s, part in parts:
        gap = 0 if time_s is None else round(time_s * native) - done
        if longest_s is not None and abs(gap) > max(longest_s, _BELIEVED_S) * native + slack:
            gap = 0  # a broken timestamp, not a hole
        if gap > slack or (done == 0 and gap > 0):
            done += gap
            for at in range(0, gap, native):
                yield np.zeros(min(native, gap - at), np.float32)
        elif gap < -slack or (done == 0 and gap < 0):
            if done:
                overlaps.append(min(-gap, len(part)))
            part = part[-gap:]  # noqa: PLW2901
        done += len(part)
        if len(part):
            yield part


_AT_ONCE_S = 0.25
"""Sound that is resampled at once; each call costs as much as some thousand samples."""


def _joined(parts: Iterator[Waveform], least: int) -> Iterator[Waveform]:
    """Join parts to pieces of at least so many samples; the last piece may be shorter."""
    waiting: list[Waveform] = []
    for part in parts:
        waiting.append(part)
        if sum(map(len, waiting)) >= least:
            yield np.concatenate(waiting)
            waiting = []
    if waiting:
        yield np.concatenate(waiting)


def _resampled(parts: Iterator[Waveform], native: int, rate: int) -> Iterator[Waveform]:
    """Change the rate of a sound; its parts change their lengths and bounds."""
    if native == rate:
        yield from parts
        return
    resampler = AudioResampler("fltp", "mono", rate)
    for part in _joined(parts, round(native * _AT_ONCE_S)):
        frame = av.AudioFrame.from_ndarray(part[None], "fltp", "mono")
        frame.sample_rate = native
        for out in resampler.resample(frame):
            yield np.asarray(out.to_ndarray()[0], np.float32)
    for out in resampler.resample(None):
        yield np.asarray(out.to_ndarray()[0], np.float32)
