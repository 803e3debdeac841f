"""Options: what cannot be is refused, and what can changes what it says."""

import math

import numpy as np
import pandas as pd
import pytest

import triaffect
from tests.prediction.tiny_model import FACE_WINDOW, tone, write_clip, write_sound, write_tiny_model
from triaffect.errors import TriaffectError
from triaffect.prediction.options import Options
from triaffect.prediction.predictor import Predictor, RowStride
from triaffect.types import Window


@pytest.mark.parametrize(
    ("name", "value"),
    [("stride_s", 0.0), ("stride_s", -1.0), ("stride_s", math.nan), ("detection_interval_s", -0.1),
     ("detection_interval_s", math.inf), ("min_face_px", -1.0),
     ("stride_s", "0.2"), ("stride_s", True), ("min_face_px", [40])],
)  # fmt: skip
def test_what_cannot_be_is_refused_by_name(name, value):
    with pytest.raises(TriaffectError, match=f"^{name}: expected a number"):
        Options(**{name: value})


@pytest.mark.parametrize("value", [1.5, "2", 0, True])
def test_counts_are_whole_numbers(predictor, value):
    for name in ("max_faces", "sound_track"):
        with pytest.raises(TriaffectError, match=f"^{name}: expected a whole number of at least 1"):
            Options(**{name: value})
    with pytest.raises(TriaffectError, match=r"^jobs: expected a whole number of at least 1"):
        predictor.predict(np.zeros((9, 9, 3), np.uint8), jobs=value)
    assert Options(max_faces=np.int64(2), stride_s=np.float32(0.5)).max_faces == 2


def test_names_of_the_version_before_are_taken_with_a_warning():
    with pytest.warns(DeprecationWarning, match="every_s is now stride_s"):
        assert Options(every_s=0.2) == Options(stride_s=0.2)
    with pytest.warns(DeprecationWarning, match="most_faces is now max_faces"):
        assert Options(False, most_faces=1) == Options(sound=False, max_faces=1)
    with pytest.raises(TypeError, match="no option 'stride'; it has sound, stride_s"):
        Options(stride=0.2)


def test_the_package_gives_them():
    assert triaffect.Options is Options
    with pytest.raises(AttributeError, match="Opt"):
        triaffect.Opt  # noqa: B018


@pytest.mark.parametrize("window", [FACE_WINDOW, Window(0.8, 0.2, causal=False), Window(0.3, 0.1)])
@pytest.mark.parametrize("every_s", [0.2, 0.1, 0.5, 3.0])
def test_rows_at_fewer_moments_are_those_of_every_frame(tmp_path, clip, window, every_s):
    model = write_tiny_model(tmp_path / "model", window=window)
    whole = Predictor(model).predict(clip)
    fewer = Predictor(model, options=Options(stride_s=every_s)).predict(clip)
    steps = np.floor((whole["time_s"] + 1e-3) / every_s)
    wanted = whole[steps.diff().fillna(1) > 0].reset_index(drop=True)
    assert len(fewer) == math.ceil(40 / 25 / every_s)
    pd.testing.assert_frame_equal(fewer, wanted)


def test_a_sound_has_fewer_rows_too(predictor, model, tmp_path):
    path = write_sound(tmp_path / "voice.wav", tone(3.0))
    whole = predictor.predict(path)
    fewer = Predictor(model, options=Options(stride_s=0.5)).predict(path)
    assert fewer["time_s"].tolist() == pytest.approx([0.0, 0.6, 1.0, 1.6, 2.0, 2.6, 3.0])
    kept = whole[whole["time_s"].round(3).isin(fewer["time_s"].round(3))]
    pd.testing.assert_frame_equal(fewer, kept.reset_index(drop=True))


def test_moments_do_not_depend_on_how_frames_come():
    times_s = np.repeat([0.0, 0.0334, 0.1, 0.1998, 0.2, 0.21, 0.65, 0.7, 1.1999], 2)
    whole = RowStride(0.2).select(times_s)
    assert times_s[whole][::2].tolist() == [0.0, 0.1998, 0.65, 1.1999]
    pace = RowStride(0.2)
    parts = [pace.select(times_s[k : k + 4]) for k in range(0, len(times_s), 4)]
    assert np.concatenate(parts).tolist() == whole.tolist()
    assert RowStride(None).select(times_s).all()


def test_the_largest_faces_or_those_of_a_size(model, tmp_path):
    path = write_clip(tmp_path / "two.mp4", 6, copies=2, sound=False)
    for options in (Options(max_faces=1), Options(min_face_px=4000.0)):
        table = Predictor(model, options=options).predict(path)
        assert table["face_seen"].all() == (options.max_faces == 1)
        assert len(table) == 6
    near = Predictor(model, options=Options(min_face_px=20.0, max_faces=5)).predict(path)
    assert near["face_id"].tolist() == [0, 1] * 6
