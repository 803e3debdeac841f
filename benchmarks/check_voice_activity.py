"""Is speech detected, and nothing else? benchmarks/check_voice_activity.py RAVDESS EMODB CLIPS.

Other people (RAVDESS' actors 17 to 20, EMO-DB's speakers 03 and 08, the videos of CLIPS) and
other made sounds and rendered voices than `fit_voice_activity.py` learns from, through what the
prediction table uses: a row every quarter of a second, a window of 3 s. Of voices the rows from
the first to the last spoken moment count. With ``--left-out``: each kind of made sound, had it
not been there to learn from. A minute of processor time, and 6 more for ``--left-out``.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import numpy as np
from fit_voice_activity import fit, lessons
from numpy.typing import NDArray
from synthetic_sounds import KINDS, RATE, make
from voice_sounds import CHANGES, at_level, emodb_files, ravdess_files, rendered, spoken

from triaffect.media.audio import read_sound
from triaffect.types import FloatArray, Window
from triaffect.voice import activity as hearing
from triaffect.voice.stream import VoiceActivity

WINDOW = Window(3.0, 0.25, causal=False)
RENDERED, EACH, SECONDS, LOWEST_DB = 60, 20, 6.0, -70
SEED = 1
Rows = NDArray[np.bool_]


def heard(sound: FloatArray, talk: NDArray[np.bool_] | None = None) -> Rows:
    """The rows of a sound; of a voice, those from its first to its last spoken moment."""
    ear = VoiceActivity(RATE)
    for _ in ear.watch(iter([sound])):
        pass
    at_s = np.arange(0, len(sound) / RATE + 1e-9, WINDOW.hop_s)
    rows = ear.active(at_s, WINDOW)
    if talk is None:
        return rows
    first, *_, last = np.flatnonzero(talk) / 100
    return rows[(at_s >= first) & (at_s <= last)]


def voices(
    ravdess: Path, emodb: Path, clips: Path
) -> Iterator[tuple[str, FloatArray, NDArray[np.bool_]]]:
    """Source, sound and what of it is spoken."""
    sources = {
        "RAVDESS": ravdess_files(ravdess, 17, 20),
        "EMO-DB": emodb_files(emodb, held_out=True),
        "clips": sorted(clips.iterdir()),
    }
    for source, files in sources.items():
        for sound in (read_sound(path, RATE) for path in files):
            yield source, sound, spoken(sound)
    for seed in range(10_000, 10_000 + RENDERED):
        clean, in_room = rendered(seed)
        yield "rendered", clean, spoken(clean)
        yield "rendered, in a room", in_room, spoken(clean)


def made(kind: str) -> list[Rows]:
    """The rows of sounds of a kind, from very quiet to full scale."""
    levels_db = np.linspace(LOWEST_DB, 0, EACH)
    return [heard(at_level(make(kind, SECONDS, k), db)) for k, db in enumerate(levels_db)]


def line(name: str, files: list[Rows], voice: bool) -> None:
    """Print a line: share of rows that are right, of files with all rows, with most rows right."""
    right = [rows if voice else ~rows for rows in files if len(rows)]
    shares = np.array([rows.mean() for rows in right])
    rows = np.concatenate(right).mean()
    print(
        f"{name:32}{len(files):6}{rows:9.1%}{(shares > 0.5).mean():9.1%}{(shares == 1).mean():9.1%}"
    )


def heading(what: str) -> None:
    print(f"\n{what:32}{'files':>6}{'rows':>9}{'files':>9}{'whole':>9}")


def check_voices(ravdess: Path, emodb: Path, clips: Path) -> None:
    random, found = np.random.default_rng(SEED), defaultdict(list)
    for source, sound, talk in voices(ravdess, emodb, clips):
        for name, change in CHANGES.items():
            found[source, name].append(heard(change(sound, random), talk))
    heading("voices that are heard")
    for (source, name), files in found.items():
        line(f"{source}, {name}", files, voice=True)


def check_left_out(ravdess: Path, emodb: Path) -> None:
    taught = lessons(ravdess, emodb)
    heading("not heard, of kinds left out")
    half = np.arange(len(taught.voice)) % 2 == 0
    for kind in KINDS:
        net = fit(taught[half & taught.without(kind)], rounds=10)
        net = {name: np.asarray(values, np.float32) for name, values in net.items()}
        with patch.object(hearing, "_network", lambda net=net: net):
            line(kind, made(kind), voice=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("ravdess", "emodb", "clips"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--left-out", action="store_true")
    given = parser.parse_args()
    check_voices(given.ravdess, given.emodb, given.clips)
    heading("made sounds that are not heard")
    for kind in KINDS:
        line(kind, made(kind), voice=False)
    if given.left_out:
        check_left_out(given.ravdess, given.emodb)


if __name__ == "__main__":
    main()
