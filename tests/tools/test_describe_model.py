"""A model says how far its outputs hold; its tables, pages and card repeat it."""

import json
import re
import sys

import numpy as np
import pytest
import skimage.io

from tests.benchmarks.scripts import load
from tests.prediction.tiny_model import portrait, tone, write_sound, write_tiny_model
from tools import describe_model
from triaffect.errors import ModelError
from triaffect.features.model_folder import OutputValidity, load_model_folder
from triaffect.prediction.predictor import Predictor
from triaffect.report.prediction_page import panels, validity_table, write_table_page
from triaffect.tables.metadata import column_notes
from triaffect.tables.postprocess import PLAIN, summarize_frame
from triaffect.tables.schema import table_schema
from triaffect.tasks.expression import EXPRESSIONS
from triaffect.tasks.registry import TASKS

validity = load("validity")

TEXT = """
[valence]
holds = "shown"
learned_from = "ratings"
evidence = "CCC 0.90"
blank = "without face"
[arousal]
holds = "partly"
blank = "without voice"
[p_other]
blank = "always"
[AU1]
holds = "not shown"
[AU23]
blank = "always"
"""
OF_FACES = 'holds = "shown"\nholds_without_face = "not shown"'
TEXT += "\n".join(f"[p_{name}]\n{OF_FACES}" for name in EXPRESSIONS if name != "other")


@pytest.fixture(scope="module")
def described(tmp_path_factory):
    """A tiny model after the tool has described it."""
    folder = tmp_path_factory.mktemp("described")
    write_tiny_model(folder / "model")
    (folder / "model" / "CARD.md").write_text("# Card\n\nText.\n")
    (folder / "validity.toml").write_text(TEXT)
    temperatures = "--temperature", "EXPR=2", "--temperature-without-face", "EXPR=1"
    run(folder / "model", folder / "validity.toml", *temperatures)
    return folder / "model"


def run(*arguments):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["describe_model", *map(str, arguments)])
        describe_model.main()


def test_the_networks_and_what_was_said_before_stay(described, tmp_path):
    before = load_model_folder(write_tiny_model(tmp_path / "model")).manifest
    after = load_model_folder(described).manifest
    assert after.parts == before.parts
    assert after.thresholds == before.thresholds
    assert after.temperatures == {"EXPR": 2.0}
    assert after.temperatures_without_face == {"EXPR": 1.0}
    assert after.outputs["valence"].describe() == (
        "shown to hold on people (CCC 0.90); learned from ratings; blank without a face"
    )
    anger = after.outputs["p_anger"].describe()
    assert anger == "shown to hold on people, not shown of a voice without a face"


def test_the_card_gets_one_table_however_often_it_is_written(described):
    run(described, described.parent / "validity.toml")
    card = (described / "CARD.md").read_text()
    assert card.startswith("---\nlicense: other\n")
    assert card.count("\n---\n\n# Card\n\nText.\n") == card.count("library_name") == 1
    assert {"example.py", "golden.npz"} <= set(load_model_folder(described).manifest.files)
    assert card.count(describe_model.BEGIN) == card.count(describe_model.END) == 1
    assert card.count("| valence | shown; blank without a face | CCC 0.90 | ratings |") == 1
    assert "| anger | shown; of a voice alone not shown |" in card
    assert "| AU23 lip tightener | not learned: blank |" in card


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[AU99]\nholds = 'shown'", "AU99"),
        ("[AU1]\nholds = 'perhaps'", "holds"),
        ("[AU1]\nword = 'shown'", "word"),
        ("AU1 =", "TOML"),
    ],
)
def test_a_file_that_says_what_no_model_can_have_is_refused(described, tmp_path, text, message):
    path = tmp_path / "validity.toml"
    path.write_text(text)
    with pytest.raises(ModelError, match=message):
        describe_model.read_outputs(path, load_model_folder(described).manifest)
    for wrong in ("EXPR", "EXPR=0", "EXPR=nan", "PAIN=1"):
        with pytest.raises(ModelError, match="above 0"):
            describe_model.read_temperatures([wrong], load_model_folder(described).manifest)


def test_what_was_not_learned_is_blank_and_the_other_classes_sum_to_one(described, tmp_path):
    table = Predictor(described).predict(portrait())
    assert table[["p_other", "AU23", "arousal"]].isna().all(axis=None)
    classes = [f"p_{name}" for name in EXPRESSIONS if name != "other"]
    assert table[classes].sum(axis=1).item() == pytest.approx(1, abs=1e-5)
    assert table["expression"].item() == table[classes].iloc[0].astype(float).idxmax()[2:]
    assert table[["valence", "AU1"]].notna().all(axis=None)
    summary = summarize_frame(table)
    assert summary["other_share"].isna().all()
    assert summary["AU23_share"].isna().all()
    assert summary[f"{table['expression'].item()}_share"].item() == 1


def test_an_output_that_is_blank_without_a_voice_is_there_with_one(described, tmp_path):
    table = Predictor(described).predict(write_sound(tmp_path / "a.wav", tone(2)))
    assert table["voice_heard"].any()
    assert (table["arousal"].notna() == table["voice_heard"]).all()
    assert table["valence"].isna().all(), "there is no face"
    assert Predictor(described).predict(portrait())["valence"].notna().all()


def test_temperature_evens_probabilities_out_and_leaves_the_likeliest(described, tmp_path):
    plain = Predictor(write_tiny_model(tmp_path / "model")).predict(portrait())
    table = Predictor(described).predict(portrait())
    classes = [f"p_{name}" for name in EXPRESSIONS if name != "other"]
    one = plain[classes].to_numpy(float)[0]
    expected = np.sqrt(one) / np.sqrt(one).sum()
    np.testing.assert_allclose(table[classes].to_numpy(float)[0], expected, atol=1e-4)


def test_temperature_of_presence_moves_the_logits():
    units = TASKS[2].with_temperature(np.array([[0.9, 0.5, 0.1] + [0.2] * 9]), 2.0)
    assert units[0, :3] == pytest.approx([0.75, 0.5, 0.25], abs=1e-6)
    values = np.full((1, 2), -0.5)
    assert TASKS[0].with_temperature(values, 2.0) == pytest.approx(values)


def test_the_table_says_it_in_its_metadata_and_page(described, tmp_path):
    model = Predictor(described)
    outputs = model.manifest.outputs
    notes = column_notes(table_schema(TASKS), PLAIN, TASKS, outputs)
    assert notes["valence"].endswith("(CCC 0.90); learned from ratings; blank without a face")
    assert notes["AU23"].endswith("blank: the model has not learned it")
    skimage.io.imsave(tmp_path / "one.png", portrait())
    table = model.predict(tmp_path / "one.png")
    assert table.attrs["model"]["outputs"]["AU1"]["holds"] == "not shown"
    write_table_page(table, tmp_path / "page.html", thumbnails=False)
    page = (tmp_path / "page.html").read_text()
    assert "How far each output holds on people" in page
    assert "CCC 0.90" in page


def test_a_clip_without_a_face_has_the_words_of_voices(described, tmp_path):
    sound = write_sound(tmp_path / "a.wav", tone(2))
    skimage.io.imsave(tmp_path / "one.png", portrait())
    model, drawn = Predictor(described), {}
    for path in (sound, tmp_path / "one.png"):
        write_table_page(model.predict(path), tmp_path / "page.html", thumbnails=False)
        page = (tmp_path / "page.html").read_text()
        row = re.search(r'class="trust [^"]*" title="([^"]*)"', page)
        drawn[path.suffix, "row"] = row[1]
        data = re.search(r'id="data-0"[^>]*>(.*?)</script>', page, re.DOTALL)[1]
        for panel in json.loads(data)["panels"]:
            drawn |= {
                (path.suffix, t): h for t, h in zip(panel["titles"], panel["holds"], strict=True)
            }
    assert "valence: shown" in drawn[".png", "row"]
    assert "commonest expression: shown" in drawn[".png", "row"]
    assert "valence" not in drawn[".wav", "row"]
    assert "commonest expression: not shown" in drawn[".wav", "row"]
    assert drawn[".png", "anger"] == "shown"
    assert drawn[".wav", "anger"] == "not shown"
    assert drawn[".png", "valence"] == "shown"
    assert (".wav", "valence") not in drawn, "what is always blank is not drawn"
    assert (".png", "AU1 inner brow raiser") in drawn
    assert (".wav", "AU1 inner brow raiser") not in drawn, "units are of faces"


def test_the_page_draws_what_holds_first_and_nothing_that_is_blank():
    outputs = {
        "arousal": OutputValidity(),
        "AU1": OutputValidity(),
        "AU2": OutputValidity(holds="partly"),
        "AU23": OutputValidity(blank="always"),
    }
    lines, classes, heat = panels(TASKS, outputs)
    assert lines["titles"] == ["valence", "arousal"]
    assert lines["holds"] == ["", "not shown"]
    assert classes["slots"] == list(range(8))
    assert heat["names"][-2:] == ["AU2", "AU1"]
    assert "AU23" not in heat["names"]
    assert validity_table(TASKS, outputs).index("AU2 ") < validity_table(TASKS, outputs).index(
        "AU1 "
    )
    blank = {name: OutputValidity(blank="always") for name in TASKS[2].columns}
    assert [panel["kind"] for panel in panels(TASKS, blank)] == ["lines", "classes"]


def test_words_follow_the_figures():
    unit = {"r": 0.75, "agreement": 0.5, "programs": 2}
    assert validity.unit_validity("AU12", unit)["holds"] == "shown"
    assert validity.unit_validity("AU12", unit | {"agreement": 0.2})["holds"] == "partly"
    assert validity.unit_validity("AU24", {"r": 0.75, "programs": 1})["holds"] == "partly"
    assert validity.unit_validity("AU12", unit | {"r": 0.5})["holds"] == "partly"
    assert validity.unit_validity("AU12", unit | {"r": 0.4})["holds"] == "not shown"
    assert validity.unit_validity("AU12", unit | {"r": float("nan")})["holds"] == "not shown"
    assert validity.unit_validity("AU23", unit)["holds"] == "not shown"
    none = np.zeros((8, 8))
    assert validity.class_validity({"f1": 0.8, "support": 20}, none, 1)["holds"] == "partly"
    pictures = {"f1": 0.8, "support": 200}
    assert validity.class_validity(pictures, none, 1)["holds"] == "shown"
    assert "holds_without_face" not in validity.class_validity(pictures, none, 1)
    spoken = np.diag([0, 40, 20, 0, 0, 0, 0, 0])
    spoken[3, 1] = 5
    own = [validity.class_validity(pictures, spoken, k)["holds_without_face"] for k in (1, 2, 3)]
    assert own == ["shown", "partly", "not shown"]


@pytest.mark.parametrize(
    ("r", "blank", "alone"), [(0.2, "without face", ""), (0.6, "never", "partly")]
)
def test_valence_that_voices_do_not_say_is_left_to_the_face(r, blank, alone):
    ratings = {"valence_ccc": 0.9, "valence_r": 0.9}
    voices = [{"valence": {"r": r, "n": 10}}, {"valence": {"r": r, "n": 90}}]
    made = OutputValidity(**validity.valence_validity(ratings, voices))
    assert (made.holds, made.blank, made.holds_without_face) == ("shown", blank, alone)
    assert OutputValidity(**validity.valence_validity(ratings, ())).blank == "never"


@pytest.mark.parametrize(
    ("partial", "r", "holds", "blank", "alone"),
    [
        (0.5, None, "shown", "never", ""),
        (0.35, 0.6, "partly", "never", "partly"),
        (0.1, None, "not shown", "without voice", ""),
        (0.1, 0.5, "partly", "without voice", ""),
        (0.1, 0.9, "partly", "without voice", ""),
    ],
)
def test_arousal_that_faces_do_not_show_is_left_to_the_voice(partial, r, holds, blank, alone):
    derived = {"corpus": "a", "arousal": {"r": 0.1, "n": 9, "people": 9, "derived": True}}
    labels = {"corpus": "b", "arousal": {"r": r, "n": 70, "people": 7, "derived": False}}
    voices = [derived, {"corpus": "c"}, *([labels] if r else [])]
    made = OutputValidity(**validity.arousal_validity({"arousal_partial": partial}, voices))
    assert (made.holds, made.blank, made.holds_without_face) == (holds, blank, alone)


def test_every_corpus_with_labels_of_arousal_counts_by_its_recordings():
    voices = [
        {"corpus": name, "arousal": {"r": r, "n": n, "people": 20, "derived": False}}
        for name, r, n in (("a", 0.9, 30), ("b", 0.6, 10))
    ]
    made = OutputValidity(**validity.arousal_validity({"arousal_partial": 0.1}, voices))
    assert made.holds == "shown"
    assert "voices: r 0.82 with labels (a, b, 40 people left out)" in made.evidence


def test_the_file_of_words_is_what_the_tool_reads(described, tmp_path):
    figures = {"r": 0.8, "agreement": 0.5, "programs": 2}
    faces = {"lfw": {"units": dict.fromkeys(TASKS[2].columns, figures)}}
    ferplus = {"classes": {name: {"f1": 0.5, "support": 90} for name in EXPRESSIONS}}
    ratings = {"valence_ccc": 0.9, "valence_r": 0.9, "arousal_partial": 0.1}
    labels = {"r": 0.5, "n": 70, "people": 7, "derived": False}
    spoken = {"corpus": "a", "confusion": np.eye(8, dtype=int).tolist()}
    outputs = validity.judge(faces, ferplus, ratings, [spoken | {"arousal": labels}])
    assert outputs["p_anger"].holds_without_face == "partly"
    validity.write_toml(tmp_path / "validity.toml", outputs)
    manifest = load_model_folder(described).manifest
    assert describe_model.read_outputs(tmp_path / "validity.toml", manifest) == outputs
    assert list(outputs) == [name for task in TASKS for name in task.columns]
