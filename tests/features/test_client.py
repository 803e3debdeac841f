"""The client in docs/reference/model-folder.md, run as it stands there: its answers are ours."""

import re

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

MOST = 1e-4


@pytest.fixture(scope="module")
def page():
    """The names that the page's program defines, and its two lines of use."""
    text = (ROOT / "docs" / "reference" / "model-folder.md").read_text("utf-8")
    (program,) = re.findall(r'```python title="example.py"\n(.*?)```', text, re.DOTALL)
    (use,) = re.findall(r"```python\n(client = .*?)```", text, re.DOTALL)
    names = {}
    exec(compile(program, "example.py", "exec"), names)
    return names, use


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
    (landmarks,) = faces.detections.landmarks.astype(np.float64)
    names = {**page[0], "rgb": rgb, "landmarks": landmarks}
    exec(page[1].replace('"MODEL"', repr(str(SHIPPED))), names)
    (row,) = [row for _, row in shipped.predict(rgb).iterrows()]
    told = differences(names["still"], row)
    assert len(told) == 21
    assert max(told.values()) <= MOST


def test_a_moment_of_a_video_with_a_voice(client, shipped, tmp_path):
    path = write_clip(tmp_path / "clip.mp4", 110, sound=tone(4.4))
    table = shipped.predict(path)
    at_s = 3.0  # where the voice network runs
    (row,) = [row for _, row in table[table["time_s"] == at_s].iterrows()]
    assert row["voice_heard"]
    stream = FaceStream(detection_interval_s=0)
    seen = list(stream.follow(VideoFrames(path)))
    times_s = np.array([each.time_s for each in seen])
    hop_s = client.offsets_s[1] - client.offsets_s[0]
    numbers = nearest_rows(times_s, at_s + client.offsets_s, hop_s / 2)
    pictures = [frame.rgb for frame in VideoFrames(path)]
    vectors = [
        client.face(pictures[k], seen[k].detections.landmarks[0].astype(np.float64))
        for k in numbers
    ]
    sound = np.concatenate(list(sound_chunks(path, 16_000, [], [])))
    told = differences(client.answer(vectors, client.voice(sound, at_s)), row)
    assert len(told) == 22
    assert max(told.values()) <= MOST
    early = client.answer([None, *vectors[1:]], client.voice(sound, at_s))
    assert early != client.answer(vectors, client.voice(sound, at_s))
