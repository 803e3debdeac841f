"""Scoring recordings: who is asked about, by which model, and what counts."""

import sys

import numpy as np
import pytest

from tests.benchmarks.scripts import load
from tests.prediction.tiny_model import write_sound, write_tiny_model
from triaffect.features.model_folder import OutputValidity
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
    found = script.recordings(script.open_with_labels(corpus, ()), people)
    return [(each.file.stem, each.person, EXPRESSIONS[each.expression]) for each in found]


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
        return lambda file: (sure, script.NOT_SAID), people

    monkeypatch.setattr(script, "answer_of", answer_of)
    found = script.evaluate(script.open_with_labels(emodb, ()), ["one", "two"], [])
    assert found["n"] == 3
    assert found["people"] == {"emodb/03": 0.5, "emodb/09": 0.0}
    assert found["accuracy"]["value"] == pytest.approx(1 / 3)
    assert found["mean_recall"]["value"] == pytest.approx((1 / 2 + 0) / 2), "of classes there are"
    right = {"confidence": 0.3, "accuracy": 1 / 3, "error": 1 / 30}
    assert found["calibration"] == pytest.approx(right, abs=1e-6)


def test_a_model_folder_answers_from_rows_with_a_voice_alone(emodb, tmp_path):
    answer, kept = script.answer_of(str(write_tiny_model(tmp_path / "model")))
    assert kept == ()
    said, va = answer(emodb / "03a01Wa.wav")
    assert said.sum(1) == pytest.approx(np.ones(len(said)), abs=1e-4)
    assert va.shape == (len(said), 2)
    quiet = write_sound(tmp_path / "quiet.wav", np.zeros(32_000, np.float32))
    assert answer(quiet)[0].shape == (0, 8), "nobody speaks"


def test_valence_and_arousal_are_scored_by_labels_or_what_names_mean(emodb, tmp_path, monkeypatch):
    """Also what the model leaves blank: these scores decide whether it does."""
    blank = {"outputs": {"valence": OutputValidity(blank="always")}}
    said = script.answer_of(str(write_tiny_model(tmp_path / "model", **blank)))[0]
    assert not np.isnan(said(emodb / "03a01Wa.wav")[1]).any()
    rows = {"03a01Wa": (-0.5, 0.6), "08a01Wa": (-0.4, 0.5), "03a02Lb": (0.9, 0.1)}
    answer = lambda file: (np.full((1, 8), 1 / 8), np.array([rows[file.stem]]))  # noqa: E731
    monkeypatch.setattr(script, "answer_of", lambda model: (answer, ()))
    found = script.evaluate(script.open_with_labels(emodb, ()), ["one"], [])
    assert "valence" not in found, "boredom has no mean, and anger one alone"
    for stem, label in (("x", -0.5), ("y", 0.0), ("z", 0.5)):
        (tmp_path / f"{stem}.wav").write_bytes((emodb / "03a01Wa.wav").read_bytes())
        rows[stem] = (0.0, -label)
    lines = ["clip,person,arousal,split", "x.wav,a,-0.5,test", "y.wav,b,0,test", "z.wav,b,0.5,test"]
    (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n")
    found = script.evaluate(script.open_with_labels(tmp_path, (), name="own"), ["one"], [])
    own = {"r": pytest.approx(-1), "n": 3, "people": 2, "derived": False}
    assert (found["recordings"], found["arousal"]) == (3, own)
    assert "accuracy" not in found


def test_it_prints_what_it_found_and_refuses_other_folders(emodb, tmp_path, monkeypatch, capsys):
    model = str(write_tiny_model(tmp_path / "model"))
    monkeypatch.setattr(sys, "argv", ["score_voices.py", str(emodb), model])
    script.main()
    told = capsys.readouterr().out
    assert "emodb: 3 recordings of 2 people" in told
    assert "calibration of single rows: confidence 0." in told
    assert "accuracy by person: emodb/03" in told
    (tmp_path / "empty").mkdir()
    monkeypatch.setattr(sys, "argv", ["score_voices.py", str(tmp_path / "empty"), model])
    with pytest.raises(SystemExit, match="empty"):
        script.main()


def test_pairs_of_strong_and_normal_are_of_one_model_and_recording():
    arousal = {
        (0, "03-01-05-02-01-01-17"): 0.5, (0, "03-01-05-01-01-01-17"): 0.2,
        (0, "03-01-05-02-01-02-17"): 0.1, (0, "03-01-05-01-01-02-17"): 0.2,
        (1, "03-01-05-02-01-01-17"): 0.9,  # whose normal one this model was not asked about
        (0, "03-01-04-02-01-01-17"): float("nan"), (0, "03-01-04-01-01-01-17"): 0.0,
        (0, "16a02Fb"): 0.7,
    }  # fmt: skip
    assert script.strong_is_higher(arousal) == [True, False]
