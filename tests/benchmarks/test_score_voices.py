"""Scoring recordings: who is asked about, by which model, and what counts."""

import sys

import numpy as np
import pytest

from tests.benchmarks.scripts import load
from tests.prediction.tiny_model import write_sound, write_tiny_model
from triaffect.synthetic.voice import utter
from triaffect.tasks.expression import EXPRESSIONS

script = load("score_voices")


@pytest.fixture(scope="module")
def emodb(tmp_path_factory):
    """Anger of speakers 03, 08 and 09, boredom of 03."""
    folder = tmp_path_factory.mktemp("emodb")
    for seed, name in enumerate(("03a01Wa", "08a01Wa", "09a01Wa", "03a02Lb")):
        write_sound(folder / f"{name}.wav", utter(2.0, valence=0.0, arousal=0.5, seed=seed))
    return folder


def asked(corpus, people=()):
    found = script.recordings(script.open_corpus(corpus), people)
    return [(file.stem, person, EXPRESSIONS[label]) for file, person, label in found]


def test_the_corpus_s_own_test_people_are_asked_about_unless_others_are_named(emodb):
    assert asked(emodb) == [
        ("03a01Wa", "emodb/03", "anger"),
        ("03a02Lb", "emodb/03", "other"),
        ("08a01Wa", "emodb/08", "anger"),
    ]
    assert asked(emodb, ["emodb/09"]) == [("09a01Wa", "emodb/09", "anger")]


def test_models_are_counted_together_each_about_the_people_it_kept(emodb, monkeypatch):
    """Folds: one answers anger for the people it kept, the other happiness for its own."""
    kept = {"one": ("anger", ("emodb/03", "ravdess/Actor_01")), "two": ("happiness", ("emodb/09",))}

    def answer_of(model):
        name, people = kept[model]
        sure = 0.1 + 0.2 * np.eye(8)[[EXPRESSIONS.index(name)] * 3]
        return lambda file: sure, people

    monkeypatch.setattr(script, "answer_of", answer_of)
    found = script.evaluate(script.open_corpus(emodb), ["one", "two"], [])
    assert found["n"] == 3
    assert found["people"] == {"emodb/03": 0.5, "emodb/09": 0.0}
    assert found["accuracy"]["value"] == pytest.approx(1 / 3)
    assert found["mean_recall"]["value"] == pytest.approx((1 / 2 + 0) / 2), "of classes there are"
    right = {"confidence": 0.3, "accuracy": 1 / 3, "error": 1 / 30}
    assert found["calibration"] == pytest.approx(right, abs=1e-6)


def test_a_model_folder_answers_from_rows_with_a_voice_alone(emodb, tmp_path):
    answer, kept = script.answer_of(str(write_tiny_model(tmp_path / "model")))
    assert kept == ()
    said = answer(emodb / "03a01Wa.wav")
    assert said.sum(1) == pytest.approx(np.ones(len(said)), abs=1e-4)
    quiet = write_sound(tmp_path / "quiet.wav", np.zeros(32_000, np.float32))
    assert answer(quiet).shape == (0, 8), "nobody speaks"


def test_it_prints_what_it_found_and_refuses_other_folders(emodb, tmp_path, monkeypatch, capsys):
    model = str(write_tiny_model(tmp_path / "model"))
    monkeypatch.setattr(sys, "argv", ["score_voices.py", str(emodb), model])
    script.main()
    told = capsys.readouterr().out
    assert "emodb: 3 recordings of 2 people" in told
    assert "calibration of single rows: confidence 0." in told
    assert "accuracy by person: emodb/03" in told
    with pytest.raises(SystemExit, match="neither RAVDESS nor EMO-DB"):
        script.open_corpus(tmp_path)
