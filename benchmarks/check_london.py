"""Posed faces of real people read: python benchmarks/check_london.py LONDON.

    python benchmarks/check_london.py shared/data/london --json london.json

LONDON is a folder of the Face Research Lab London Set: ``NNN_neutral.jpg``, ``NNN_smiling.jpg``
and ``people.csv`` with what people said of their age, gender and origin. No model learns from it.
Every picture passes through the predictor as a user's would; one in which no face is found
counts as wrong.

An expression is right if, of all eight, happiness is said of a smiling picture and neutral of
the other. A smile is told right if happiness is likelier than neutral in the smiling picture,
and neutral in the other. Intervals of shares are Wilson's, with a person (both pictures)
counted once: a little wide, and of some width even where all is right. Those of areas resample
people.

**Groups are small** (most origins have two to five people): their intervals overlap whatever the
model does, and a difference between them proves little. They can only show a great one.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from in_memory import DEFAULT, model_path
from numpy.typing import NDArray

from triaffect.errors import TriaffectError
from triaffect.io.atomic import write_json
from triaffect.prediction.predictor import Predictor

MEANT = {"neutral": "neutral", "smiling": "happiness"}
AREAS = ("AU12", "AU6", "p_happiness", "valence")
NO_FACE, NOT_TOLD = "no face", "not told"
GROUPS = ("gender", "ethnicity", "age")
AGES = {"18 to 24": 24, "25 to 29": 29}
"""Last year of each band but the last; all are adults."""
SCORES = ("expression", "smile")
RESAMPLES, SEED, Z = 2000, 0, 1.96


def read_people(path: Path) -> dict[str, dict[str, str]]:
    """Gender, ethnicity and age band of each person, as the people told them."""
    table = pd.read_csv(path, dtype=str).fillna(NOT_TOLD)
    columns = table["face_gender"], table["face_eth"], table["face_age"].map(age_band)
    rows = zip(*columns, strict=True)
    return {
        name: dict(zip(GROUPS, row, strict=True))
        for name, row in zip(table["face_id"], rows, strict=True)
    }


def age_band(age: str) -> str:
    """The band of an age in years."""
    if not age.isdecimal():
        return NOT_TOLD
    return next((band for band, last in AGES.items() if int(age) <= last), "30 and over")


def look(folder: Path, predictor: Predictor) -> pd.DataFrame:
    """A row for each picture: person, kind, what was said, and the outputs; NaN without a face."""
    rows = []
    for smiling in sorted(folder.glob("*_smiling.jpg")):
        person = smiling.name.partition("_")[0]
        for kind in MEANT:
            table = predictor.predict(folder / f"{person}_{kind}.jpg")
            surest = table.sort_values("detection", ascending=False).iloc[0]
            said = surest["expression"] if surest["face_seen"] else NO_FACE
            outputs = {name: float(surest[name]) for name in ("p_neutral", *AREAS)}
            rows.append({"person": person, "kind": kind, "said": said, **outputs})
    if not rows:
        raise SystemExit(f"no NNN_smiling.jpg in {folder}")
    return pd.DataFrame(rows)


def judged(table: pd.DataFrame) -> pd.DataFrame:
    """The table with whether the expression, and whether the smile, is right."""
    smiling = table["kind"] == "smiling"
    lean = table["p_happiness"] - table["p_neutral"]
    return table.assign(
        expression=table["said"] == table["kind"].map(MEANT),
        smile=(lean > 0) & smiling | (lean < 0) & ~smiling,
    )


def share(right: pd.Series, people: int) -> dict[str, Any]:
    """Share of pictures that are right, with Wilson's interval over so many people."""
    value, spread = float(right.mean()), Z * Z / people
    middle = (value + spread / 2) / (1 + spread)
    half = Z * np.sqrt(value * (1 - value) / people + spread / people / 4) / (1 + spread)
    low, high = np.clip([middle - half, middle + half], 0, 1)
    return {"value": value, "interval": [float(low), float(high)]}


def shares(table: pd.DataFrame) -> dict[str, Any]:
    """Both shares over some people's pictures."""
    people = table["person"].nunique()
    return {"people": people, **{name: share(table[name], people) for name in SCORES}}


def area(smiling: NDArray[np.floating], neutral: NDArray[np.floating]) -> dict[str, Any]:
    """Area under the ROC curve with its interval over people, and pairs in the right order.

    Args:
        smiling: A value for each person, shape (N,); NaN (no face) is the lowest there is.
        neutral: The same; NaN is the highest.
    """
    high, low = np.nan_to_num(smiling, nan=-np.inf), np.nan_to_num(neutral, nan=np.inf)
    won = (high[:, None] > low).astype(float) + 0.5 * (high[:, None] == low)
    n = len(won)
    drawn = np.random.default_rng(SEED).multinomial(n, np.full(n, 1 / n), RESAMPLES)
    values = np.einsum("ri,ij,rj->r", drawn, won, drawn, optimize=True) / n**2
    return {
        "value": float(won.mean()),
        "interval": [float(each) for each in np.quantile(values, [0.025, 0.975])],
        "pairs": int((high > low).sum()),
    }


def evaluate(table: pd.DataFrame, people: dict[str, dict[str, str]]) -> dict[str, Any]:
    """Everything there is to say of what was said of the pictures."""
    table = judged(table)
    sides = {kind: table[table["kind"] == kind].sort_values("person") for kind in MEANT}
    return {
        "pictures": len(table),
        "faces": int((table["said"] != NO_FACE).sum()),
        "all": shares(table),
        "kinds": {kind: shares(side) for kind, side in sides.items()},
        "said": {kind: side["said"].value_counts().to_dict() for kind, side in sides.items()},
        "areas": {
            name: area(sides["smiling"][name].to_numpy(), sides["neutral"][name].to_numpy())
            for name in AREAS
        },
        "groups": {group: dict(by_group(table, people, group)) for group in GROUPS},
    }


def by_group(
    table: pd.DataFrame, people: dict[str, dict[str, str]], group: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The shares of each group of people."""
    unknown = dict.fromkeys(GROUPS, NOT_TOLD)
    belongs = table["person"].map(lambda name: people.get(name, unknown)[group])
    for name, mine in table.groupby(belongs):
        yield str(name), shares(mine)


def told(found: dict[str, Any]) -> Iterator[str]:
    """What `evaluate` found, as lines of text."""
    people = found["all"]["people"]
    yield f"{people} people, {found['pictures']} pictures, a face found in {found['faces']}"
    yield f"{'':24} {'people':>6}   {'expression, of eight':22}   smile or neutral"
    yield _line("all", found["all"])
    for kind, each in found["kinds"].items():
        yield _line(f"  {kind}", each)
    for group, parts in found["groups"].items():
        yield f"by {group}"
        for name, each in parts.items():
            yield _line(f"  {name}", each)
    yield "groups are small: only a great difference between them would mean anything"
    for kind, said in found["said"].items():
        yield f"said of {kind}: " + ", ".join(f"{name} {n}" for name, n in said.items())
    for name, each in found["areas"].items():
        yield f"{name:12} area {_number(each)}  greater in {each['pairs']} of {people} pairs"


def _line(name: str, each: dict[str, Any]) -> str:
    return f"{name:24} {each['people']:6d}   " + "   ".join(_number(each[s]) for s in SCORES)


def _number(each: dict[str, Any]) -> str:
    low, high = each["interval"]
    return f"{each['value']:.3f} ({low:.3f} to {high:.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("london", type=Path)
    parser.add_argument("--model", default=DEFAULT)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    try:
        table = look(arguments.london, Predictor(model_path(arguments.model)))
    except TriaffectError as error:
        raise SystemExit(str(error)) from error
    found = evaluate(table, read_people(arguments.london / "people.csv"))
    for line in told(found):
        print(line)
    if arguments.json is not None:
        write_json(arguments.json, {"model": arguments.model, **found})


if __name__ == "__main__":
    main()
