"""Answers to whole recordings scored: python benchmarks/score_voices.py CORPUS MODEL...

    python benchmarks/score_voices.py shared/data/ravdess_speech default
    python benchmarks/score_voices.py shared/data/emodb FOLD0 FOLD1 FOLD2 FOLD3
    python benchmarks/score_voices.py VOICES/baved default --name baved --test-share 0.2

CORPUS is the folder of RAVDESS or EMO-DB, or one of recordings with a table of expressions or
arousal (``--name`` and ``--test-share`` as of ``triaffect extract``). MODEL is a model folder with
a voice and a fusing network, "default" for the shipped one, or the run folder of a voice network,
of which the last stage's best weights answer. A run is asked about the people that its recipe kept
for testing (`data.test_people`), or else, like a model folder, about the corpus's own test people;
``--people`` names others. Recordings of several models are counted together, as folds of one
system.

The answer to a recording is the expression of the largest mean probability over its rows, of a
model folder over those in which a voice is heard, as `triaffect predict` gives them. Calm is
neutral, and boredom is other. The mean recall (unweighted average recall) is over the classes
that the corpus has. Intervals resample recordings; with few people they are too narrow, so each
person's accuracy is given as well. The calibration is that of single rows, each with its
recording's label: mean probability of the likeliest expression, the share of rows where it is
right, and the expected calibration error in bins of 0.1.

Of a model folder valence and arousal are scored too, means over the same rows, also where the
model leaves them blank: their correlation with a recording's labels and, where it has an
expression and no such label, with the means that raters gave the expression's name (derived, see
``category_means.toml``). RAVDESS has each emotion but neutral at a normal and at a strong
intensity: in how many of these pairs, of one person, emotion, sentence and repetition, the strong
one has more arousal.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from check_calibration import calibration_error, reliability
from class_scores import format_scores, scores
from numpy.typing import NDArray
from safetensors.numpy import load_file

from triaffect.corpora.base import Corpus
from triaffect.corpora.soft_labels.corpus import open_with_labels
from triaffect.corpora.soft_labels.tables import read_mapping
from triaffect.errors import TriaffectError
from triaffect.features.extractors.onnx import OnnxVoice
from triaffect.features.model_folder import DESCRIPTION, load_model_folder
from triaffect.io.atomic import write_json
from triaffect.media.audio import sound_chunks
from triaffect.models.light_voice import LightVoiceSpec
from triaffect.prediction.predictor import Predictor, model_folder
from triaffect.tasks.expression import EXPRESSION, EXPRESSIONS
from triaffect.tasks.valence_arousal import VALENCE_AROUSAL
from triaffect.training.run_folder import RunFolder, read_recipe
from triaffect.types import Split

Values = NDArray[np.float64]
Answer = Callable[[Path], tuple[Values, Values]]
"""From a sound file to probabilities of the expressions, (rows, 8), and the valence and arousal of
the same rows, (rows, 2), or (0, 2) where nothing says them; no rows for no answer."""
NOT_SAID: Values = np.zeros((0, 2))


@dataclass(frozen=True)
class Recording:
    """A recording that is asked about.

    Attributes:
        file: Its sound.
        person: Who speaks.
        expression: Its class; -1 for none.
        valence_arousal: Its labels, or what its expression's name means; NaN for none, shape (2,).
        derived: Which of them are of the name, shape (2,).
    """

    file: Path
    person: str
    expression: int
    valence_arousal: Values
    derived: NDArray[np.bool_]


STRONG = re.compile(r"(\d\d-\d\d-\d\d)-02-(\d\d-\d\d-\d\d)")
"""A file of RAVDESS of strong intensity: what stands before and after that of the normal one."""


def means_of_names() -> Values:
    """Valence and arousal of the expressions' names, (8, 2), NaN where nothing is known."""
    means = read_mapping("category_means").expression_means
    return np.array([means.get(name, (np.nan, np.nan)) for name in EXPRESSIONS], np.float64)


def recordings(corpus: Corpus, people: Iterable[str]) -> Iterator[Recording]:
    """The recordings of some people, or of the corpus's test people if none are named."""
    wanted, means = set(people), means_of_names()
    for source in corpus.sources():
        moments = corpus.moments(source)
        person, split = (
            moments.dictionary_column("person")[:][0],
            moments.dictionary_column("split")[:][0],
        )
        if source.sound is None or not (person in wanted or (not wanted and split == Split.TEST)):
            continue
        classes, va = (
            moments.targets(task.key, task.columns) for task in (EXPRESSION, VALENCE_AROUSAL)
        )
        label = int(classes.values[0].argmax()) if classes.valid[0].all() else -1
        own = np.where(va.valid[0], va.values[0], np.nan)
        meant = means[label] if label >= 0 else np.full(2, np.nan)
        derived = np.isnan(own) & ~np.isnan(meant)
        labels = np.where(derived, meant, own)
        yield Recording(source.sound, str(person), label, labels, derived)


def answer_of(model: str) -> tuple[Answer, tuple[str, ...]]:
    """What to ask about recordings, and the people that a run kept for testing."""
    path = None if model == "default" else Path(model)
    if path is not None and (path / "run.json").is_file():
        recipe = read_recipe(path)
        if isinstance(recipe.net, LightVoiceSpec):
            return _voice_run(path, list(recipe.stages)[-1]), recipe.data.test_people
    with tempfile.TemporaryDirectory() as folder:  # blank is what these scores decide
        copy = Path(shutil.copytree(model_folder(path), Path(folder) / "model"))
        manifest = json.loads((copy / DESCRIPTION).read_text("utf-8"))
        write_json(copy / DESCRIPTION, manifest | {"outputs": {}})
        predictor = Predictor(copy)

    tasks = EXPRESSION, VALENCE_AROUSAL

    def answer(file: Path) -> tuple[Values, Values]:
        rows = predictor.predict(file)
        rows = rows[rows["voice_heard"]]
        classes, va = (rows[list(task.columns)].to_numpy(float) for task in tasks)
        return np.nan_to_num(classes), va

    return answer, ()


def _voice_run(root: Path, stage: str) -> Answer:
    """The voice network that a run has trained, with its head."""
    voice = OnnxVoice(load_model_folder(RunFolder(root).model))
    weights = load_file(RunFolder(root).weights(stage, "best"))
    matrix = weights[f"heads.{EXPRESSION.key}.weight"].astype(np.float64)
    bias = weights[f"heads.{EXPRESSION.key}.bias"].astype(np.float64)

    def answer(file: Path) -> tuple[Values, Values]:
        rows = [each.values for each in voice.stream(sound_chunks(file, voice.spec.rate))]
        raw = np.concatenate(rows).astype(np.float64) @ matrix.T + bias
        odds = np.exp(raw - raw.max(1, keepdims=True))
        return np.asarray(odds / odds.sum(1, keepdims=True)), NOT_SAID

    return answer


def strong_is_higher(arousal: dict[tuple[int, str], float]) -> list[bool]:
    """Whether the strong one of each pair has more, by model and file; NaN is no answer."""
    pairs = []
    for (model, name), strong in arousal.items():
        if match := STRONG.fullmatch(name):
            normal = arousal.get((model, f"{match[1]}-01-{match[2]}"), np.nan)
            pairs.append((strong, normal))
    return [strong > normal for strong, normal in pairs if not np.isnan(strong + normal)]


def evaluate(corpus: Corpus, models: list[str], people: list[str]) -> dict[str, Any]:
    """Scores of all recordings together, and the accuracy of each person."""
    asked, rows, said = list[Recording](), list[Values](), list[Values]()
    of_model = list[int]()
    for number, model in enumerate(models):
        answer, kept = answer_of(model)
        mine = [name for name in kept if name.startswith(f"{corpus.name}/")]
        for each in recordings(corpus, people or mine):
            probabilities, va = answer(each.file)
            asked.append(each)
            of_model.append(number)
            rows.append(probabilities)
            said.append(va.mean(0) if len(va) else np.full(2, np.nan))
    if not asked:
        raise SystemExit(f"{corpus.name}: no recordings of test people")
    speakers = len({each.person for each in asked})
    result: dict[str, Any] = {"corpus": corpus.name, "recordings": len(asked), "speakers": speakers}
    truth = np.array([each.expression for each in asked])
    if has_class := np.flatnonzero(truth >= 0).tolist():
        answers = np.array([rows[k].sum(0).argmax() for k in has_class])
        right = truth[has_class] == answers
        who = np.array([asked[k].person for k in has_class])
        probabilities = np.concatenate([rows[k] for k in has_class])
        label = np.repeat(truth[has_class], [len(rows[k]) for k in has_class])
        result |= scores(truth[has_class], answers)
        result["people"] = {name: float(right[who == name].mean()) for name in sorted(set(who))}
        result["calibration"] = {
            "confidence": float(probabilities.max(1).mean()),
            "accuracy": float((probabilities.argmax(1) == label).mean()),
            "error": calibration_error(reliability(probabilities, label)),
        }
    labels, answers_va = np.array([each.valence_arousal for each in asked]), np.array(said)
    for k, name in enumerate(VALENCE_AROUSAL.columns):
        there = ~(np.isnan(labels[:, k]) | np.isnan(answers_va[:, k]))
        if there.sum() > 2 and np.ptp(labels[there, k]):
            r = float(np.corrcoef(labels[there, k], answers_va[there, k])[0, 1])
            derived = any(each.derived[k] for each in asked)
            speakers = len({asked[i].person for i in np.flatnonzero(there)})
            own = {"r": r, "n": int(there.sum()), "people": speakers, "derived": derived}
            result[name] = own
    names = [(k, each.file.stem) for k, each in zip(of_model, asked, strict=True)]
    arousal = answers_va[:, VALENCE_AROUSAL.columns.index("arousal")].tolist()
    if higher := strong_is_higher(dict(zip(names, arousal, strict=True))):
        result["intensity"] = {"strong_higher": float(np.mean(higher)), "pairs": len(higher)}
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("model", nargs="+")
    parser.add_argument("--people", action="append", default=[], metavar="NAME")
    parser.add_argument("--name", help="of a corpus with a table of labels")
    parser.add_argument("--test-share", type=float, default=0.0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    try:
        share = arguments.test_share
        corpus = open_with_labels(arguments.corpus, (), name=arguments.name, test_share=share)
        found = evaluate(corpus, arguments.model, arguments.people)
    except TriaffectError as error:
        raise SystemExit(str(error)) from error
    print(f"{found['corpus']}: {found['recordings']} recordings of {found['speakers']} people")
    if "people" in found:
        print(format_scores(found))
        words = ", ".join(f"{name} {value:.3f}" for name, value in found["calibration"].items())
        print(f"calibration of single rows: {words}")
        shares = ", ".join(f"{name} {value:.3f}" for name, value in found["people"].items())
        print(f"accuracy by person: {shares}")
    for name in VALENCE_AROUSAL.columns:
        if name in found:
            own = found[name]
            what = "the means of expressions' names" if own["derived"] else "its labels"
            print(f"{name}: r {own['r']:.3f} with {what}, {own['n']} recordings")
    if "intensity" in found:
        share, pairs = found["intensity"]["strong_higher"], found["intensity"]["pairs"]
        print(f"arousal: of {pairs} pairs the strong one is higher in {share:.3f}")
    if arguments.json is not None:
        write_json(arguments.json, {"models": arguments.model, **found})


if __name__ == "__main__":
    main()
