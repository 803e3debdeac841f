"""Pages: nothing is asked from outside, nothing escapes into the HTML; a page of a run."""

import itertools
import math
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from tests.report.pages import SUMMARY, made_journal, made_table
from triaffect.features.model_folder import OutputValidity, load_model_folder
from triaffect.report.prediction_page import PredictionPage
from triaffect.report.training_page import learning_curves, line_plot, score_rows, training_page
from triaffect.tasks.action_units import ACTION_UNITS
from triaffect.tasks.valence_arousal import VALENCE_AROUSAL


@pytest.mark.parametrize("name", ["</script><script>alert(1)</script>", "<img src=x onerror=a()>"])
def test_a_hostile_name_stays_text(name):
    text = training_page({name: SUMMARY["teacher"]}, [], made_table(name).to_pandas())
    assert name not in text
    assert "&lt;" in text


def test_the_page_asks_for_nothing_from_outside():
    page = PredictionPage()
    page.add(made_table())
    text = page.page().html()
    assert not re.findall(r"<(?:script|link|img|iframe)[^>]*\b(?:src|href)=", text)
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text).group(1)
    assert policy.startswith("default-src 'none'")
    assert "unsafe-eval" not in policy
    assert "'unsafe-inline'" not in policy.split("style-src")[0]


def test_what_a_model_has_not_learned_is_not_on_the_page(model):
    manifest = load_model_folder(model).manifest
    unlearned = [*VALENCE_AROUSAL.columns, *ACTION_UNITS.columns]
    blank = {name: OutputValidity(blank="always") for name in unlearned}
    origins = {"VA": "", "EXPR": "human+rendered", "AU": ""}
    page = PredictionPage(model=replace(manifest, outputs=blank, label_origins=origins))
    page.add(made_table())
    text = page.page().html()
    assert "Trained on expression from human and rendered labels." in text
    headings = re.findall(r'<th scope="col"[^>]*>([^<]*)', text)
    assert "commonest expression" in headings
    assert not {"valence", "arousal", "smile"} & set(headings)


def test_scores_are_tabled_with_chance_beside_them():
    header, rows = score_rows(SUMMARY)
    assert header == ["", "P_VA", "P_EXPR", "P_AU", "P_MTL"]
    assert [row[0] for row in rows] == ["teacher", "student", "chance"]
    assert rows[1][4] == "1.500"


def test_learning_curves_are_those_of_the_fullest_pool():
    rows = [row for row in made_journal() if row.get("stage") == "student"]
    plots = ET.fromstring(learning_curves(rows))
    titles = [each.text for each in plots.iter("figcaption")]
    assert titles == ["training loss, by kind of batch", "validation scores, MTL", "their sum, MTL"]
    keys = [(span[0].tail or "").split() for span in plots.iter("span")]
    assert [name for name, _ in keys] == ["MTL", "VA", "P_VA", "P_EXPR", "P_AU", "P_MTL"]
    assert float(keys[-1][1]) == pytest.approx(1.5 - math.exp(-7 / 4), abs=1e-3)
    lines = [line.get("points").split() for line in plots.iter("polyline")]
    assert [len(points) for points in lines] == [8] * 6
    tooltips = [dot[0].text for dot in plots.iter("circle")]
    assert "P_MTL, epoch 1: 0.500" in tooltips
    colors = dict(
        zip(
            [name for name, _ in keys],
            [span[0].get("style") for span in plots.iter("span")],
            strict=True,
        )
    )
    assert colors["VA"] == colors["P_VA"] != colors["P_EXPR"]
    assert colors["MTL"] == colors["P_MTL"]


def test_the_epoch_whose_weights_were_taken_is_marked():
    rows = [row for row in made_journal() if row.get("stage") == "student"]
    for row in rows[5:]:
        row["best"] = False
    plots = ET.fromstring(learning_curves(rows))
    assert [mark.find("title").text for mark in plots.iter("g")] == ["epoch 5"] * 3
    keys = [(span[0].tail or "").split() for span in plots.iter("span")]
    assert float(keys[-1][1]) == pytest.approx(1.5 - math.exp(-4 / 4), abs=1e-3)


def test_losses_of_several_orders_are_drawn_by_their_logarithm():
    plot = ET.fromstring(line_plot("loss", [1, 2, 3], {"MTL": [1.0, 10.0, 100.0]}, ["#000"]))
    (line,) = plot.iter("polyline")
    first, second, third = (float(point.split(",")[1]) for point in line.get("points").split())
    assert first - second == pytest.approx(second - third, abs=0.2)
    assert plot.find("figcaption").text == "loss, logarithmic"
    assert {"1", "10", "100"} <= {text.text for text in plot.iter("text")}


def test_learning_curves_leave_room_for_what_is_written():
    """Titles and legends stand beside the plots, not on the curves; lines stay in their panel."""
    epochs = [row for row in made_journal(40) if row.get("stage") == "student"]
    plots = ET.fromstring(learning_curves(epochs))
    for svg in plots.iter("svg"):
        _, _, width, height = map(float, svg.get("viewBox").split())
        assert width < 500, "letters stay large enough on a small screen"
        lowest = max(float(text.get("y")) for text in svg.iter("text"))
        assert lowest < height
        for line in svg.iter("polyline"):
            places = [point.split(",") for point in line.get("points").split()]
            assert all(48 <= float(x) <= 410 and 10 <= float(y) <= 206 for x, y in places)
        across = [float(text.get("x")) for text in svg.iter("text") if text.get("y") == "224.0"]
        assert min(b - a for a, b in itertools.pairwise(across)) > 24


def test_the_training_page_has_its_parts():
    text = training_page(SUMMARY, made_journal(), made_table().to_pandas())
    for words in ("Learning curves: teacher", "Learning curves: student", "clip.mp4", "12.3"):
        assert words in text
    assert text.count("<polyline") == 2 * 6
    assert "A score below it means" in text


def test_a_loss_that_hardly_moves_is_not_drawn_from_end_to_end():
    plot = ET.fromstring(line_plot("loss", [1, 2, 3], {"MTL": [7.0, 7.01, 6.99]}, ["#000"]))
    (line,) = plot.iter("polyline")
    heights = [float(point.split(",")[1]) for point in line.get("points").split()]
    assert 0 < max(heights) - min(heights) < 20
    moving = ET.fromstring(line_plot("loss", [1, 2, 3], {"MTL": [7.0, 3.0, 1.0]}, ["#000"]))
    heights = [float(p.split(",")[1]) for p in next(moving.iter("polyline")).get("points").split()]
    assert max(heights) - min(heights) > 150
