"""The word for how far each output of a model holds on people, from the results of other scripts.

    python benchmarks/score_real_faces.py MODEL DATA --json real_faces.json
    python benchmarks/score_ferplus.py MODEL DATA/ferplus --json ferplus.json
    python benchmarks/score_voices.py DATA/ravdess_speech MODEL --json ravdess.json  # and others
    python benchmarks/validity.py real_faces.json ferplus.json validity.toml \
        --voices ravdess.json --voices emodb.json --voices baved.json
    python tools/describe_model.py MODEL validity.toml

An output is *shown* to hold from 0.7 on, *partly* from 0.45 on, else *not shown*, by

- *units*: the correlation with two programs on LFW's people left out. With one program, or two
  whose own correlation is below 0.3, it is *partly* at most: no one can tell which is right. AU23
  is *not shown*: no program has a pattern of it;
- *expressions*: F1 on FER+'s test pictures, and *partly* at most with fewer than 30 of a class.
  A voice without a face has a word of its own, by F1 over the recordings of ``--voices``;
- *valence*: concordance with OMI's ratings of happiness. Score a model on pictures that it has not
  learned from: give `score_real_faces.py` its folds. Where of voices the correlation with the means
  of expressions' names, weighted by recordings, is below 0.45, it is left blank without a face;
- *arousal*: of faces the correlation with OMI's ratings of alertness with happiness partialled out;
  *shown* from 0.45 on, *partly* from 0.3 on. Below that the output is left blank without a voice,
  and the word is that of voices, by the correlation with labels such as BAVED's levels, *partly* at
  most of fewer than 30 people.

``--ratings`` takes valence and arousal from another result, such as that of the folds; ``--voices``
are results of `score_voices.py`, without which nothing is said of voices.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triaffect.errors import TriaffectError
from triaffect.features.model_folder import OutputValidity
from triaffect.io.atomic import replace_file
from triaffect.tasks.expression import EXPRESSIONS

SHOWN, PARTLY = 0.7, 0.45
AROUSAL_SHOWN, AROUSAL_PARTLY = 0.45, 0.3
AGREEING = 0.3
"""Correlation from which on two programs count as agreeing."""

FEWEST = 30
"""Pictures of a class, or people whose voices have labels, that a word needs to be *shown*."""

Values = NDArray[np.floating]

WITHOUT_PATTERN = ("AU23",)
"""Units of which no program has a pattern on real faces."""

SOURCES = {
    "units": "programs' readings of real faces where they agree",
    "unit": "one program's readings of real faces",
    "pattern": "one program's readings, without a pattern on real faces",
    "expressions": "people's votes on pictures, actors' voices",
    "valence": "people's ratings, and votes",
    "arousal": "voices at levels of expression, ratings of alertness, and votes",
}


def word_of(value: float, shown: float = SHOWN, partly: float = PARTLY) -> str:
    """The word for a figure; a figure that is not there is not shown."""
    return "shown" if value >= shown else "partly" if value >= partly else "not shown"


def unit_validity(unit: str, scores: Mapping[str, Any]) -> dict[str, str]:
    """Judge a unit by its agreement with programs."""
    if unit in WITHOUT_PATTERN:
        evidence = "no program has a pattern of it on real faces"
        return {"holds": "not shown", "learned_from": SOURCES["pattern"], "evidence": evidence}
    word, r = word_of(scores["r"]), f"r {scores['r']:.2f} with"
    agreement = scores.get("agreement")
    if agreement is None:
        evidence = f"{r} one program on LFW people left out"
    else:
        evidence = f"{r} two programs on LFW people left out; they agree {agreement:.2f}"
    if word == "shown" and (agreement is None or agreement < AGREEING):
        word = "partly"
    source = SOURCES["unit" if agreement is None else "units"]
    return {"holds": word, "learned_from": source, "evidence": evidence}


def word_by_count(figure: float, count: int) -> str:
    """The word for a figure; *partly* at most if it rests on few."""
    return word_of(min(figure, SHOWN - 1e-9) if count < FEWEST else figure)


def class_validity(scores: Mapping[str, Any], confusion: Values, k: int) -> dict[str, str]:
    """Judge a class by its F1 on FER+'s test pictures, and on recordings if there are any.

    Args:
        scores: Of the pictures.
        confusion: Recordings by true and answered class, shape (8, 8); all 0 for none.
        k: Number of the class.
    """
    count = int(scores["support"])
    pictures = f"F1 {scores['f1']:.2f} on {count:,} FER+ test pictures"
    result = {"holds": word_by_count(scores["f1"], count), "learned_from": SOURCES["expressions"]}
    if not confusion.any():
        return result | {"evidence": pictures}
    both, spoken = confusion[k].sum() + confusion[:, k].sum(), int(confusion[k].sum())
    f1 = 2 * confusion[k, k] / both if both else 0.0
    evidence = f"faces: {pictures}; voices: F1 {f1:.2f} of {spoken:,} among {confusion.sum():,.0f}"
    own = word_by_count(f1, spoken)
    return result | {"evidence": evidence, "holds_without_face": own}


def mean_agreement(found: Sequence[Mapping[str, Any]]) -> float:
    """Mean of correlations in several corpora, weighted by their recordings."""
    return float(np.average([each["r"] for each in found], weights=[each["n"] for each in found]))


def valence_validity(
    ratings: Mapping[str, float], voices: Sequence[Mapping[str, Any]]
) -> dict[str, str]:
    """Judge valence of faces, and whether voices say it."""
    found = f"CCC {ratings['valence_ccc']:.2f}, r {ratings['valence_r']:.2f}"
    evidence = f"{found} with ratings of happiness (OMI)"
    result = {"holds": word_of(ratings["valence_ccc"]), "learned_from": SOURCES["valence"]}
    spoken = [each["valence"] for each in voices if "valence" in each]
    if not spoken:
        return result | {"evidence": evidence}
    r = mean_agreement(spoken)
    evidence = f"faces: {evidence}; voices: r {r:.2f} with the means of expressions' names"
    own = {"blank": "without face"} if r < PARTLY else {"holds_without_face": word_of(r)}
    return result | {"evidence": evidence} | own


def arousal_validity(
    ratings: Mapping[str, float], voices: Sequence[Mapping[str, Any]]
) -> dict[str, str]:
    """Judge arousal of faces, and where it does not hold that of voices with labels."""
    labeled = [each for each in voices if not each.get("arousal", {"derived": True})["derived"]]
    partial = ratings["arousal_partial"]
    faces = f"faces: r {partial:.2f} with alertness beyond happiness (OMI)"
    result = {"holds": word_of(partial, AROUSAL_SHOWN, AROUSAL_PARTLY), "evidence": faces}
    if result["holds"] == "not shown":
        result["blank"] = "without voice"
    if labeled:
        found = [each["arousal"] for each in labeled]
        r, people = mean_agreement(found), sum(each["people"] for each in found)
        result["holds" if "blank" in result else "holds_without_face"] = word_by_count(r, people)
        who = f"{', '.join(each['corpus'] for each in labeled)}, {people} people left out"
        result["evidence"] += f"; voices: r {r:.2f} with labels ({who})"
    return result | {"learned_from": SOURCES["arousal"]}


def judge(
    faces: Mapping[str, Any],
    ferplus: Mapping[str, Any],
    ratings: Mapping[str, float],
    voices: Sequence[Mapping[str, Any]] = (),
) -> dict[str, OutputValidity]:
    """Judge every output.

    Args:
        faces: Result of ``score_real_faces.py`` of the model.
        ferplus: Result of ``score_ferplus.py`` of the model.
        ratings: Valence and arousal of ``score_real_faces.py``.
        voices: Results of ``score_voices.py`` of the model, of one corpus each.

    Returns:
        By column of a prediction table.
    """
    confusion = np.zeros((len(EXPRESSIONS), len(EXPRESSIONS)))
    for each in voices:
        confusion += np.asarray(each.get("confusion", 0))
    words = {
        "valence": valence_validity(ratings, voices),
        "arousal": arousal_validity(ratings, voices),
    }
    for k, name in enumerate(EXPRESSIONS):
        words[f"p_{name}"] = class_validity(ferplus["classes"][name], confusion, k)
    words |= {unit: unit_validity(unit, each) for unit, each in faces["lfw"]["units"].items()}
    return {name: OutputValidity(**each) for name, each in words.items()}  # type: ignore[arg-type]


def write_toml(path: Path, outputs: Mapping[str, OutputValidity]) -> None:
    """Write the words as a file that people can read and change."""
    lines = ["# How far each output holds on people: written by benchmarks/validity.py."]
    for name, each in outputs.items():
        lines.append(f"\n[{name}]")
        for key, value in asdict(each).items():
            lines.append(f"{key} = {json.dumps(value, ensure_ascii=False)}")
    with replace_file(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", "utf-8")


def main() -> None:
    """Judge a model and print the words."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("faces", type=Path, help="result of score_real_faces.py")
    parser.add_argument("ferplus", type=Path, help="result of score_ferplus.py")
    parser.add_argument("output", type=Path, help="the .toml file")
    parser.add_argument("--ratings", type=Path, help="another result of score_real_faces.py")
    parser.add_argument("--voices", type=Path, action="append", default=[], metavar="JSON")
    arguments = parser.parse_args()
    faces, ferplus = (
        json.loads(path.read_text("utf-8")) for path in (arguments.faces, arguments.ferplus)
    )
    ratings = json.loads((arguments.ratings or arguments.faces).read_text("utf-8"))["ratings"]
    voices = [json.loads(path.read_text("utf-8")) for path in arguments.voices]
    outputs = judge(faces, ferplus, ratings, voices)
    write_toml(arguments.output, outputs)
    for name, each in outputs.items():
        print(f"{name:12} {each.describe()}")


if __name__ == "__main__":
    try:
        main()
    except (TriaffectError, OSError) as error:
        raise SystemExit(str(error)) from error
