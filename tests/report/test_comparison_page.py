"""The page of a comparison: everything in it, nothing that runs, numbers where they belong."""

import re
import xml.etree.ElementTree as ET

import pytest

from tests.report.browser import BROWSER, DRIVER, browser, dumped
from tests.report.compared import made_comparison
from triaffect.cli._tables import comparison_tables
from triaffect.metrics.paired import score_names
from triaffect.report.comparison_page import comparison_page
from triaffect.report.dot_plot import Row, dot_plot, ticks
from triaffect.tasks.registry import TASKS


def drawn(rows, baseline="one"):
    return ET.fromstring(dot_plot("P_VA", rows, baseline))


def test_every_score_has_a_plot_and_a_table():
    text = comparison_page(made_comparison()).html()
    names = score_names(TASKS)
    official = [name for name in names if "." not in name]
    for layout in ("wide", "narrow"):
        assert text.count(f'<svg class="{layout}"') == len(official)
    dots = 2 * len(official) * 3 * 5 + (len(names) - len(official)) * 5  # parts: the baseline's
    assert text.count("<circle") == dots
    parts = re.findall(r'<svg class="part".*?</svg>', text)
    assert len(parts) == 3 * len(TASKS)
    assert sum(plot.count("<path") for plot in parts) == 2 * (len(names) - len(official))
    assert text.count("<table") == len(names) + 2
    assert "+0.020" in text
    assert "Failed: broken, seed 3: expected &lt;x&gt;, got y" in text


def test_comparison_page_runs_and_fetches_nothing():
    text = comparison_page(made_comparison()).html()
    assert "<script" not in text
    assert "script-src 'none'" in text
    assert "<b>" not in text
    assert not re.search(r"(src|href)=", text)
    for plot in re.findall(r"<svg.*?</svg>", text):
        ET.fromstring(plot)


@pytest.mark.skipif(not BROWSER, reason="needs Chromium (apt-get install chromium)")
def test_a_browser_has_nothing_to_complain_about(tmp_path):
    page = tmp_path / "page.html"
    comparison_page(made_comparison()).write(page)
    elements, complaints = dumped(page, tmp_path / "profile")
    assert complaints == []
    assert elements.count("<svg") == 2 * 4 + 3 * len(TASKS)


def test_places_follow_the_numbers():
    rows = [Row("one", {"0": 0.1, "1": 0.3}, 0.2, is_baseline=True)]
    rows += [Row("two", {"0": 0.5}, 0.5, 0.3, (0.1, 0.4)), Row("three", {"0": 0.2}, 0.2, 0.0)]
    plot = drawn(rows)
    dots = [float(dot.get("cx")) for dot in plot.iter("circle")]
    assert dots[0] < dots[3] < dots[1] < dots[2]
    assert dots[3] == pytest.approx((dots[0] + dots[1]) / 2, abs=0.1)
    heights = [float(dot.get("cy")) for dot in plot.iter("circle")]
    assert heights[0] < heights[1] < heights[2] < heights[3]
    filled = [path.get("fill") for path in plot.iter("path")]
    assert len(set(filled)) == 2, "a clear difference looks unlike one that is none"
    texts = [text.text for text in plot.iter("text")]
    assert "baseline" in texts
    assert "difference to one" in texts


def test_dot_plot_does_not_zoom_into_noise():
    """Scores that agree to a millionth are drawn at one place."""
    plot = drawn([Row("one", {"0": 0.5, "1": 0.5 + 1e-6}, 0.5, is_baseline=True)])
    first, second = (float(dot.get("cx")) for dot in plot.iter("circle"))
    assert second - first < 1


def test_plots_of_a_section_have_one_scale():
    """The same difference is as far from the baseline in each, the same spread as wide."""
    near = [Row("one", {"0": 0.5, "1": 0.51}, 0.505, is_baseline=True)]
    near.append(Row("two", {"0": 0.52}, 0.52, 0.02, (0.01, 0.03)))
    far = [Row("one", {"0": 0.1, "1": 0.3}, 0.2, is_baseline=True)]
    far.append(Row("two", {"0": 0.4}, 0.4, 0.2, (0.1, 0.3)))

    def places(rows):
        plot = ET.fromstring(dot_plot("P_VA", rows, "one", neighbors=[near, far]))
        dots = [float(dot.get("cx")) for dot in plot.iter("circle")]
        (diamond,) = (float(path.get("d")[1:].split()[0]) for path in plot.iter("path"))
        (zero,) = (
            float(line.get("x1")) for line in plot.iter("line") if line.get("stroke-width") == "1.2"
        )
        return dots[1] - dots[0], diamond - zero

    small, large = places(near), places(far)
    assert large[0] == pytest.approx(20 * small[0], rel=0.05)
    assert large[1] == pytest.approx(10 * small[1], rel=0.05)


def test_a_score_without_labels_is_named_and_not_drawn():
    comparison = made_comparison()
    comparison.reachable["P_EXPR"] = 0.25
    for each in comparison.systems.values():
        for name in each.units:
            if name == "P_AU" or name.startswith("AU."):
                each.units[name] = 0
    told, *tables = comparison_tables(comparison)
    assert "The split has no labels for P_AU. Best reachable with its labels: P_EXPR 0.250." in told
    assert not [each.title for each in tables if "AU" in str(each.title)]
    assert "P_VA" in [each.title for each in tables]
    text = comparison_page(comparison).html()
    assert "The split has no labels for P_AU." in text
    assert "Parts of P_AU" not in text
    assert 'aria-label="P_AU of' not in text
    assert 'aria-label="P_VA of' in text


def test_a_baseline_alone_has_no_differences():
    plot = drawn([Row("one", {"0": 0.5}, 0.5, is_baseline=True)])
    assert "difference to one" not in [text.text for text in plot.iter("text")]
    assert not list(plot.iter("path"))


def test_long_names_keep_their_stage():
    plot = drawn([Row("a" * 50 + "/student", {"0": 0.5}, 0.5)])
    (label,) = [each for each in plot.iter("text") if (each.text or "").endswith("/student")]
    assert len(label.text) < 40
    assert label.find("title").text == "a" * 50 + "/student"


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 1.0, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (-0.013, 0.021, [-0.01, 0.0, 0.01, 0.02]),
        (0.31, 0.33, [0.31, 0.315, 0.32, 0.325, 0.33]),
    ],
)
def test_ticks_are_round(low, high, expected):
    assert ticks(low, high) == pytest.approx(expected)


@pytest.mark.skipif(not DRIVER, reason="needs chromedriver (apt-get install chromium-driver)")
def test_nothing_has_to_be_pushed_sideways_on_a_narrow_screen(tmp_path):
    page = tmp_path / "page.html"
    comparison_page(made_comparison()).write(page)
    too_wide = (
        "Array.from(document.querySelectorAll('html, .card'))"
        ".filter(each => each.scrollWidth > each.clientWidth).length"
    )
    with browser(tmp_path / "profile", 420, 900) as window:
        window.load(page)
        assert window.run("document.querySelectorAll('.card').length") > 10
        assert window.run(too_wide) == 0
        assert window.run("document.documentElement.scrollHeight") < 9000
        window.run("document.querySelectorAll('details').forEach(each => each.open = true)")
        assert window.run(too_wide) == 0
