"""Bad pictures and bad sound: python benchmarks/check_robust.py FERPLUS RAVDESS [--model MODEL].

    python benchmarks/check_robust.py shared/data/ferplus shared/data/ravdess_speech

Faces of FER+'s ``PublicTest`` of which a majority says what they show, and recordings of RAVDESS's
test people, some of either drawn at random, as they are and with what `degraded` does to them.
Faces are degraded after they are found and cut out: most of these a detector would not find, and
asked is what the model says where one does. Sounds are written to a file and predicted as a
user's. The answer to a recording is the mean over the rows in which a voice is heard.

Printed for each kind: how many have no answer (NaN) and how many numbers lie out of their range
or do not add up; the mean confidence, which is the largest probability of an expression; and the
accuracy, where what is shown can still be right. Both with their difference to clean ones. A
model that knows what it cannot see is less confident there.
"""

from __future__ import annotations

import argparse
import tempfile
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from degradations import CLEAN, FACELESS, FACES, RATE, SOUNDS
from in_memory import DEFAULT, InMemoryModel, Predictions, model_path
from numpy.typing import NDArray
from score_ferplus import TEST, crops_of, majority, rows_of
from score_voices import recordings

from triaffect.corpora.base import open_corpus
from triaffect.corpora.ferplus import read_arrays
from triaffect.errors import TriaffectError
from triaffect.io.atomic import write_json
from triaffect.media.audio import read_sound
from triaffect.prediction.predictor import Predictor
from triaffect.tasks.expression import EXPRESSION
from triaffect.tasks.registry import TASKS
from triaffect.types import FloatArray

FACES_ASKED, SOUNDS_ASKED, SEED = 400, 60, 0
SLACK = 1e-4
"""By which a number may be off for rounding."""


@dataclass(frozen=True)
class Given:
    """Answers to some faces or recordings.

    Attributes:
        expression: Probabilities, NaN for no answer, shape (N, 8).
        wrong_numbers: Numbers of any task out of their range, and rows of expressions that do
            not add up to 1.
    """

    expression: NDArray[np.floating]
    wrong_numbers: int

    @staticmethod
    def of(answers: Predictions) -> Given:
        """From answers by task key, shape (N, K)."""
        return Given(answers[EXPRESSION.key], sum(map(wrong_numbers, answers, answers.values())))

    def summary(self, truth: NDArray[np.int64] | None) -> dict[str, Any]:
        """Counts and means; no accuracy where nothing can be right."""
        blank = np.isnan(self.expression).any(1)
        there = self.expression[~blank]
        confidence = float(there.max(1).mean()) if len(there) else None
        right = None
        if truth is not None:
            said = np.where(blank, -1, np.nan_to_num(self.expression).argmax(1))
            right = float((said == truth).mean())
        return {
            "n": len(blank),
            "blank": int(blank.sum()),
            "wrong_numbers": self.wrong_numbers,
            "confidence": confidence,
            "accuracy": right,
        }


def wrong_numbers(key: str, values: NDArray[np.floating]) -> int:
    """How many values (N, K) of a task lie outside its range; sums of a whole as well."""
    (task,) = (each for each in TASKS if each.key == key)
    there = values[~np.isnan(values).any(1)]
    low, high = task.display_range
    outside = int(((there < low - SLACK) | (there > high + SLACK)).sum())
    return outside + int(task.exclusive and (np.abs(there.sum(1) - 1) > SLACK).sum())


def faces_of(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Crops (N, 112, 112, 3) of some faces, and their classes (N,)."""
    arrays = read_arrays(path / "ferplus.npz" if path.is_dir() else path)
    columns = [str(each) for each in arrays.vote_columns]
    rows = rows_of(path, arrays, TEST)
    truth = majority(arrays.votes[rows].astype(np.int64), columns)
    some = _some(np.flatnonzero(truth >= 0), FACES_ASKED)
    return crops_of(arrays.images[rows[some]]), truth[some]


def _some(of: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    return np.sort(np.random.default_rng(SEED).permutation(of)[:count])


def faces(model: Path, crops: NDArray[np.uint8], truth: NDArray[np.int64]) -> dict[str, Any]:
    """What is said of faces (N, 112, 112, 3) as they are and degraded."""
    networks, found = InMemoryModel(model), {}
    for kind, spoil in FACES.items():
        random = np.random.default_rng(SEED)
        spoilt = np.stack([spoil(crop, random) for crop in crops])
        labels = None if kind in FACELESS else truth
        found[kind] = Given.of(networks.predict_faces(spoilt)).summary(labels)
    return found


def sounds_of(path: Path) -> tuple[list[FloatArray], NDArray[np.int64]]:
    """Some recordings, and their classes."""
    every = list(recordings(open_corpus(path), ()))
    some = [every[k] for k in _some(np.arange(len(every)), SOUNDS_ASKED)]
    classes = np.array([each.expression for each in some])
    return [read_sound(each.file, RATE) for each in some], classes


def sounds(model: Path, heard: list[FloatArray], truth: NDArray[np.int64]) -> dict[str, Any]:
    """What is said of recordings as they are and degraded."""
    predictor, found = Predictor(model), {}
    for kind, spoil in SOUNDS.items():
        random = np.random.default_rng(SEED)
        given = [said_of(predictor, spoil(sound, random)) for sound in heard]
        wrong = sum(each.wrong_numbers for each in given)
        expression = np.concatenate([each.expression for each in given])
        found[kind] = Given(expression, wrong).summary(truth)
    return found


def said_of(predictor: Predictor, sound: FloatArray) -> Given:
    """The answer to a recording: one row of means over rows in which a voice is heard."""
    with tempfile.TemporaryDirectory() as folder:
        table = predictor.predict(write_wave(Path(folder) / "sound.wav", sound))
    table = table[table["voice_heard"]]
    rows = {task.key: table[list(task.columns)].to_numpy(float) for task in predictor.tasks}
    given, width = Given.of(rows), EXPRESSION.width
    mean = given.expression.mean(0) if len(table) else np.full(width, np.nan)
    return Given(mean[None], given.wrong_numbers)


def write_wave(path: Path, sound: FloatArray) -> Path:
    """A WAV file of 16 bits."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, len(sound), "NONE", ""))
        file.writeframes(np.round(sound * 32767).astype("<i2").tobytes())
    return path


def told(what: str, found: dict[str, Any]) -> Iterator[str]:
    """A table, a line for each kind."""
    clean = found[CLEAN]
    heading = f"{clean['n']} {what}"
    yield f"{heading:20} {'NaN':>5} {'wrong':>5}   {'confidence':14}   accuracy"
    for kind, each in found.items():
        numbers = (_against(each[name], clean[name]) for name in ("confidence", "accuracy"))
        yield f"{kind:20} {each['blank']:5d} {each['wrong_numbers']:5d}   {'   '.join(numbers)}"
    spoilt = [each["confidence"] for kind, each in found.items() if kind != CLEAN]
    mean = np.mean([each for each in spoilt if each is not None])
    yield f"mean of degraded     {'':12}  {_against(float(mean), clean['confidence'])}"


def _against(value: float | None, clean: float | None) -> str:
    if value is None or clean is None:
        return f"{'-':14}"
    return f"{value:.3f} ({value - clean:+.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ferplus", type=Path)
    parser.add_argument("ravdess", type=Path)
    parser.add_argument("--model", default=DEFAULT)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    try:
        model = model_path(arguments.model)
        found = {
            "faces": faces(model, *faces_of(arguments.ferplus)),
            "recordings": sounds(model, *sounds_of(arguments.ravdess)),
        }
    except TriaffectError as error:
        raise SystemExit(str(error)) from error
    for what, each in found.items():
        print("\n".join(told(what, each)), end="\n\n")
    if arguments.json is not None:
        write_json(arguments.json, {"model": arguments.model, **found})


if __name__ == "__main__":
    main()
