"""Voice networks scored by corpus, side by side: score_voice_corpora.py STORE MODEL...

    python benchmarks/score_voice_corpora.py SPECTRA default VOICE --json voices.json

STORE holds log-mel spectra (``triaffect extract --voice logmel64``) of one or more corpora
with their labels and splits. MODEL is "default" for the shipped voice network, the run folder of
one, or its file of weights. Every recording of the test split is answered by the mean over the
moments that it is labeled at (each half second of its middle half): the likeliest expression of
all eight, also in corpora that have fewer, and arousal.

A corpus's score is its mean recall over the classes that it has or, where it has arousal and no
expressions, the correlation with arousal; "among its own" is the mean recall where no other class
than the corpus's may be answered. Intervals are 95 % over people and their recordings,
2,000 resamples, seed 0; with few people they are too narrow. ``--all CORPUS`` scores everybody of
a corpus: of one that a network did not learn from. ``--only CORPUS`` scores that one alone.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open

from triaffect.datasets.spectra import LogmelSamples
from triaffect.errors import TriaffectError
from triaffect.features.store import FeatureStore
from triaffect.io.atomic import write_json
from triaffect.models.base import load_weights
from triaffect.models.light_voice import LightVoice
from triaffect.prediction.predictor import model_folder
from triaffect.tasks.expression import EXPRESSION, EXPRESSIONS
from triaffect.tasks.registry import resolve_tasks
from triaffect.tasks.valence_arousal import VALENCE_AROUSAL
from triaffect.training.run_folder import RunFolder, read_recipe
from triaffect.training.scoring import predict_rows
from triaffect.types import IntArray, Split

RESAMPLES, SEED = 2000, 0
AROUSAL = VALENCE_AROUSAL.columns.index("arousal")
WIDTHS, SPAN_S = (24, 48, 96, 160), 3.0
"""Of the shipped network."""
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Recordings:
    """Whole recordings of one corpus, N of them.

    Attributes:
        rows: Rows of the samples, one a moment.
        of: Recording of each of these rows, from 0.
        person: Number of each recording's person, from 0, shape (N,).
        expression: Its class; -1 for none, shape (N,).
        arousal: Its arousal; NaN for none, shape (N,).
    """

    rows: IntArray
    of: IntArray
    person: IntArray
    expression: IntArray
    arousal: Values


def open_network(model: str) -> torch.nn.Module:
    """A voice network with its heads, in evaluation mode."""
    path = model_folder(None) / "voice.safetensors" if model == "default" else Path(model)
    sizes: dict[str, Any] = {"widths": WIDTHS}
    if (path / "run.json").is_file():
        recipe = read_recipe(path)
        sizes = recipe.net.sizes()
        path = RunFolder(path).weights(list(recipe.stages)[-1], "best")
    else:
        with safe_open(path, "pt") as file:
            names = set(file.keys())
        sizes |= {"pooled": 3 if "earlier.weight" in names else 1}
        sizes |= {"pitch": any(name.startswith("pitch.") for name in names)}
    net = LightVoice(resolve_tasks(("VA", "EXPR")), **sizes)
    load_weights(net, path, discriminator_optional=True)
    return net.eval()


def list_recordings(
    store: FeatureStore, samples: LogmelSamples, everybody: set[str]
) -> dict[str, Recordings]:
    """The recordings of each corpus by its name, test people's or everybody's."""
    moments, rows = store.moments, samples.rows
    source = moments.dictionary_column("source").take(rows.moments)
    person = moments.dictionary_column("person").take(rows.moments)
    asked = rows.split == Split.TEST
    for name in everybody:
        asked |= rows.corpus == name
    found = {}
    for corpus in sorted(set(rows.corpus.values)):
        here = np.flatnonzero(asked & (rows.corpus == corpus))
        if not len(here):
            continue
        _, first, of = np.unique(source.codes[here], return_index=True, return_inverse=True)
        one = here[first]
        expression, va = rows.targets[EXPRESSION.key], rows.targets[VALENCE_AROUSAL.key]
        has = expression.valid[one].all(1)
        found[corpus] = Recordings(
            rows=here,
            of=of,
            person=np.unique(person.codes[one], return_inverse=True)[1],
            expression=np.where(has, expression.values[one].argmax(1), -1),
            arousal=np.where(va.valid[one, AROUSAL], va.values[one, AROUSAL], np.nan),
        )
    return found


def answer(
    net: torch.nn.Module, samples: LogmelSamples, asked: Recordings
) -> tuple[Values, Values]:
    """Mean probabilities (N, 8) and mean arousal (N,) of recordings."""
    said = predict_rows(net, samples, asked.rows, resolve_tasks(("VA", "EXPR")))
    count = np.bincount(asked.of)
    columns = [*said[EXPRESSION.key].T, said[VALENCE_AROUSAL.key][:, AROUSAL]]
    means = np.stack([np.bincount(asked.of, column) / count for column in columns], 1)
    return means[:, :-1], means[:, -1]


def score(asked: Recordings, chosen: IntArray, said: IntArray, arousal: Values) -> float:
    """Mean recall of some recordings, or the correlation of their arousal."""
    truth = asked.expression[chosen]
    if (truth >= 0).any():
        right = said[chosen] == truth
        return float(np.mean([right[truth == k].mean() for k in np.unique(truth[truth >= 0])]))
    return float(np.corrcoef(arousal[chosen], asked.arousal[chosen])[0, 1])


def resample(asked: Recordings) -> list[IntArray]:
    """People drawn with replacement, and recordings of each, as often as `RESAMPLES`."""
    rng = np.random.default_rng(SEED)
    own = [np.flatnonzero(asked.person == k) for k in range(int(asked.person.max()) + 1)]
    draws = rng.integers(0, len(own), (RESAMPLES, len(own)))
    return [np.concatenate([rng.choice(own[k], len(own[k])) for k in draw]) for draw in draws]


def interval(values: list[float]) -> list[float]:
    """Where the middle 95 % lie."""
    return [float(each) for each in np.nanquantile(values, [0.025, 0.975])]


def compare(samples: LogmelSamples, asked: Recordings, nets: list[torch.nn.Module]) -> list[Any]:
    """Score, interval, and difference from the first network with its interval, of each."""
    everyone: IntArray = np.arange(len(asked.person))
    drawn = resample(asked)
    found: list[dict[str, Any]] = []
    before: list[float] = []
    for net in nets:
        shares, arousal = answer(net, samples, asked)
        said = shares.argmax(1)
        values = [score(asked, rows, said, arousal) for rows in drawn]
        before = before or values
        has = np.bincount(asked.expression[asked.expression >= 0], minlength=len(EXPRESSIONS)) > 0
        own = np.where(has, shares, -1).argmax(1)
        counts = np.bincount(said, minlength=len(EXPRESSIONS)) / len(said)
        found.append({
            "score": score(asked, everyone, said, arousal),
            "among_its_own": score(asked, everyone, own, arousal),
            "interval": interval(values),
            "change": interval([new - old for new, old in zip(values, before, strict=True)]),
            "confidence": float(shares.max(1).mean()),
            "said": dict(zip(EXPRESSIONS, counts.round(3).tolist(), strict=True)),
        })  # fmt: skip
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("store", type=Path)
    parser.add_argument("model", nargs="+")
    parser.add_argument("--all", action="append", default=[], metavar="CORPUS")
    parser.add_argument("--only", action="append", default=[], metavar="CORPUS")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    store = FeatureStore.open(arguments.store)
    samples = LogmelSamples(store, resolve_tasks(("VA", "EXPR")), SPAN_S)
    nets = [open_network(model) for model in arguments.model]
    results = {}
    for corpus, asked in list_recordings(store, samples, set(arguments.all)).items():
        if arguments.only and corpus not in arguments.only:
            continue
        results[corpus] = compare(samples, asked, nets)
        people, is_voiced = int(asked.person.max()) + 1, bool((asked.expression >= 0).any())
        what = "mean recall" if is_voiced else "r of arousal"
        print(f"{corpus}: {len(asked.person)} recordings of {people} people, {what}")
        for model, each in zip(arguments.model, results[corpus], strict=True):
            (low, high), (less, more) = each["interval"], each["change"]
            text = f"  {model}: {each['score']:.3f} ({low:.3f} to {high:.3f})"
            text += f", among its own {each['among_its_own']:.3f}" if is_voiced else ""
            print(f"{text}, change {less:+.3f} to {more:+.3f}, sure {each['confidence']:.3f}")
    if arguments.json is not None:
        write_json(arguments.json, {"models": arguments.model, "corpora": results})


if __name__ == "__main__":
    try:
        main()
    except (TriaffectError, OSError) as error:
        raise SystemExit(str(error)) from error
