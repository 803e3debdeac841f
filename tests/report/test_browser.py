"""Pages in a real browser, from disk: what is drawn, pointed at, chosen and printed."""

import json
import re

import numpy as np
import pandas as pd
import pytest

import triaffect
from tests.prediction.tiny_model import write_clip
from tests.report.browser import BROWSER, DRIVER, browser
from tests.report.pages import SUMMARY, made_journal, made_table
from tests.studies.made_study import write_study
from triaffect.report.groups_page import groups_page
from triaffect.report.prediction_page import PredictionPage
from triaffect.report.training_page import training_page
from triaffect.studies.groups import Groups
from triaffect.studies.run import measure_stored
from triaffect.studies.table_file import read_prediction_table
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
    flags = ["--autoplay-policy=no-user-gesture-required"]  # a script presses the keys here
    with browser(tmp_path_factory.mktemp("profile"), flags=flags) as made:
        yield made


@pytest.fixture
def opened(window, page):
    """The page, just opened at the width of a screen."""
    window.resize(1280, 900)
    window.open(page)
    yield window
    assert window.complaints() == []


def choose_clip(window, number, person=0):
    window.run(f"location.hash = 'clip-{number}-{person}'")
    window.wait(f"document.documentElement.dataset.clip === '{number}'")
    window.settled()


def press(window, key, selector="body"):
    """Press a key on an element."""
    event = f"new KeyboardEvent('keydown', {{key: {key!r}, bubbles: true, cancelable: true}})"
    window.run(f"document.querySelector({selector!r}).dispatchEvent({event})")


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


def test_rows_lead_to_people_by_pointer_and_keys(opened):
    rows = "[...document.querySelectorAll('#results tbody tr:not([hidden])')]"
    names = opened.run(f"{rows}.map(row => row.querySelector('b').innerText)")
    assert names == [HOSTILE.rpartition("/")[2]] * 3 + ["one.png", "voice.wav"]
    opened.run(f"{rows}[4].querySelector('td:last-child').click()")
    opened.wait("document.documentElement.dataset.clip === '2'")
    assert opened.run(f"{rows}.findIndex(row => row.classList.contains('here'))") == 4
    press(opened, "p")
    opened.wait("document.documentElement.dataset.clip === '1'")
    assert opened.run("document.querySelector('#stepper span').innerText") == "4 of 5"
    press(opened, "p")
    opened.wait("document.documentElement.dataset.clip === '0'")
    assert opened.run(CHOSEN).startswith("No face")
    press(opened, "Escape")
    where = "document.activeElement.getAttribute('href')"
    assert opened.run(where) == "#clip-0-2"
    press(opened, "ArrowUp", "#results tr.here a")
    assert opened.run(where) == "#clip-0-1"
    press(opened, "/")
    assert opened.run("document.activeElement.id") == "filter"


def test_the_filter_leaves_the_rows_with_all_of_its_words(opened):
    opened.run(
        "(field => { field.value = 'PNG face'; field.dispatchEvent(new Event('input')); })"
        "(document.getElementById('filter'))"
    )
    left = "[...document.querySelectorAll('#results tbody tr')].map(row => !row.hidden)"
    assert opened.run(left) == [False, False, False, True, False]
    assert opened.run("document.getElementById('count').innerText") == "1 of 5 people"
    assert opened.run("document.querySelector('#results tbody tr').offsetHeight") == 0


def test_pictures_of_a_face_have_no_hole_where_it_was_there(opened):
    film = "document.querySelectorAll('.tab.chosen .panel')[1]"
    count = f"{film}.querySelectorAll('{{}}').length"
    across = f"[...{film}.querySelectorAll('image, .missing')]"
    lefts = opened.run(f"{across}.map(each => Number(each.getAttribute('x')))")
    assert np.ptp(np.diff(sorted(lefts))) < 0.1
    # of 60 frames the face is away in the 20 before the middle
    assert opened.run(count.format(".missing")) >= 2
    assert opened.run(count.format("image")) >= 4


def test_the_video_is_played_from_where_it_lies(window, tmp_path):
    (tmp_path / "clips").mkdir()
    (tmp_path / "pages").mkdir()
    video = write_clip(tmp_path / "clips" / "a clip #1.mp4", 60, sound=False)
    made = PredictionPage(folder=tmp_path / "pages")
    made.add(made_table("a clip #1.mp4"), video)
    made.write(tmp_path / "pages" / "page.html")
    window.resize(1280, 900)
    window.open(tmp_path / "pages" / "page.html")
    window.wait("document.querySelector('.player.ready video')?.readyState > 1")
    press(window, "ArrowRight", ".tab.chosen .main")
    at = "document.querySelector('video').currentTime"
    assert window.run(at) == pytest.approx(1 / 25)
    press(window, " ", ".tab.chosen .main")
    window.wait(f"{at} > 0.5")  # it plays, and the cursor goes with it
    window.wait(f"Number.parseFloat({READ}.match(/([0-9.]+) s/)[1]) > 0.4")
    assert window.complaints() == []
    video.unlink()
    window.open_again()
    window.wait("document.querySelector('.player') === null")
    # the browser notes itself that the file is gone, and nothing else
    assert all("ERR_FILE_NOT_FOUND" in line for line in window.complaints())


def test_five_hundred_clips_are_drawn_when_looked_at(window, tmp_path):
    made = PredictionPage()
    for k in range(500):
        made.add(made_table(f"{k}.mp4", frames=3))
    made.write(tmp_path / "page.html")
    window.resize(1280, 900)
    window.open(tmp_path / "page.html")
    drawn = "document.querySelectorAll('.tab').length"
    assert window.run(drawn) == 1
    assert window.run("document.querySelector('.stepper').getBoundingClientRect().top") < 1000
    choose_clip(window, 499)
    assert window.run(drawn) == 2
    visible = "document.querySelector('section.clip:not([hidden]) h2').innerText"
    assert window.run(visible) == "499.mp4"
    assert window.complaints() == []


def test_a_hostile_name_is_shown_as_it_is(opened):
    assert opened.run("document.querySelector('h2').textContent") == HOSTILE
    assert (
        opened.run("document.querySelector('#results b').textContent") == HOSTILE.rpartition("/")[2]
    )
    assert opened.run("document.querySelectorAll('b b, img[onerror]').length") == 0


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
    # results and summary; each of the three people; how to read
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) == 1 + 3 + 1
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


def test_people_are_named_on_the_page_and_the_file_is_read(window, page, tmp_path):
    window.resize(1280, 900)
    window.open(page)
    assert window.run("document.querySelectorAll('input.name').length") == 0
    window.run("document.getElementById('name-people').click()")
    fields = "[...document.querySelectorAll('input.name')]"
    assert (
        window.run(f"{fields}.length") == 4
    )  # two faces, a picture, a sound; no voice beside faces
    names = ["Anna", "Anna", 'B "x", y', ""]
    window.run(f"{fields}.forEach((field, k) => {{ field.value = {json.dumps(names)}[k]; }})")
    window.run("(() => { URL.createObjectURL = (made) => { window.made = made; return '#'; }; })()")
    window.run("document.getElementById('name-people').click()")
    (tmp_path / "people.csv").write_text(window.run("window.made.text()"), "utf-8")
    people = pd.read_csv(tmp_path / "people.csv")
    assert people.to_dict("list") == {
        "clip": [HOSTILE, HOSTILE, "one.png"],
        "face": [0, 1, 0],
        "participant": names[:3],
    }
    faces = made_table(HOSTILE, faces=2).to_pandas()
    table = pd.concat(
        [faces[faces["face_id"] == faces["frame"] % 2], made_table("one.png", frames=1).to_pandas()]
    )
    summary = triaffect.summarize(table, people=tmp_path / "people.csv")
    assert summary["participant"].tolist() == names[1:3], "two faces of one name are one person"
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


@pytest.fixture(scope="module")
def groups(tmp_path_factory):
    """The page of three people in two conditions."""
    folder = write_study(tmp_path_factory.mktemp("groups"))
    stored = read_prediction_table(folder / "study.csv")
    study, measures = measure_stored(stored, folder / "people.csv", by=["condition"])
    made = groups_page(Groups.of(measures, study.by), measures, {})
    made.write(folder / "groups.html")
    return folder / "groups.html"


@pytest.mark.parametrize("width", [1280, 800, 420])
def test_groups_are_compared_within_the_screen(window, groups, width):
    window.resize(width, 900)
    window.load(groups)
    assert window.run("document.documentElement.scrollWidth") == width
    drawings = "[...document.querySelectorAll('.measure svg')]"
    boxes = f"{drawings}.map(svg => svg.getBoundingClientRect())"
    assert window.run(f"{boxes}.every(box => box.width > 110 && box.right <= innerWidth)")
    assert window.run(f"{drawings}.length") == 6  # valence, arousal, smile: people and difference
    smallest = "Math.min(...[...document.querySelectorAll('.measure text')].map(text =>"
    letters = f"{smallest} text.getBoundingClientRect().height))"
    assert window.run(letters) > 8
    assert window.complaints() == []


def test_groups_are_printed_without_a_torn_card(window, groups):
    window.resize(1280, 900)
    window.load(groups)
    printed = window.printed()
    assert 1 <= len(re.findall(rb"/Type\s*/Page\b", printed)) <= 2
    window.devtools("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        how = "getComputedStyle(document.querySelector('.measure'))"
        assert window.run(f"{how}.breakInside") == "avoid"
        drawn = "[...document.querySelector('.pair').children]"
        tops = f"{drawn}.map(svg => svg.getBoundingClientRect().y)"
        assert len(set(window.run(tops))) == 1  # the difference stands beside the people
    finally:
        window.devtools("Emulation.setEmulatedMedia", {"media": ""})
