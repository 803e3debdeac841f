"""Does sound harm what the face says? benchmarks/check_sound.py CLIPS LONDON RAVDESS.

    D=shared/data; python benchmarks/check_sound.py $D/clips $D/london $D/ravdess_speech

Two measurements, of how often the expression (the likeliest of eight) is the same with the sound
as from the face alone, and by how much the numbers change. Nothing here knows which of two
answers is right.

Clips: the folder CLIPS of talking people, each predicted as a user would, with its sound and with
``--no-sound``; counted are frames in which a face is seen and a voice is heard.

Stills: each face of the London Set, seen for its whole window (held) and for one frame, together
with voices of others: rows of the clips' sounds, of RAVDESS's development people (actors 15 and
16) by emotion, and of made noise. Some rows of each kind are drawn from all its recordings;
"heard" is the share of them that the model is told of, the rest are as silence. The target is
meant for ordinary speech, clips and neutral sentences: an angry voice may well change what is
said of a face.
"""

from __future__ import annotations

import argparse
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from in_memory import DEFAULT, InMemoryModel, Predictions, model_path
from numpy.typing import NDArray

from triaffect.corpora.acted_speech import RAVDESS_EMOTIONS, Ravdess
from triaffect.errors import TriaffectError
from triaffect.faces.stream import FaceStream
from triaffect.io.atomic import write_json
from triaffect.media.audio import sound_chunks
from triaffect.media.probe import read_image
from triaffect.prediction.options import Options
from triaffect.prediction.predictor import PartialMediaWarning, Predictor
from triaffect.tasks.expression import EXPRESSION, EXPRESSIONS
from triaffect.tasks.valence_arousal import VALENCE_AROUSAL
from triaffect.types import BoolArray, FloatArray

TARGET = 0.9
ROWS, SEED, NOISE_S = 100, 0, 10
VALENCE, AROUSAL = VALENCE_AROUSAL.columns
CHANGES = (VALENCE, AROUSAL, "p")
ORDINARY = ("clips", "neutral")

Voices = tuple[FloatArray, BoolArray]


@dataclass(frozen=True)
class Compared:
    """Answers to the same moments with and without a voice.

    Attributes:
        said: The expression without and with it, shape (N, 2).
        changes: By how much valence, arousal and the mean probability of an expression differ,
            shape (N, 3).
    """

    said: NDArray[np.int64]
    changes: NDArray[np.floating]

    @staticmethod
    def of(with_sound: Predictions, without: Predictions) -> Compared:
        """Compare answers by task key, shape (N, K) each."""
        key = EXPRESSION.key
        moved = {each: np.abs(with_sound[each] - without[each]) for each in without}
        affect = moved.get(VALENCE_AROUSAL.key, np.full((len(moved[key]), 2), np.nan))
        return Compared(
            np.column_stack([without[key].argmax(1), with_sound[key].argmax(1)]),
            np.column_stack([affect, moved[key].mean(1)]),
        )

    def summary(self) -> dict[str, Any] | None:
        """Means, and the commonest change; None where there is nothing to compare."""
        if not len(self.said):
            return None
        before, after = self.said.T
        changes = dict(zip(CHANGES, self.changes.mean(0).tolist(), strict=True))
        same = float((before == after).mean())
        return {"n": len(before), "same": same, **changes, "mostly": self._commonest()}

    def _commonest(self) -> str:
        """The change that is met most often, with its share of all; empty for none."""
        changed = Counter((a, b) for a, b in self.said.tolist() if a != b)
        for (before, after), count in changed.most_common(1):
            words = f"{EXPRESSIONS[before]} to {EXPRESSIONS[after]}"
            return f"{words} {count / len(self.said):.0%}"
        return ""

    @staticmethod
    def joined(parts: Iterable[Compared]) -> Compared:
        """All of several together."""
        said, changes = zip(*((each.said, each.changes) for each in parts), strict=True)
        return Compared(np.concatenate(said), np.concatenate(changes))


def files_in(folder: Path) -> list[Path]:
    """The files of a folder, sorted."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    if not files:
        raise SystemExit(f"no files in {folder}")
    return files


def clips(folder: Path, model: Path) -> dict[str, Any]:
    """What the sound changes in each clip, and in all frames together."""
    hearing, deaf = Predictor(model), Predictor(model, options=Options(sound=False))
    found = {}
    for path in files_in(folder):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PartialMediaWarning)
            heard, faces = hearing.predict(path), deaf.predict(path)
        found[path.name] = both_there(heard, faces)
    together = Compared.joined(found.values()).summary()
    return {"all": together, **{name: each.summary() for name, each in found.items()}}


def both_there(heard: pd.DataFrame, faces: pd.DataFrame) -> Compared:
    """Compare two tables of one file where there is both a face and a voice."""
    both = (heard["face_seen"] & heard["voice_heard"]).to_numpy()
    tasks = (EXPRESSION, VALENCE_AROUSAL)
    with_sound, without = (
        {
            task.key: table.loc[both, list(task.columns)].to_numpy(float)
            for task in tasks
            if set(task.columns) <= set(table.columns)
        }
        for table in (heard, faces)
    )
    return Compared.of(with_sound, without)


def crops_of(folder: Path) -> NDArray[np.uint8]:
    """The face of each picture of the London Set, (N, 112, 112, 3)."""
    faces = FaceStream()
    found = [faces.read_picture(read_image(each)).crops for each in sorted(folder.glob("*_*.jpg"))]
    if not any(len(each) for each in found):
        raise SystemExit(f"no faces in {folder}")
    return np.stack([each[0] for each in found if len(each)])


def sounds(clip_folder: Path, ravdess: Path, rate: int) -> Iterator[tuple[str, list[Any]]]:
    """Kinds of voices, and the sounds of each in chunks."""
    files = files_in(clip_folder)
    yield "clips", [sound_chunks(path, rate) for path in files]
    for code, emotion in RAVDESS_EMOTIONS.items():
        wanted = f"*-*-{code}-*-*-*-*"
        recordings = [
            path
            for actor in sorted(Ravdess.validation_speakers)
            for path in sorted((ravdess / actor).glob(wanted))
        ]
        if recordings:
            yield emotion, [sound_chunks(path, rate) for path in recordings]
    yield "made noise", [iter([each]) for each in made_noise(rate)]


def made_noise(rate: int) -> list[FloatArray]:
    """White noise, noise that falls off with frequency, and the hum of mains."""
    random, count = np.random.default_rng(SEED), NOISE_S * rate
    white = random.normal(0, 1, count)
    power = np.sqrt(1 / np.maximum(np.arange(count // 2 + 1), 20))
    pink = np.fft.irfft(np.fft.rfft(white) * power, count)
    time_s = np.arange(count) / rate
    hum = sum(np.sin(2 * np.pi * 50 * k * time_s) / k for k in range(1, 8))
    return [(0.05 * each / each.std()).astype(np.float32) for each in (white, pink, hum)]


def drawn(every: Iterable[Voices], random: np.random.Generator) -> Voices:
    """Some rows of several recordings."""
    rows, heard = (np.concatenate(parts) for parts in zip(*every, strict=True))
    some = random.permutation(len(rows))[:ROWS]
    return rows[some], heard[some]


def stills(model: InMemoryModel, crops: NDArray[np.uint8], voices: Voices) -> dict[str, Any]:
    """What voices change of what is said of faces, every face with every voice."""
    rows, heard = voices
    found: dict[str, Any] = {"heard": float(heard.mean())}
    for name, held in (("held", True), ("one frame", False)):
        face, seen = model.stills(crops, held)
        alone = model.fusion(face, seen, *model.silence(len(crops)))
        parts = [Compared.of(with_voice(model, face, seen, row), alone) for row in rows[heard]]
        found[name] = Compared.joined(parts).summary() if parts else None
    return found


def with_voice(
    model: InMemoryModel, face: FloatArray, seen: BoolArray, row: FloatArray
) -> Predictions:
    """Answers to faces that are all seen with one voice."""
    return model.fusion(face, seen, np.tile(row, (len(face), 1)), np.ones(len(face), np.bool_))


def evaluate(clip_folder: Path, london: Path, ravdess: Path, model: Path) -> dict[str, Any]:
    """Both measurements."""
    networks, crops = InMemoryModel(model), crops_of(london)
    random = np.random.default_rng(SEED)
    by_kind = {
        kind: stills(networks, crops, drawn([networks.voices(each) for each in every], random))
        for kind, every in sounds(clip_folder, ravdess, networks.rate)
    }
    return {"clips": clips(clip_folder, model), "faces": len(crops), "stills": by_kind}


def told(found: dict[str, Any]) -> Iterator[str]:
    """What `evaluate` found, as lines of text."""
    heading = f"{'n':>6} {'same':>6} {'valence':>8} {'arousal':>8} {'p':>6}  mostly"
    yield f"clips, frames with a face and a voice; mean change of\n{'':30} {heading}"
    for name, each in found["clips"].items():
        yield f"{name:30} {_line(each)}"
    yield f"target {TARGET}: {_met([found['clips']['all']])}"
    yield f"\n{found['faces']} stills with others' voices, where one is heard\n{'':30} {heading}"
    for kind, each in found["stills"].items():
        for name in ("held", "one frame"):
            yield f"{kind:12} {name:10} {each['heard']:4.0%}  {_line(each[name])}"
    ordinary = [found["stills"][kind] for kind in ORDINARY if kind in found["stills"]]
    summaries = [each[name] for each in ordinary for name in ("held", "one frame")]
    yield f"target {TARGET}, of {' and '.join(ORDINARY)}: {_met(summaries)}"


def _line(each: dict[str, Any] | None) -> str:
    if each is None:
        return "nothing heard"
    changes = f"{each['valence']:8.3f} {each['arousal']:8.3f} {each['p']:6.3f}"
    return f"{each['n']:6d} {each['same']:6.3f} {changes}  {each['mostly']}"


def _met(summaries: list[dict[str, Any] | None]) -> str:
    met = all(each is None or each["same"] >= TARGET for each in summaries)
    return "met" if met else "missed"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", type=Path)
    parser.add_argument("london", type=Path)
    parser.add_argument("ravdess", type=Path)
    parser.add_argument("--model", default=DEFAULT)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    try:
        found = evaluate(
            arguments.clips, arguments.london, arguments.ravdess, model_path(arguments.model)
        )
    except TriaffectError as error:
        raise SystemExit(str(error)) from error
    for line in told(found):
        print(line)
    if arguments.json is not None:
        write_json(arguments.json, {"model": arguments.model, **found})


if __name__ == "__main__":
    main()
