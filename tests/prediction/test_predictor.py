"""Prediction of videos, pictures and sounds, against a plain reading of what a row means."""

import warnings

import cv2
import numpy as np
import onnxruntime
import pandas as pd
import pytest
import skimage.io

from tests.benchmarks.scripts import load
from tests.media.made import encode
from tests.prediction.tiny_model import (
    FACE_DIM,
    FACE_WINDOW,
    VOICE_WINDOW,
    portrait,
    tone,
    write_clip,
    write_sound,
    write_tiny_model,
)
from tests.shared import SHARED, needs_shared
from triaffect.errors import MediaError
from triaffect.faces.alignment import align
from triaffect.faces.detection import CenterFace
from triaffect.features.extractors.onnx import OnnxFace, OnnxVoice
from triaffect.features.model_folder import load_model_folder
from triaffect.media.audio import read_sound
from triaffect.media.video import VideoFrames
from triaffect.prediction.options import Options
from triaffect.prediction.predictor import PartialMediaWarning, Predictor
from triaffect.tasks.action_units import ACTION_UNITS
from triaffect.tasks.registry import TASKS
from triaffect.types import Window

synthetic_sounds = load("synthetic_sounds")

COLUMNS = [
    *("clip", "frame", "time_s", "face_id", "box_x", "box_y", "box_w", "box_h", "detection"),
    *("left_eye_x", "left_eye_y", "right_eye_x", "right_eye_y", "nose_x", "nose_y"),
    *("mouth_left_x", "mouth_left_y", "mouth_right_x", "mouth_right_y"),
    *("head_yaw_deg", "head_pitch_deg", "head_roll_deg", "face_px", "sharpness"),
    *("valence", "arousal", "expression"),
    *("p_neutral", "p_anger", "p_disgust", "p_fear"),
    *("p_happiness", "p_sadness", "p_surprise", "p_other"),
    *("AU1", "AU2", "AU4", "AU6", "AU7", "AU10", "AU12", "AU15", "AU23", "AU24", "AU25", "AU26"),
    *("face_seen", "voice_heard", "window_share"),
]
FACE_CELLS = COLUMNS[3:24]
LABEL_CELLS = COLUMNS[24:47]
NUMBERS = [name for task in TASKS for name in task.columns]


def test_the_columns_are_the_published_ones(predictor, clip):
    table = predictor.predict(clip)
    assert list(table.columns) == COLUMNS
    assert (table["clip"] == str(clip)).all()
    assert np.allclose(table[COLUMNS[27:35]].sum(axis=1), 1, atol=1e-5)


def test_every_frame_has_a_row_and_a_faceless_one_speaks_from_the_voice(predictor, clip):
    table = predictor.predict(clip)
    assert table["frame"].tolist() == list(range(40))
    assert np.allclose(table["time_s"], np.arange(40) / 25, atol=1e-3)
    faceless = table["frame"].isin([10, 11])
    assert (table["face_seen"] == ~faceless).all()
    assert table.loc[faceless, FACE_CELLS].isna().all(axis=None)
    assert table.loc[~faceless, FACE_CELLS].notna().all(axis=None)
    assert table["voice_heard"].all()
    assert table.loc[~faceless, LABEL_CELLS].notna().all(axis=None)
    units = table.loc[faceless, LABEL_CELLS].isna().all()
    assert units[units].index.tolist() == list(ACTION_UNITS.columns)
    assert table.loc[~faceless, "face_id"].tolist() == [0] * 38  # the same face after the gap


def plain_rows(clip, model, window):
    """Values of a one-face clip, worked out moment by moment with nothing shared."""
    folder = load_model_folder(model)
    face, voice = OnnxFace(folder), OnnxVoice(folder)
    session = onnxruntime.InferenceSession(str(model / "fusion.onnx"))
    detect, vectors, frames = CenterFace(), {}, list(VideoFrames(clip))
    for frame in frames:
        found = detect(frame.rgb)
        if len(found):
            crop = align(frame.rgb, found.landmarks[0])
            vectors[frame.time_s] = face(crop[None])[0].astype(np.float32)
    sound = list(voice.stream(iter([read_sound(clip, 16_000)])))
    rows = {t: v for s in sound for t, v in zip(s.times_s, s.values, strict=True)}
    for frame in frames:
        offsets = window.offsets_s()
        shown, present = (
            np.zeros((1, len(offsets), FACE_DIM), "f4"),
            np.zeros((1, len(offsets)), "?"),
        )
        for k, offset in enumerate(offsets) if frame.time_s in vectors else ():
            near = nearest(vectors, frame.time_s + offset)
            if abs(near - frame.time_s - offset) <= window.hop_s / 2 + 1e-6:
                shown[0, k], present[0, k] = vectors[near], True
        heard = rows[nearest(rows, frame.time_s)][None].astype("f4")
        yield np.concatenate(
            session.run(
                [task.key for task in TASKS],
                {
                    "face": shown,
                    "face_present": present,
                    "voice": heard,
                    "voice_present": np.array([True]),
                },
            ),
            axis=1,
        )[0]


def nearest(times_s, at_s):
    return min(times_s, key=lambda t: (round(abs(t - at_s), 6), t))


@pytest.mark.parametrize("window", [FACE_WINDOW, Window(0.8, 0.2, causal=False), Window(0.3, 0.1)])
def test_values_are_those_of_the_window_around_the_moment(tmp_path, clip, window):
    model = write_tiny_model(tmp_path / "model", window=window)
    table = Predictor(model, options=Options(detection_interval_s=0)).predict(clip)
    expected = np.stack(list(plain_rows(clip, model, window)))
    numbers = table[NUMBERS].to_numpy().copy()
    units = np.isin(NUMBERS, ACTION_UNITS.columns)
    faceless = ~table["face_seen"].to_numpy()
    assert np.isnan(numbers[faceless][:, units]).all()  # a voice says nothing of them
    numbers[np.ix_(faceless, units)] = expected[np.ix_(faceless, units)]
    assert np.abs(numbers - expected).max() < 1e-4
    assert table[NUMBERS].std().max() > 0.01  # or the comparison would say nothing


def test_a_stream_comes_in_parts_that_make_up_the_table(predictor, clip):
    parts = list(predictor.stream(clip))
    assert len(parts) > 1
    pd.testing.assert_frame_equal(pd.concat(parts, ignore_index=True), predictor.predict(clip))


def test_predicting_again_and_other_files_between_changes_nothing(predictor, clip, tmp_path):
    before = predictor.predict(clip)
    predictor.predict(write_clip(tmp_path / "other.mp4", 5, copies=2))
    pd.testing.assert_frame_equal(predictor.predict(clip), before)


def test_several_faces_keep_their_ids_and_their_order(predictor, tmp_path):
    table = predictor.predict(write_clip(tmp_path / "two.mp4", 12, copies=2, sound=False))
    assert table["frame"].tolist() == sorted(list(range(12)) * 2)
    assert table["face_id"].tolist() == [0, 1] * 12
    left, right = table[table.face_id == 0]["box_x"], table[table.face_id == 1]["box_x"]
    assert (np.abs(left.to_numpy() - right.to_numpy()) > 100).all()
    assert abs(left.iloc[0] - left.iloc[-1]) < 30


def test_without_sound_a_faceless_frame_is_blank(predictor, tmp_path):
    table = predictor.predict(write_clip(tmp_path / "mute.mp4", 8, sound=False, faceless=(0, 5)))
    assert not table["voice_heard"].any()
    blank = table["frame"].isin([0, 5])
    assert table.loc[blank, LABEL_CELLS].isna().all(axis=None)
    assert table.loc[~blank, LABEL_CELLS].notna().all(axis=None)


def test_a_muted_track_is_no_voice(predictor, tmp_path):
    absent = predictor.predict(write_clip(tmp_path / "a.mp4", 8, sound=False))
    silent = predictor.predict(write_clip(tmp_path / "b.mp4", 8, sound=np.zeros(16_000, "f4")))
    pd.testing.assert_frame_equal(absent.drop(columns="clip"), silent.drop(columns="clip"))


@pytest.mark.parametrize("kind", ["white", "organ"])
def test_sound_without_a_voice_is_no_voice(predictor, tmp_path, kind):
    sound = synthetic_sounds.make(kind, 2.0, seed=0)
    absent = predictor.predict(write_clip(tmp_path / "a.mp4", 8, sound=False))
    music = predictor.predict(write_clip(tmp_path / "b.mp4", 8, sound=sound))
    pd.testing.assert_frame_equal(absent.drop(columns="clip"), music.drop(columns="clip"))
    alone = predictor.predict(write_sound(tmp_path / "c.wav", sound))
    assert len(alone) == 11
    assert not alone["voice_heard"].any()
    assert alone[LABEL_CELLS].isna().all(axis=None)


def test_sound_changes_values_but_never_faces(predictor, tmp_path):
    absent = predictor.predict(write_clip(tmp_path / "a.mp4", 8, sound=False))
    heard = predictor.predict(write_clip(tmp_path / "b.mp4", 8))
    pd.testing.assert_frame_equal(absent[COLUMNS[1:24]], heard[COLUMNS[1:24]])
    assert (absent["valence"] != heard["valence"]).any()


def test_sound_left_out_is_as_if_there_were_none(model, clip, tmp_path):
    mute = Predictor(model).predict(
        write_clip(tmp_path / "m.mp4", 40, faceless=(10, 11), sound=False)
    )
    faces = Predictor(model, options=Options(sound=False))
    pd.testing.assert_frame_equal(
        faces.predict(clip).drop(columns="clip"), mute.drop(columns="clip")
    )
    with pytest.raises(MediaError, match=r"v\.wav: expected a video or picture"):
        faces.predict(write_sound(tmp_path / "v.wav", tone(1.0)))


def test_a_picture_is_one_frame_at_time_zero(predictor, tmp_path):
    skimage.io.imsave(tmp_path / "one.png", portrait())
    table = predictor.predict(tmp_path / "one.png")
    assert table[["frame", "time_s", "face_id"]].values.tolist() == [[0, 0, 0]]
    assert table["face_seen"].all()
    assert not table["voice_heard"].any()
    assert table[LABEL_CELLS].notna().all(axis=None)


def test_a_picture_without_a_face_is_one_blank_row(predictor, tmp_path):
    cv2.imwrite(str(tmp_path / "gray.png"), np.full((120, 160, 3), 90, np.uint8))
    table = predictor.predict(tmp_path / "gray.png")
    assert len(table) == 1
    assert table[FACE_CELLS + LABEL_CELLS].isna().all(axis=None)


def test_a_sound_has_a_row_at_every_hop(predictor, tmp_path):
    sound = np.concatenate([tone(1.5), np.zeros(48_000, np.float32)])
    table = predictor.predict(write_sound(tmp_path / "voice.wav", sound))
    assert np.allclose(table["time_s"], table["frame"] * VOICE_WINDOW.hop_s)
    assert table["frame"].tolist() == list(range(23))
    assert not table["face_seen"].any()
    assert (table["voice_heard"] == (table["time_s"] < 1.99)).all()  # the window is 1 s, centred
    assert (table["valence"].notna() == table["voice_heard"]).all()


def test_frames_at_an_uneven_pace_keep_their_own_times(predictor, tmp_path):
    times_ms = [0, 40, 200, 210, 400, 1000, 1040]
    path = encode(tmp_path / "vfr.mkv", times_ms, source=("rgb24", portrait()))
    table = predictor.predict(path)
    assert np.allclose(table["time_s"], np.array(times_ms) / 1000, atol=2e-3)
    assert table["face_seen"].all()


def test_a_cut_off_video_gives_what_decodes_and_a_warning(predictor, tmp_path):
    path = encode(tmp_path / "whole.mkv", range(0, 2400, 40), source=("rgb24", portrait()))
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.warns(PartialMediaWarning, match="could be decoded"):
        table = predictor.predict(cut)
    assert 0 < len(table) < 60
    assert table["face_seen"].all()


@pytest.mark.parametrize("content", [None, b"", b"not a video at all\n" * 200, "folder"])
def test_what_is_no_media_is_refused(predictor, tmp_path, content):
    path = tmp_path / "input.mp4"
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(MediaError, match=r"input\.mp4"):
        predictor.predict(path)


@needs_shared
@pytest.mark.slow
def test_a_face_is_found_in_nearly_every_frame_of_the_real_clips(predictor):
    for path in sorted((SHARED / "data" / "clips").iterdir()):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            table = predictor.predict(path)
        assert table.groupby("frame")["face_seen"].max().mean() >= 0.98, path.name
        assert table["face_id"].nunique() == 1, path.name
        # the windows of this model are 1 s long: the clips' silent ends and pauses show
        heard = table.loc[table["time_s"].between(1, 1.8), "voice_heard"]
        assert heard.mean() > 0.7, path.name
