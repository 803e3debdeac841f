"""Pages: nothing is asked from outside, nothing escapes into the HTML; a page of a run."""

import re

import pytest

from tests.report.pages import SUMMARY, made_journal, made_table
from triaffect.report.prediction_page import PredictionPage
from triaffect.report.training_page import learning_curves, score_rows, training_page


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


def test_scores_are_tabled_with_chance_beside_them():
    header, rows = score_rows(SUMMARY)
    assert header == ["", "P_VA", "P_EXPR", "P_AU", "P_MTL"]
    assert [row[0] for row in rows] == ["teacher", "student", "chance"]
    assert rows[1][4] == "1.500"


def test_learning_curves_are_those_of_the_fullest_pool():
    rows = [row for row in made_journal() if row.get("stage") == "student"]
    figure = learning_curves(rows)
    assert [trace["name"] for trace in figure["data"]] == [
        *("MTL", "VA", "P_VA", "P_EXPR", "P_AU", "P_MTL")
    ]
    assert figure["data"][-1]["x"] == list(range(1, 9))
    assert figure["data"][-1]["y"][0] == 0.5


def test_the_training_page_has_its_parts():
    text = training_page(SUMMARY, made_journal(), made_table().to_pandas())
    for words in ("Learning curves: teacher", "Learning curves: student", "clip.mp4", "12.3"):
        assert words in text
    assert text.count('id="figure-') == 2
