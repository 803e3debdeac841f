"""Action units, valence and arousal read from real faces: what stands behind them.

    python benchmarks/score_real_faces.py default DATA --json real_faces.json

DATA holds ``faces/lfw``, ``faces/utkface``, ``faces/omi`` and ``teachers``, as
`docs/how-to/labels-of-other-programs.md` describes such tables. Every picture passes through the
predictor as a user's would; where several faces are found, the largest counts.

- *Units*: on the test people of LFW (a fifth, chosen by their names as ``extract --name lfw
  --test-share 0.2`` chooses them) the correlation of the model's logit with the mean of the
  z-scores of OpenFace's regressor and MediaPipe's coefficients; AU23 and AU24 have one of them.
  No one has coded these pictures: it is agreement with programs, not with people. How far the two
  agree with each other stands beside it: with programs that do not agree no one can.
- *Neutral faces*: the share of those of the same people whom a student labeled neutral in which
  a unit is present, and the quartiles of their valence: where zero lies.
- *Valence, arousal*: on OMI's rated faces the correlation and concordance of valence with the mean
  rating of happiness, and of arousal with that of alertness, as such and with happiness partialled
  out of both. A model that learned from these faces must be scored on folds: give several models
  and ``--folds``, a folder of text files with the pictures of each.
- *Groups*: on the test faces of UTKFace the units' mean correlation by age, gender and race, as
  that set has them; a group more than 0.1 from that of all is marked.

Intervals are 95 % over people, 500 resamples, seed 0.
"""

from __future__ import annotations

import argparse
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from fit_label_mappings import BLENDSHAPES, OPENFACE
from numpy.typing import NDArray

import triaffect
from triaffect.errors import TriaffectError
from triaffect.io.atomic import write_json
from triaffect.tasks.action_units import ACTION_UNITS

RESAMPLES, SEED = 500, 0
TEST_SHARE = {"lfw": 0.2, "utkface": 0.1}
NINE = ("AU1", "AU2", "AU4", "AU6", "AU7", "AU10", "AU12", "AU25", "AU26")
AGES = (0, 13, 20, 35, 50, 65, 200)
RACES = ("white", "black", "Asian", "Indian", "other")
FAR = 0.1
"""How far a group's mean correlation may be from that of all."""
Values = NDArray[np.float64]


def is_test(person: str, share: float) -> bool:
    """Whether extraction puts a person into the test split."""
    digest = blake2b(person.encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64 < share


def predict(model: triaffect.Predictor, folder: Path, clips: list[str]) -> pd.DataFrame:
    """One row a picture by its name: that of the largest face, or without values."""
    table = model.predict([folder / clip for clip in clips])
    table = table.assign(size=(table["box_w"] * table["box_h"]).fillna(0))
    table["clip"] = [Path(clip).name for clip in table["clip"]]
    return table.sort_values("size").groupby("clip").last().reindex(clips)


def teachers_scores(data: Path, name: str, clips: list[str]) -> dict[str, list[pd.Series]]:
    """z-scores of the programs that read each unit; NaN for a picture that they lack."""
    columns: dict[str, list[pd.Series]] = {}
    for program, mapping in (("openface", OPENFACE), ("blendshapes", BLENDSHAPES)):
        table = pd.read_csv(data / "teachers" / f"{name}.{program}.csv", index_col="clip")
        table = table.reindex(clips)
        for unit, sources in mapping.items():
            value = table[list(sources)].mean(axis=1)
            columns.setdefault(unit, []).append((value - value.mean()) / value.std())
    return columns


def teachers_mean(scores: dict[str, list[pd.Series]]) -> pd.DataFrame:
    """Mean z-score of the programs for each unit."""
    return pd.DataFrame({unit: sum(parts) / len(parts) for unit, parts in scores.items()})


def logits(table: pd.DataFrame, unit: str) -> Values:
    """The model's logit of a unit."""
    p = table[unit].to_numpy(float).clip(1e-6, 1 - 1e-6)
    return np.asarray(np.log(p / (1 - p)))


def correlation(x: Values, y: Values) -> float:
    """Pearson's correlation of what both have."""
    there = ~(np.isnan(x) | np.isnan(y))
    return float(np.corrcoef(x[there], y[there])[0, 1]) if there.sum() > 2 else float("nan")


def concordance(x: Values, y: Values) -> float:
    """Lin's concordance correlation of what both have."""
    there = ~(np.isnan(x) | np.isnan(y))
    x, y = x[there], y[there]
    if not len(x):
        return float("nan")
    covariance = ((x - x.mean()) * (y - y.mean())).mean()
    return float(2 * covariance / (x.var() + y.var() + (x.mean() - y.mean()) ** 2))


def partial(x: Values, y: Values, z: Values) -> float:
    """Correlation of x and y with z partialled out of both; NaN of an output that is blank."""
    there = ~(np.isnan(x) | np.isnan(y) | np.isnan(z))
    if not there.any():
        return float("nan")
    x, y, z = x[there], y[there], z[there]
    left = [values - np.polyval(np.polyfit(z, values, 1), z) for values in (x, y)]
    return correlation(*left)


def interval(people: NDArray[np.str_], score: Any) -> tuple[float, float]:  # noqa: ANN401
    """95 % of a score of rows when people are drawn again."""
    names, number = np.unique(people, return_inverse=True)
    rows = [np.flatnonzero(number == k) for k in range(len(names))]
    rng = np.random.default_rng(SEED)
    drawn = [
        score(np.concatenate([rows[k] for k in rng.integers(0, len(rows), len(rows))]))
        for _ in range(RESAMPLES)
    ]
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return float(low), float(high)


def score_units(model: triaffect.Predictor, data: Path) -> dict[str, Any]:
    """Agreement with the programs on LFW's test people, and presence on their neutral faces."""
    labels = pd.read_csv(data / "faces" / "lfw" / "labels.csv")
    people = labels["person"].to_numpy(str)
    labels = labels[[is_test(person, TEST_SHARE["lfw"]) for person in people]]
    clips, people = labels["clip"].tolist(), labels["person"].to_numpy(str)
    table = predict(model, data / "faces" / "lfw", clips)
    programs = teachers_scores(data, "lfw", clips)
    truth = teachers_mean(programs)
    neutral = (labels["expression"] == "neutral").to_numpy()
    present = model.thresholds
    units: dict[str, Any] = {}
    for unit in ACTION_UNITS.columns:
        x, y = logits(table, unit), truth[unit].to_numpy()
        r = correlation(x, y)
        low, high = interval(people, lambda rows, x=x, y=y: correlation(x[rows], y[rows]))
        on = table[unit].to_numpy() >= present.get(unit, 0.5)
        calm = float(on[neutral].mean())
        units[unit] = {"r": r, "low": low, "high": high, "on_neutral": calm}
        units[unit]["programs"], agree = len(programs[unit]), "one program"
        if len(programs[unit]) > 1:
            agreement = correlation(*(each.to_numpy() for each in programs[unit]))
            units[unit]["agreement"] = agreement
            agree = f"programs agree {agreement:.3f}"
        print(f"{unit:5} r {r:.3f} ({low:.3f} to {high:.3f})  on neutral {calm:.3f}  {agree}")
    mean = float(np.mean([units[unit]["r"] for unit in NINE]))
    print(
        f"mean of {len(NINE)} units {mean:.3f}; {len(clips)} pictures of {len(set(people))} people"
    )
    quartiles = np.nanpercentile(table["valence"].to_numpy(float)[neutral], [25, 50, 75]).tolist()
    low, middle, high = quartiles
    print(
        f"valence of {neutral.sum()} neutral faces: median {middle:.3f} ({low:.3f} to {high:.3f})"
    )
    found = {"units": units, "mean": mean, "pictures": len(clips)}
    return found | {"valence_of_neutral": quartiles}


def score_groups(model: triaffect.Predictor, data: Path) -> dict[str, dict[str, float]]:
    """Mean correlation of the nine units with the programs in groups of UTKFace's test faces."""
    faces = pd.read_csv(data / "faces" / "utkface" / "faces.csv")
    chosen = [is_test(f"utkface/{clip}", TEST_SHARE["utkface"]) for clip in faces["clip"]]
    faces = faces[chosen].reset_index(drop=True)
    clips = faces["clip"].tolist()
    table = predict(model, data / "faces" / "utkface", clips)
    truth = teachers_mean(teachers_scores(data, "utkface", clips))
    bands = pd.cut(faces["age"], AGES, right=False).astype(str)
    groups = {"all": np.ones(len(faces), bool)}
    groups |= {f"age {band}": (bands == band).to_numpy() for band in sorted(set(bands))}
    groups |= {name: (faces["gender"] == k).to_numpy() for k, name in enumerate(("men", "women"))}
    groups |= {name: (faces["race"] == k).to_numpy() for k, name in enumerate(RACES)}
    scores: dict[str, dict[str, float]] = {}
    for name, rows in groups.items():
        each = [correlation(logits(table, u)[rows], truth[u].to_numpy()[rows]) for u in NINE]
        scores[name] = {"n": int(rows.sum()), "r": float(np.mean(each))}
        scores[name]["from_mean"] = scores[name]["r"] - scores["all"]["r"]
        is_far = abs(scores[name]["from_mean"]) > FAR
        mark = f"  more than {FAR:g} from the mean" if is_far else ""
        print(f"{name:16} n {scores[name]['n']:5}  mean r {scores[name]['r']:.3f}{mark}")
    return scores


def score_ratings(
    models: list[triaffect.Predictor], folds: Path | None, data: Path
) -> dict[str, float]:
    """Valence and arousal against OMI's ratings, each picture by the model that left it out."""
    ratings = pd.read_csv(data / "faces" / "omi" / "ratings.csv", index_col="clip")
    if folds is None:
        parts = [ratings.index.tolist()]
    else:
        parts = [path.read_text().split() for path in sorted(folds.glob("*.txt"))]
    tables = [
        predict(model, data / "faces" / "omi", clips)
        for model, clips in zip(models, parts, strict=True)
    ]
    table = pd.concat(tables)
    ratings = ratings.loc[table.index]
    happy, alert = ((ratings[name].to_numpy() - 50) / 50 for name in ("happy", "alert"))
    valence, arousal = table["valence"].to_numpy(float), table["arousal"].to_numpy(float)
    result = {
        "valence_r": correlation(valence, happy),
        "valence_ccc": concordance(valence, happy),
        "arousal_r": correlation(arousal, alert),
        "arousal_partial": partial(arousal, alert, happy),
        "pictures": float(len(table)),
    }
    print(", ".join(f"{name} {value:.3f}" for name, value in result.items()))
    return result


def main() -> None:
    """Score a model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="+", help="model folder or run, or default")
    parser.add_argument("data", type=Path)
    parser.add_argument("--folds", type=Path, help="text files with the pictures of each model")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    names = [None if name == "default" else name for name in given.model]
    models = [triaffect.load(name) if name else triaffect.load() for name in names]
    scores: dict[str, Any] = {"ratings": score_ratings(models, given.folds, given.data)}
    if len(models) == 1:
        scores |= {"lfw": score_units(models[0], given.data)}
        scores |= {"groups": score_groups(models[0], given.data)}
    if given.json:
        write_json(given.json, scores)


if __name__ == "__main__":
    try:
        main()
    except (TriaffectError, OSError) as error:
        raise SystemExit(str(error)) from error
