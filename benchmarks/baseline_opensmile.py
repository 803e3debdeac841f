"""What openSMILE's features say of the same recordings: baseline_opensmile.py RAVDESS EMODB.

    python -m pip install opensmile==2.6.0
    python benchmarks/baseline_opensmile.py shared/data/ravdess_speech shared/data/emodb

The field's usual baseline, a support vector machine on functionals of whole recordings, on the
splits that the voice network is scored on: RAVDESS's test people, and EMO-DB in four folds of two
speakers, each time learning from everybody else of both but RAVDESS's test people. openSMILE's
licence is for research, so the project does not depend on it; it is for this script alone.

Recordings are brought to one peak, as the voice network hears all at one level. "Strangers" are
heard for the first time; of "known" people every feature is standardised over all of their
recordings, labels unseen, which nobody can do who hears one recording.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import opensmile
from class_scores import scores
from numpy.typing import NDArray
from score_voices import recordings
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from triaffect.corpora.base import open_corpus
from triaffect.media.audio import read_sound

RATE, PEAK = 16_000, 0.7
SETS, COSTS = ("eGeMAPSv02", "ComParE_2016"), (1.0, 10.0)
RAVDESS_TEST = [[f"ravdess/Actor_{actor}" for actor in range(17, 21)]]
EMODB_FOLDS = [["03", "08"], ["09", "10"], ["11", "12"], ["13", "14"]]
FOLDS = {
    "ravdess": RAVDESS_TEST,
    "emodb": [[f"emodb/{speaker}" for speaker in fold] for fold in EMODB_FOLDS],
}

Features = NDArray[np.float64]
Words = NDArray[np.str_]
Classes = NDArray[np.int64]


def functionals(files: Sequence[Path], name: str) -> Features:
    """One row of features a file."""
    smile = opensmile.Smile(getattr(opensmile.FeatureSet, name))
    rows = []
    for file in files:
        sound = read_sound(file, RATE)
        rows.append(smile.process_signal(sound * (PEAK / np.abs(sound).max()), RATE).to_numpy()[0])
    return np.array(rows, np.float64)


def by_person(features: Features, who: Words) -> Features:
    """Every feature with mean 0 and spread 1 over all of a person's recordings."""
    known = features.copy()
    for person in np.unique(who):
        mine = who == person
        known[mine] = StandardScaler().fit_transform(known[mine])
    return known


def answers(features: Features, truth: Classes, who: Words, corpus: str, cost: float) -> Classes:
    """What is said of a corpus's tested people, -1 for everybody else."""
    said = np.full(len(truth), -1)
    for fold in FOLDS[corpus]:
        tested = np.isin(who, fold)
        learnt = ~tested & ~np.isin(who, RAVDESS_TEST)
        machine = make_pipeline(StandardScaler(), SVC(C=cost, class_weight="balanced"))
        said[tested] = machine.fit(features[learnt], truth[learnt]).predict(features[tested])
    return said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpora", type=Path, nargs=2, metavar="CORPUS")
    everything = []
    for root in parser.parse_args().corpora:
        corpus = open_corpus(root)
        everybody = {
            str(corpus.moments(each).dictionary_column("person")[:][0]) for each in corpus.sources()
        }
        everything += recordings(corpus, everybody)
    files = [each.file for each in everything]
    who = np.array([each.person for each in everything])
    truth = np.array([each.expression for each in everything])
    for name in SETS:
        features = functionals(files, name)
        for heard, values in (("strangers", features), ("known", by_person(features, who))):
            for cost, corpus in ((cost, corpus) for cost in COSTS for corpus in FOLDS):
                said = answers(values, truth, who, corpus, cost)
                found = scores(truth[said >= 0], said[said >= 0])
                print(f"{name} {heard} C {cost} {corpus}: n {found['n']}", end=" ")
                print(*(f"{key} {found[key]['value']:.3f}" for key in ("accuracy", "mean_recall")))


if __name__ == "__main__":
    main()
