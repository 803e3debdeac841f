"""Expressions of whole recordings scored: python benchmarks/score_voices.py CORPUS MODEL...

    python benchmarks/score_voices.py shared/data/ravdess_speech default
    python benchmarks/score_voices.py shared/data/emodb FOLD0 FOLD1 FOLD2 FOLD3

CORPUS is the folder of RAVDESS or EMO-DB. MODEL is a model folder with a voice and a fusing
network, "default" for the shipped one, or the run folder of a voice network, of which the last
stage's best weights answer. A run is asked about the people that its recipe kept for testing
(`data.test_people`), or else, like a model folder, about the corpus's own test people; ``--people``
names others. Recordings of several models are counted together, as folds of one system.

The answer to a recording is the expression of the largest mean probability over its rows, of a
model folder over those in which a voice is heard, as `triaffect predict` gives them. Calm is
neutral, and boredom is other. The mean recall (unweighted average recall) is over the classes
that the corpus has. Intervals resample recordings; with few people they are too narrow, so each
person's accuracy is given as well. The calibration is that of single rows, each with its
recording's label: mean probability of the likeliest expression, the share of rows where it is
right, and the expected calibration error in bins of 0.1.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from check_calibration import calibration_error, reliability
from class_scores import format_scores, scores
from numpy.typing import NDArray
from safetensors.numpy import load_file

from triaffect.corpora.acted_speech import EmoDb, Ravdess
from triaffect.corpora.base import Corpus
from triaffect.errors import TriaffectError
from triaffect.features.extractors.onnx import OnnxVoice
from triaffect.features.model_folder import load_model_folder
from triaffect.io.atomic import write_json
from triaffect.media.audio import sound_chunks
from triaffect.models.light_voice import LightVoiceSpec
from triaffect.prediction.predictor import Predictor, model_folder
from triaffect.tasks.expression import EXPRESSION
from triaffect.training.run_folder import RunFolder, read_recipe
from triaffect.types import Split

Answer = Callable[[Path], NDArray[np.floating]]
"""From a sound file to probabilities of the expressions, (rows, 8); no rows for no answer."""

Recording = tuple[Path, str, int]
"""File, person, class."""


def open_corpus(root: Path) -> Corpus:
    """The corpus in a folder."""
    for form in (Ravdess, EmoDb):
        if form.recognizes(root):
            return form(root)
    raise SystemExit(f"{root} is neither RAVDESS nor EMO-DB")


def recordings(corpus: Corpus, people: Iterable[str]) -> Iterator[Recording]:
    """The recordings of some people, or of the corpus's test people if none are named."""
    wanted = set(people)
    for source in corpus.sources():
        moments = corpus.moments(source)
        person, split = (
            moments.dictionary_column("person")[:][0],
            moments.dictionary_column("split")[:][0],
        )
        if person in wanted or (not wanted and split == Split.TEST):
            label = moments.targets(EXPRESSION.key, EXPRESSION.columns).values[0].argmax()
            if source.sound is not None:  # acted speech has nothing else
                yield source.sound, str(person), int(label)


def answer_of(model: str) -> tuple[Answer, tuple[str, ...]]:
    """What to ask about recordings, and the people that a run kept for testing."""
    path = None if model == "default" else Path(model)
    if path is not None and (path / "run.json").is_file():
        recipe = read_recipe(path)
        if isinstance(recipe.net, LightVoiceSpec):
            return _voice_run(path, list(recipe.stages)[-1]), recipe.data.test_people
    predictor = Predictor(model_folder(path))

    def answer(file: Path) -> NDArray[np.floating]:
        rows = predictor.predict(file)
        rows = rows[rows["voice_heard"]]
        columns = rows[list(EXPRESSION.columns)].to_numpy(float)
        return np.nan_to_num(columns)  # a class that the model leaves blank

    return answer, ()


def _voice_run(root: Path, stage: str) -> Answer:
    """The voice network that a run has trained, with its head."""
    voice = OnnxVoice(load_model_folder(RunFolder(root).model))
    weights = load_file(RunFolder(root).weights(stage, "best"))
    matrix = weights[f"heads.{EXPRESSION.key}.weight"].astype(np.float64)
    bias = weights[f"heads.{EXPRESSION.key}.bias"].astype(np.float64)

    def answer(file: Path) -> NDArray[np.floating]:
        rows = [each.values for each in voice.stream(sound_chunks(file, voice.spec.rate))]
        raw = np.concatenate(rows).astype(np.float64) @ matrix.T + bias
        odds = np.exp(raw - raw.max(1, keepdims=True))
        return np.asarray(odds / odds.sum(1, keepdims=True))

    return answer


def evaluate(corpus: Corpus, models: list[str], people: list[str]) -> dict[str, Any]:
    """Scores of all recordings together, and the accuracy of each person."""
    who, truth, said, rows, labels = [], [], [], [], []
    for model in models:
        answer, kept = answer_of(model)
        mine = [name for name in kept if name.startswith(f"{corpus.name}/")]
        for file, person, label in recordings(corpus, people or mine):
            who.append(person)
            truth.append(label)
            rows.append(answer(file))
            labels.append(np.full(len(rows[-1]), label))
            said.append(int(rows[-1].sum(0).argmax()))
    right = np.array(truth) == np.array(said)
    each = {name: float(right[np.array(who) == name].mean()) for name in sorted(set(who))}
    probabilities, label = np.concatenate(rows), np.concatenate(labels)
    calibration = {
        "confidence": float(probabilities.max(1).mean()),
        "accuracy": float((probabilities.argmax(1) == label).mean()),
        "error": calibration_error(reliability(probabilities, label)),
    }
    result = scores(np.array(truth), np.array(said))
    return {"corpus": corpus.name, **result, "people": each, "calibration": calibration}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("model", nargs="+")
    parser.add_argument("--people", action="append", default=[], metavar="NAME")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    try:
        found = evaluate(open_corpus(arguments.corpus), arguments.model, arguments.people)
    except TriaffectError as error:
        raise SystemExit(str(error)) from error
    print(f"{found['corpus']}: {found['n']} recordings of {len(found['people'])} people")
    print(format_scores(found))
    words = ", ".join(f"{name} {value:.3f}" for name, value in found["calibration"].items())
    print(f"calibration of single rows: {words}")
    print("accuracy by person: " + ", ".join(f"{k} {v:.3f}" for k, v in found["people"].items()))
    if arguments.json is not None:
        write_json(arguments.json, {"models": arguments.model, **found})


if __name__ == "__main__":
    main()
