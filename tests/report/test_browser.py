"""Pages in a real browser, from disk: what is drawn, pointed at, chosen and printed."""

import re

import numpy as np
import pytest

from tests.prediction.tiny_model import write_clip
from tests.report.browser import BROWSER, DRIVER, browser
from tests.report.pages import SUMMARY, made_journal, made_table
from triaffect.report.prediction_page import PredictionPage
from triaffect.report.training_page import training_page
from triaffect.tasks.registry import TASKS

pytestmark = pytest.mark.skipif(
    not (BROWSER and DRIVER), reason="needs Chromium (apt-get install chromium chromium-driver)"
)

HOSTILE = '"><img src=x onerror=alert(1)><b>two</b></script>.mp4'
PANELS = "document.querySelectorAll('.tab.chosen .along-time')"
CURSORS = f"[...{PANELS}].map(svg => Number(svg.querySelector('.cursor').getAttribute('x1')))"
READ = "document.querySelector('.tab.chosen .readout').innerText"
CHOSEN = "document.querySelector('[aria-selected=true]').innerText"


def place_of(panel):
    """An expression for where a panel of the chosen tab is in the window: x, y, width, height."""
    return (
        f"(() => {{ const svg = {PANELS}[{panel}]; svg.scrollIntoView({{block: 'center'}});"
        "const box = svg.getBoundingClientRect();"
        "return [box.x, box.y, box.width, box.height]; })()"
    )


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A page of a video with two faces, a picture and a voice."""
    folder = tmp_path_factory.mktemp("page")
    video = write_clip(folder / "clip.mp4", 60, sound=False)
    made = PredictionPage()
    made.add(made_table(HOSTILE, faces=2, gap=range(20, 40)), video)
    made.add(made_table("one.png", frames=1))
    made.add(made_table("voice.wav", faces=0))
    made.write(folder / "page.html")
    return folder / "page.html"


@pytest.fixture(scope="module")
def window(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("profile")) as made:
        yield made


@pytest.fixture
def opened(window, page):
    """The page, just opened at the width of a screen."""
    window.resize(1280, 900)
    window.open(page)
    yield window
    assert window.complaints() == []


def choose_clip(window, number):
    window.run(
        f"(select => {{ select.value = {number}; select.dispatchEvent(new Event('change')); }})"
        "(document.querySelector('select'))"
    )
    window.settled()


def test_every_panel_of_every_tab_is_drawn(opened):
    count = "document.querySelectorAll('.tab{} {}').length"
    assert opened.run(count.format(":nth-of-type(2)", ".panel")) == 2 + 1 + len(TASKS) + 1
    assert opened.run("document.querySelectorAll('.plane circle.cursor').length") == 3
    titles = opened.run("document.querySelector('.tab.chosen .main').textContent")
    for task in TASKS:
        assert all(task.title(column) in titles for column in task.columns)
    assert opened.run("[...document.images].every(image => image.naturalWidth > 0)")
    assert opened.run("document.querySelectorAll('.tab.chosen image').length") > 4


def test_pointing_at_one_panel_moves_the_cursor_of_all(opened):
    rows = made_table(faces=2, gap=range(20, 40)).to_pandas()
    rows = rows[rows["face_id"] == 0].set_index("frame")
    for panel, frame in ((3, 10), (4, 50), (0, 3)):
        x, y, width, height = opened.run(place_of(panel))
        left, right = 158 / width, 1 - 14 / width
        opened.point(x + width * (left + (frame + 0.5) / 60 * (right - left)), y + height / 2)
        segments = opened.run(CURSORS)
        assert len(set(segments)) == 1
        assert len(segments) == 6
        told = opened.run(READ)
        assert f"{frame / 25:.1f} s" in told
        for column in ("valence", "arousal", "AU25"):
            assert f"{rows.loc[frame, column]:.2f}" in told
        dot = opened.run(
            "(dot => [dot.getAttribute('cx'), dot.getAttribute('cy')].map(Number))"
            "(document.querySelector('.tab.chosen circle.cursor'))"
        )
        valence, arousal = rows.loc[frame, "valence"], rows.loc[frame, "arousal"]
        assert np.allclose(dot, [120 + 92 * valence, 120 - 92 * arousal], atol=0.1)


def test_a_moment_without_the_face_has_no_values(opened):
    x, y, width, height = opened.run(place_of(3))
    opened.point(x + 158 + (width - 172) / 2, y + height / 2)
    told = opened.run(READ)
    assert "face seen 0\xa0%" in told
    assert re.search(r"valence\s*–", told)  # noqa: RUF001
    hidden = "document.querySelector('.tab.chosen circle.cursor').getAttribute('visibility')"
    assert opened.run(hidden) == "hidden"


def test_pointing_at_the_circumplex_chooses_its_nearest_moment(opened):
    before = opened.run(CURSORS)
    x, y, width, height = opened.run(
        "(() => { const svg = document.querySelector('.tab.chosen .plane');"
        "svg.scrollIntoView({block: 'center'}); const box = svg.getBoundingClientRect();"
        "return [box.x, box.y, box.width, box.height]; })()"
    )
    rows = made_table(faces=2, gap=range(20, 40)).to_pandas()
    rows = rows[rows["face_id"] == 0].set_index("frame")
    frame = rows["valence"].idxmax()
    valence, arousal = rows.loc[frame, "valence"], rows.loc[frame, "arousal"]
    opened.point(
        x + width * (120 + 92 * valence) / 240 + 3, y + height * (120 - 92 * arousal) / 240
    )
    assert opened.run(CURSORS) != before
    assert f"{frame / 25:.1f} s" in opened.run(READ)


def test_the_arrow_keys_move_the_cursor_by_one_point(opened):
    press = (
        "document.querySelector('.tab.chosen .main').dispatchEvent("
        "new KeyboardEvent('keydown', {key: 'ArrowRight', bubbles: true}))"
    )
    before = opened.run(CURSORS)[0]
    opened.run(press)
    after = opened.run(CURSORS)
    assert set(after) != {before}
    assert len(set(after)) == 1


def test_tabs_and_clips_are_chosen(opened):
    labels = opened.run("[...document.querySelectorAll('[role=tab]')].map(tab => tab.innerText)")
    assert [label.split(",")[0] for label in labels] == ["Face 0", "Face 1", "No face"]
    for number, label in enumerate(labels):
        opened.run(f"document.querySelectorAll('[role=tab]')[{number}].click()")
        assert opened.run(CHOSEN) == label
        assert opened.run("document.querySelectorAll('.tab.chosen').length") == 1
    choose_clip(opened, 2)
    assert opened.run("document.querySelector('section.clip:not([hidden]) h2').innerText") == (
        "voice.wav"
    )
    choose_clip(opened, 1)
    shown = "document.querySelectorAll('section.clip:not([hidden]) .tab.chosen .along-time')"
    assert opened.run(f"{shown}.length") == 0
    bars = "document.querySelectorAll('section.clip:not([hidden]) .main .bar').length"
    assert opened.run(bars) == sum(task.width for task in TASKS)


def test_a_hostile_name_is_shown_as_it_is(opened):
    assert opened.run("document.querySelector('h2').textContent") == HOSTILE
    assert opened.run("document.querySelector('option').textContent") == HOSTILE
    assert opened.run("document.querySelectorAll('b:not(.value b), img[onerror]').length") == 0


@pytest.mark.parametrize("width", [1280, 800, 420])
def test_nothing_is_wider_than_the_screen(opened, width):
    opened.resize(width, 900)
    opened.open_again()
    assert opened.run("document.documentElement.scrollWidth") == width
    inside = (
        "[...document.querySelectorAll('.tab.chosen .panel svg')]"
        ".every(svg => svg.getBoundingClientRect().right <= innerWidth)"
    )
    assert opened.run(inside)


def test_a_tab_is_printed_on_a_page_and_drawn_again_after(opened):
    before = opened.run(f"{PANELS}[3].getAttribute('viewBox')")
    printed = opened.printed()
    assert printed.startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) == 1 + 3
    assert opened.run(f"{PANELS}[3].getAttribute('viewBox')") == before


def test_a_long_gap_of_time_is_left_open(window, tmp_path):
    """A video whose clock jumps: nothing is drawn over the time that is not there."""
    table = made_table(frames=40)
    times_s = table["time_s"].to_numpy().copy()
    times_s[20:] += 5
    made = PredictionPage()
    made.add(table.set_column(2, "time_s", [times_s]))
    made.write(tmp_path / "page.html")
    window.open(tmp_path / "page.html")
    lines = "[...document.querySelectorAll('path[stroke-width=\"1.9\"]')]"
    assert window.run(f"{lines}.map(path => path.getAttribute('d').split('M').length - 1)") == [
        2,
        2,
    ]
    assert window.complaints() == []


def test_the_training_page_is_drawn_and_a_broken_one_would_be_noticed(window, tmp_path):
    text = training_page(SUMMARY, made_journal(), made_table().to_pandas())
    (tmp_path / "demo.html").write_text(text, "utf-8")
    window.open(tmp_path / "demo.html")
    assert window.complaints() == []
    assert window.run("document.querySelectorAll('.plots polyline').length") == 2 * 6
    assert window.run(f"{PANELS}.length") == 1 + len(TASKS)
    harmed = text.replace("function start() {", "function start() { fetch('https://example.org');")
    (tmp_path / "harmed.html").write_text(harmed, "utf-8")
    window.load(tmp_path / "harmed.html")
    assert any("Content Security Policy" in line for line in window.complaints())
    assert window.run("document.documentElement.dataset.clip") is None
