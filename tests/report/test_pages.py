"""Pages: panels derived from tasks, long timelines thinned, nothing escapes into the HTML."""

import json
import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.report.pages import SUMMARY, made_journal, made_table
from triaffect.report.demo import demo_page, learning_curves, score_rows
from triaffect.report.prediction import MOST_CLIPS, MOST_FACES, PredictionPage
from triaffect.report.timeline import MOST_POINTS, thinned, timeline
from triaffect.tasks.registry import TASKS
from triaffect.tasks.valence_arousal import ValenceArousal


class Pain(ValenceArousal):
    """A fourth task."""

    key, name, columns, display_range = "PAIN", "pain", ("pain",), (0.0, 16.0)


def drawn(figure):
    return {trace.get("name", "heat") for trace in figure["data"]}


def test_each_task_has_a_panel_on_its_own_display_range():
    tasks = (*TASKS, Pain())
    figure = timeline(made_table(tasks=tasks).to_pandas(), tasks)
    assert {"valence", "arousal", "neutral", "other", "pain", "heat"} <= drawn(figure)
    axes = [figure["layout"][f"yaxis{k}"] for k in ("", 2, 4)]
    assert [axis["range"] for axis in axes] == [[-1.0, 1.0], [0.0, 1.0], [0.0, 16.0]]
    units, presence = (trace for trace in figure["data"] if trace["type"] == "heatmap")
    assert units["y"] == list(TASKS[2].columns)
    assert presence["y"] == ["face", "voice"]
    domains = [figure["layout"][f"yaxis{k}"]["domain"] for k in ("", 2, 3, 4, 5)]
    for above, below in pairwise(domains):
        assert above[0] > below[1] >= below[0] >= -1e-9


def test_a_single_moment_is_drawn_as_bars():
    figure = timeline(made_table(frames=1).to_pandas(), TASKS)
    assert [trace["type"] for trace in figure["data"]] == ["bar"] * 3
    assert figure["data"][2]["y"] == list(TASKS[2].columns)


@given(st.integers(2, 5000), st.integers(0, 40))
def test_thinning_keeps_means_and_opens_gaps(count, gap):
    times_s = np.arange(count) / 25
    times_s[count // 2 :] += gap
    values = np.stack([times_s, np.full(count, np.nan)], axis=1)
    thin_s, thin = thinned(times_s, values)
    assert len(thin_s) <= MOST_POINTS + 2
    assert (np.diff(thin_s) > 0).all()
    solid = ~np.isnan(thin[:, 0])
    assert np.allclose(thin[solid, 0], thin_s[solid])
    assert np.isnan(thin[:, 1]).all()
    if count <= MOST_POINTS:
        assert np.array_equal(thin_s[solid], times_s)
        assert (~solid).sum() == (2 if gap and count > 2 else 0)


def test_the_page_is_small_however_long_the_clip():
    page = PredictionPage()
    page.add(made_table(frames=20_000))
    figures = json.dumps(page._figures[0])
    assert len(figures) < 400_000


def test_clips_and_faces_beyond_a_few_are_counted_not_drawn():
    page = PredictionPage()
    for k in range(MOST_CLIPS + 2):
        page.add(made_table(f"{k}.mp4", frames=3, faces=MOST_FACES + 3 if k == 0 else 1))
    text = page.page().html()
    assert "holds 2 more clips" in text
    assert "3 faces seen more briefly" in text
    assert text.count('id="figure-') == MOST_FACES + MOST_CLIPS - 1
    assert f"{MOST_CLIPS + 1}.mp4" in text


def test_a_clip_without_a_face_is_drawn_from_the_voice():
    page = PredictionPage()
    page.add(made_table(faces=0))
    assert "from the voice alone" in page.page().html()


@pytest.mark.parametrize("name", ["</script><script>alert(1)</script>", "<img src=x onerror=a()>"])
def test_a_hostile_name_stays_text(name):
    page = PredictionPage()
    page.add(made_table(name))
    for text in (page.page().html(), demo_page({name: SUMMARY["teacher"]}, [], None)):
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


def test_the_demo_page_has_its_parts():
    text = demo_page(SUMMARY, made_journal(), made_table().to_pandas())
    for words in ("Learning curves: teacher", "Learning curves: student", "clip.mp4", "12.3"):
        assert words in text
    assert text.count('id="figure-') == 3
