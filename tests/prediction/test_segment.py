"""A start and an end: rows between them alone, with the values that the whole file gives them."""

import numpy as np
import pandas as pd
import pytest

import triaffect
from tests.prediction.tiny_model import (
    FACE_WINDOW,
    portrait,
    tone,
    write_clip,
    write_sound,
    write_tiny_model,
)
from triaffect.errors import MediaError, TriaffectError
from triaffect.media import video as video_module
from triaffect.prediction.options import Options
from triaffect.prediction.predictor import Predictor
from triaffect.types import Window


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory):
    """Six seconds with sound; two frames without a face."""
    return write_clip(tmp_path_factory.mktemp("long") / "long.mp4", 150, faceless=(110, 111))


def rows_between(table, start, end):
    inside = (table["time_s"] >= start - 1e-6) & (table["time_s"] < end - 1e-6)
    return table[inside].reset_index(drop=True)


def check_same(part, whole):
    numbers = part.select_dtypes("number").columns.drop("face_id")
    assert len(part) == len(whole) > 0
    np.testing.assert_allclose(part[numbers], whole[numbers], atol=1e-5)
    others = part.columns.drop([*numbers])
    pd.testing.assert_frame_equal(part[others], whole[others])


@pytest.mark.parametrize("window", [FACE_WINDOW, Window(0.8, 0.2, causal=False)])
@pytest.mark.parametrize("stride_s", [None, 0.2])
def test_rows_are_those_of_the_whole_file(tmp_path, long_clip, window, stride_s):
    predictor = Predictor(write_tiny_model(tmp_path / "model", window=window))
    whole = predictor.predict(long_clip, stride_s=stride_s)
    for start, end in ((0, 1.0), (4, 5), ("4.48s", "0:05.2"), (3.3, None), (None, 0.5)):
        part = predictor.predict(long_clip, stride_s=stride_s, start=start, end=end)
        options = Options().changed({"start": start, "end": end})
        check_same(part, rows_between(whole, options.start_s or 0, options.end_s or 99))


def test_rows_do_not_depend_on_where_between_searches_a_part_begins(tmp_path, long_clip):
    """The window reaches back two seconds, and the picture is searched every 1.2 s at least."""
    model = write_tiny_model(tmp_path / "model", window=Window(2.0, 0.4))
    predictor = Predictor(model)
    whole = predictor.predict(long_clip)
    for start in np.arange(4.2, 5.8, 0.2).tolist():
        part = predictor.predict(long_clip, start=start, end=start + 0.1)
        check_same(part, rows_between(whole, start, start + 0.1))


def test_a_start_in_the_middle_is_not_decoded_from_the_beginning(predictor, tmp_path, monkeypatch):
    path, decoded = write_clip(tmp_path / "clip.mp4", 700, sound=False, faceless=range(700)), []
    original = video_module.Decoder.upright

    def counted(*given):
        decoded.append(1)
        return original(*given)

    monkeypatch.setattr(video_module.Decoder, "upright", counted)
    table = predictor.predict(path, start=26, end=26.2)
    assert table["frame"].tolist() == [650, 651, 652, 653, 654]
    assert len(decoded) < 90


@pytest.mark.parametrize(("start", "end"), [(0, 1), (3, 4.1), (3.7, None), (None, 0.5)])
def test_a_sound_has_a_start_and_an_end_too(predictor, tmp_path, start, end):
    path = write_sound(tmp_path / "voice.wav", np.concatenate([tone(4.0), np.zeros(32000, "f4")]))
    whole = predictor.predict(path)
    part = predictor.predict(path, start=start, end=end)
    check_same(part, rows_between(whole, start or 0, end or 99))


def test_frames_from_a_program_have_them_too(predictor):
    frames = [(k / 10, portrait()) for k in range(12)]
    table = predictor.predict(frames, start=0.5, end=0.8)
    assert table["time_s"].tolist() == [0.5, 0.6, 0.7]
    assert table["frame"].tolist() == [5, 6, 7]


def test_what_cannot_be_is_one_line(predictor, long_clip):
    with pytest.raises(MediaError, match=r"within the file, got a file of 6\.\d+ s without a row"):
        predictor.predict(long_clip, start=60)
    with pytest.raises(TriaffectError, match=r"^end: expected a number above 2, got 1"):
        predictor.predict(long_clip, start=2, end=1)
    with pytest.raises(TriaffectError, match=r"^start: .*got 'soon'"):
        predictor.predict(long_clip, start="soon")


def test_the_package_has_them(monkeypatch, model, long_clip):
    table = triaffect.predict(long_clip, model=model, start="0:04", end=4.1)
    assert table["frame"].tolist() == [100, 101, 102]
