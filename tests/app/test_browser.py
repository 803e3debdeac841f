"""The page in a real Chromium: drop, progress, result, cancel, two tabs, camera."""

import base64
import json
import time

import cv2
import numpy as np
import pytest

from tests.app.serving import make_state, serve, wait_until
from tests.prediction.tiny_model import portrait, tone, write_clip, write_sound
from tests.report.browser import BROWSER, DRIVER, browser
from triaffect.app.history import ENDED

pytestmark = pytest.mark.skipif(
    not (BROWSER and DRIVER), reason="needs Chromium (apt-get install chromium chromium-driver)"
)

READY = "document.documentElement.dataset.ready"
PROBLEM = "document.getElementById('problem').innerText"


@pytest.fixture
def state(predictor, tmp_path):
    return make_state(predictor, tmp_path / "history", is_stored=True)


@pytest.fixture
def address(state):
    with serve(state) as made:
        yield made


@pytest.fixture(scope="module")
def window(tmp_path_factory):
    """A Chromium whose camera shows a portrait, and whose microphone hears a voice."""
    folder = tmp_path_factory.mktemp("camera")
    pictures = []
    for k in range(8):
        shifted = np.pad(np.roll(portrait(), k, 1), ((0, 0), (0, 64), (0, 0)))
        bgr = cv2.cvtColor(cv2.resize(shifted, (640, 512)), cv2.COLOR_RGB2BGR)
        pictures.append(cv2.imencode(".jpg", bgr)[1].tobytes())
    (folder / "camera.mjpeg").write_bytes(b"".join(pictures))
    voice = write_sound(folder / "voice.wav", tone(6.0))
    flags = (
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-video-capture={folder / 'camera.mjpeg'}",
        f"--use-file-for-fake-audio-capture={voice}",
    )
    with browser(tmp_path_factory.mktemp("profile"), flags=flags) as made:
        yield made


@pytest.fixture
def page(window, address):
    window.go("about:blank")  # the page of the test before asks a server that has gone
    window.complaints()
    window.resize(1280, 900)
    window.go(address)
    window.wait(READY)
    yield window
    assert [line for line in window.complaints() if "422" not in line] == []


def text(selector):
    return f"document.querySelector({json.dumps(selector)})?.innerText"


def drop(window, *files):
    """Drop files on the page, as far as a script can: their events, with their content."""
    parts = [
        f"new File([Uint8Array.from(atob('{base64.b64encode(path.read_bytes()).decode()}'),"
        f"c => c.charCodeAt(0))], {json.dumps(name)})"
        for name, path in files
    ]
    window.run(
        f"(() => {{ const data = new DataTransfer(); for (const each of [{','.join(parts)}])"
        "data.items.add(each); for (const kind of ['dragover', 'drop'])"
        "document.getElementById('drop').dispatchEvent(new DragEvent(kind,"
        "{bubbles: true, cancelable: true, dataTransfer: data})); })()"
    )


def test_a_dropped_file_gives_results_and_a_page_to_look_at(page, clip, state):
    drop(page, ('"><img src=x onerror=alert(1)>.mp4', clip))
    page.wait("document.querySelector('.job.done')")
    assert page.run(text(".job .name")) == '"><img src=x onerror=alert(1)>.mp4'
    assert page.run("document.querySelectorAll('#jobs img').length") == 0
    assert "40 rows" in page.run(text(".job .state"))
    assert page.run(text(".faces td")) == "Face 0"
    links = page.run("[...document.querySelectorAll('.job a')].map(a => a.innerText)")
    assert links == ["Look at it", *("Table, CSV", "Excel", "Parquet", "Summary", "Page, HTML")]
    (entry,) = state.history.entries()
    assert entry.options.pictures
    address = page.run("document.querySelector('.job a.first').href")
    before = page.open_tab()
    page.go(address)
    page.settled()
    assert "40 frames" in page.run("document.body.innerText")
    assert page.run("document.querySelectorAll('.tab.chosen .panel').length") > 3
    assert page.complaints() == []
    page.close_tab(before)
    page.run("document.querySelector('.job button.quiet').click()")
    page.wait("!document.querySelector('.job')")
    assert state.history.entries() == []


def test_options_go_with_the_files(page, clip, state):
    page.run("document.getElementById('annotate').click()")
    page.run("document.getElementById('sound').click()")
    page.run("document.getElementById('stride_s').value = '0.2'")
    page.choose_files("#choose-files", clip)
    page.wait("document.querySelector('.job.done')")
    (entry,) = state.history.entries()
    assert (entry.options.stride_s, entry.options.sound, entry.options.annotate) == (
        0.2,
        False,
        True,
    )
    assert "Annotated copy" in page.run(text(".job .actions"))


def test_of_a_folder_the_media_are_taken_and_the_others_named(page, clip, tmp_path, state):
    for name in ("a/one.mp4", "a/b/two.MP4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(clip.read_bytes())
    for name in ("notes.txt", ".hidden.mp4"):
        (tmp_path / "a" / name).write_text("words")
    page.choose_files("#choose-folder", tmp_path / "a")
    page.wait("document.querySelectorAll('.job.done').length === 2")
    assert {entry.name for entry in state.history.entries()} == {"one.mp4", "two.MP4"}
    assert "1 of the folder (notes.txt)" in page.run(PROBLEM)


def test_progress_results_so_far_and_cancel(page, tmp_path, state, clip):
    page.choose_files("#choose-files", clip)
    page.wait("document.querySelector('.job.done')")
    page.run("document.querySelector('.job.done a').focus()")
    long = write_clip(tmp_path / "long.mp4", 1500, sound=False)
    page.choose_files("#choose-files", long)
    page.wait("document.querySelector('.job.running progress')?.value > 0.02")
    assert page.run(text(".job.running .state")).endswith("of 1:00")
    first = page.run("document.querySelector('.job.running progress').value")
    page.wait(f"document.querySelector('.job.running progress')?.value > {first}")
    assert page.wait("document.querySelector('.job.running .faces td')?.innerText") == "Face 0"
    page.run("document.querySelector('.job.running .top button').click()")
    page.wait("document.querySelector('.job.cancelled')")
    names = page.run("[...document.querySelectorAll('.job .name')].map(each => each.innerText)")
    assert names == ["long.mp4", "clip.mp4"]
    focused = page.run("document.activeElement.innerText")
    assert focused == "Look at it", "what stays has the focus while others change"
    assert not list(state.history.folder.rglob("media"))


def test_two_tabs_show_the_same(page, clip, tmp_path):
    bad = tmp_path / "bad.mp4"
    bad.write_text("words")
    address = page.run("location.href")
    first = page.open_tab()
    page.go(address)
    page.wait(READY)
    page.choose_files("#choose-files", clip, bad)
    page.wait("document.querySelector('.job.done') && document.querySelector('.job.failed')")
    seen = page.run("document.getElementById('jobs').innerText")
    assert "expected a media file" in seen
    page.close_tab(first)
    page.wait("document.querySelectorAll('.job').length === 2 && !document.hidden")
    page.wait("document.querySelector('.job.done') && document.querySelector('.job.failed')")
    assert page.run("document.getElementById('jobs').innerText") == seen


def test_a_server_that_has_gone_is_told(window, state, clip):
    with serve(state) as address:
        window.go(address)
        window.wait(READY)
    window.wait(f"{PROBLEM}.startsWith('No answer from triaffect app')")
    window.choose_files("#choose-files", clip)
    window.wait(f"{PROBLEM}.includes('could not be sent') || {PROBLEM}.startsWith('No answer')")
    window.complaints()


def test_the_camera_is_answered_and_recorded(page, state):
    page.run("document.getElementById('tab-live').click()")
    page.run("document.getElementById('start').click()")
    page.wait("Number(document.documentElement.dataset.answers) > 20", 60)
    assert state.history.entries() == []
    assert page.run(PROBLEM) == ""
    assert page.run("document.querySelectorAll('.meter').length") > 15
    values = page.run("[...document.querySelectorAll('.meter .value')].map(each => each.innerText)")
    assert all(value != "–" for value in values[:2])  # noqa: RUF001
    page.wait("document.getElementById('pace').innerText.includes('a voice')", 30)
    page.run("document.getElementById('record').click()")
    page.wait("/recording 0:0[1-9]/.test(document.getElementById('pace').innerText)")
    page.run("document.getElementById('record').click()")
    page.wait("document.getElementById('live-note').innerText.includes('is among the jobs')")
    page.run("document.getElementById('start').click()")
    page.wait("!document.getElementById('screen-note').hidden")
    (entry,) = state.history.entries()
    wait_until(lambda: state.history.entry(entry.id).state in ENDED)
    assert state.history.entry(entry.id).rows > 0
    page.run("document.getElementById('tab-files').click()")
    page.wait("document.querySelector('.job.done')")
    assert "Recording" in page.run(text(".job .actions"))
    wait_until(lambda: state.live == 0)


def test_without_a_camera_the_page_says_so(page):
    page.run("navigator.mediaDevices.getUserMedia = () => Promise.reject(new Error('none there'))")
    page.run("document.getElementById('tab-live').click()")
    page.run("document.getElementById('start').click()")
    assert page.wait(PROBLEM) == "No camera: none there"


@pytest.mark.parametrize("width", [1280, 800, 420])
@pytest.mark.parametrize("tab", ["files", "live"])
def test_nothing_is_wider_than_the_screen(page, width, tab):
    page.resize(width, 900)
    page.run(f"document.getElementById('tab-{tab}').click()")
    time.sleep(0.2)
    assert page.run("document.documentElement.scrollWidth") == width
