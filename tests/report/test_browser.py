"""Pages in a real browser: every plot is drawn, nothing is complained about or asked for."""

import re
import shutil
import subprocess

import pytest

from tests.report.pages import SUMMARY, made_journal, made_table
from triaffect.report.demo import demo_page
from triaffect.report.prediction import PredictionPage

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)

pytestmark = pytest.mark.skipif(not BROWSER, reason="needs Chromium (apt-get install chromium)")


def opened(path, profile):
    """The page's elements once it has run, and what the browser had to say."""
    done = subprocess.run(
        [
            BROWSER,
            *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"),
            *("--enable-logging=stderr", f"--user-data-dir={profile}"),
            *("--virtual-time-budget=20000", "--dump-dom", path.as_uri()),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def test_every_plot_is_drawn_without_a_complaint(tmp_path):
    page = PredictionPage()
    page.add(made_table("<b>two</b>.mp4", faces=2, gap=range(20, 40)))
    page.add(made_table("one.png", frames=1))
    page.add(made_table("voice.wav", faces=0))
    page.write(tmp_path / "page.html")
    elements, complaints = opened(tmp_path / "page.html", tmp_path / "profile")
    assert complaints == []
    assert 'data-plots="4"' in elements
    assert elements.count('class="main-svg"') >= 4
    assert len(re.findall(r'class="[^"]*\bhm\b', elements)) == 6  # two heat strips a timeline
    assert elements.count('class="js-line"') >= 3 * 2
    assert elements.count('class="point"') == 2 + 8 + 12


def test_the_demo_page_is_drawn_and_a_broken_one_would_be_noticed(tmp_path):
    text = demo_page(SUMMARY, made_journal(), made_table().to_pandas())
    (tmp_path / "demo.html").write_text(text, "utf-8")
    elements, complaints = opened(tmp_path / "demo.html", tmp_path / "profile")
    assert complaints == []
    assert 'data-plots="3"' in elements
    harmed = text.replace("Plotly.newPlot(", "fetch('https://example.org'); Plotly.newPlot(")
    (tmp_path / "harmed.html").write_text(harmed, "utf-8")
    elements, complaints = opened(tmp_path / "harmed.html", tmp_path / "profile")
    assert any("Content Security Policy" in line for line in complaints)
    assert "data-plots" not in elements.split("<script>")[0]
