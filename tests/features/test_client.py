"""The client in docs/reference/model-folder.md, run as it stands there: its answers are ours."""

import re
import runpy
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.architecture.repository import ROOT
from tests.prediction.tiny_model import portrait, tone, write_clip
from triaffect.faces.stream import FaceStream
from triaffect.features.extractors.registry import SHIPPED
from triaffect.features.timeline import nearest_rows
from triaffect.media.audio import sound_chunks
from triaffect.media.video import VideoFrames
from triaffect.prediction.options import Options
from triaffect.prediction.predictor import Predictor
from triaffect.weights.default import example

MOST = 1e-4


@pytest.fixture(scope="module")
def page():
    """The names that the page's program and its function define, and its lines of use."""
    text = (ROOT / "docs" / "reference" / "model-folder.md").read_text("utf-8")
    (program,) = re.findall(r'```python title="example.py"\n(.*?)```', text, re.DOTALL)
    (function,) = re.findall(r'```python title="voices.py"\n(.*?)```', text, re.DOTALL)
    (use,) = re.findall(r"```python\n(client = .*?)```", text, re.DOTALL)
    assert program == Path(example.__file__).read_text("utf-8"), "copy the file into the page"
    names = {"__name__": "example"}
    exec(compile(program, "example.py", "exec"), names)
    exec(compile(function, "voices.py", "exec"), names)
    return names, use


def test_the_program_is_short_and_is_silent_where_it_agrees(capsys):
    assert len(Path(example.__file__).read_text("utf-8").splitlines()) <= 70
    runpy.run_path(example.__file__, run_name="__main__")
    assert capsys.readouterr() == ("", "")


@pytest.fixture(scope="module")
def shipped():
    return Predictor(SHIPPED, options=Options(detection_interval_s=0))


@pytest.fixture(scope="module")
def client(page):
    return page[0]["Client"](SHIPPED)


def differences(answer, row):
    """How far each answer is from the table's row; the same are blank."""
    columns = [name for name in row.index if name in answer or name.startswith(("p_", "AU"))]
    assert {name for name in columns if row[name] == row[name]} == set(answer)
    return {name: abs(answer[name] - row[name]) for name in answer}


@pytest.mark.parametrize("change", ["as it is", "turned", "dark", "enlarged"])
def test_stills(page, shipped, change):
    rgb = portrait()
    if change == "turned":
        turn = cv2.getRotationMatrix2D((128, 70), 12, 1.0)
        rgb = cv2.warpAffine(rgb, turn, (256, 256), borderMode=cv2.BORDER_REPLICATE)
    elif change == "dark":
        rgb = (rgb * 0.4).astype(np.uint8)
    elif change == "enlarged":
        rgb = cv2.resize(rgb, (400, 400))
    faces = FaceStream().read_picture(rgb)
    assert len(faces.tracks) == 1
    (landmarks,) = faces.detections.landmarks
    names = {**page[0], "rgb": rgb, "landmarks": landmarks}
    exec(page[1].replace('"MODEL"', repr(str(SHIPPED))), names)
    (row,) = [row for _, row in shipped.predict(rgb).iterrows()]
    told = differences(names["still"], row)
    assert len(told) == 21
    assert max(told.values()) <= MOST


@pytest.fixture(scope="module")
def clip(shipped, tmp_path_factory):
    """A video with a voice, its table, its frames, what was seen in each, and its sound."""
    path = write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", 110, sound=tone(4.4))
    seen = list(FaceStream(detection_interval_s=0).follow(VideoFrames(path)))
    pictures = [frame.rgb for frame in VideoFrames(path)]
    sound = np.concatenate(list(sound_chunks(path, 16_000, [], [])))
    return shipped.predict(path), pictures, seen, sound


@pytest.mark.parametrize("at_s", [3.0, 2.48])
def test_a_moment_of_a_video_with_a_voice(page, client, clip, at_s):
    """At one the voice network runs; at the other, the nearest row lies between two runs."""
    table, pictures, seen, sound = clip
    (row,) = [row for _, row in table[np.isclose(table["time_s"], at_s)].iterrows()]
    assert row["voice_heard"]
    times_s = np.array([each.time_s for each in seen])
    window = client.parts["fusion"]["window"]
    hop_s, positions = window["hop_s"], round(window["span_s"] / window["hop_s"]) + 1
    assert window["causal"]
    offsets_s = hop_s * np.arange(1 - positions, 1)
    numbers = nearest_rows(times_s, at_s + offsets_s, hop_s / 2)
    vectors = [client.face(pictures[k], seen[k].detections.landmarks[0]) for k in numbers]
    voices = page[0]["voices"](client, sound)
    voice = voices[round(at_s / client.parts["voice"]["hop_s"])]
    answer = client.answer(vectors, voice)
    apart = differences(answer, row)
    assert len(apart) == 22
    assert max(apart.values()) <= MOST
    assert client.answer([None, *vectors[1:]], voice) != answer
    assert client.answer(vectors, voices[0]) != answer
