"""One way from frames to crops: what extraction reads, prediction reads too."""

import cv2
import numpy as np
import pytest
import skimage.data

from tests.features.made_corpus import MadeCorpus
from tests.shared import SHARED, needs_shared
from triaffect.faces.alignment import align_all
from triaffect.faces.detection import SMALL_PX, CenterFace
from triaffect.faces.stream import DETECTION_INTERVAL_S, FaceStream, resize_crop
from triaffect.features.extraction import extract
from triaffect.features.extraction_worker import Job, SourceCrops
from triaffect.features.extractors.onnx import gray64
from triaffect.features.store import FeatureStore
from triaffect.media.video import Frame, VideoFrames
from triaffect.media.writer import write_video
from triaffect.prediction.options import Options
from triaffect.prediction.predictor import load_cached
from triaffect.synthetic.portrait import render_portrait
from triaffect.types import Source, SourceKind


def tight_crop(side, shift=0):
    """The astronaut's face and nothing else, of that many pixels."""
    face = skimage.data.astronaut()[62 + shift : 182 + shift, 166:286]
    return cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA)


def crops_given_to_the_network(predictor, monkeypatch, path):
    """The crops that a prediction's face network sees, and the table."""
    crops, network = [], predictor._face
    monkeypatch.setattr(predictor, "_face", lambda batch: (crops.append(batch), network(batch))[1])
    return predictor.predict(path), np.concatenate(crops)


@pytest.mark.parametrize("side", [48, 64])
@pytest.mark.parametrize("person", ["astronaut", "rendered"])
def test_a_small_crop_is_read_alike_by_extraction_and_prediction(
    tmp_path, monkeypatch, side, person
):
    crop = tight_crop(side) if person == "astronaut" else render_portrait(3, size=side)
    picture = tmp_path / "corpus" / "a" / "0.png"
    picture.parent.mkdir(parents=True)
    cv2.imwrite(str(picture), cv2.cvtColor(crop, cv2.COLOR_RGB2BGR))
    extract(MadeCorpus(tmp_path / "corpus", aligned=False), tmp_path / "s", "gray64", "none")
    store = FeatureStore.open(tmp_path / "s")
    table, crops = crops_given_to_the_network(load_cached(), monkeypatch, picture)
    assert table["face_seen"].tolist() == [True]
    assert table["valence"].notna().all()
    assert np.array_equal(store.face, gray64(crops).reshape(1, -1))
    assert not np.array_equal(crops[0], resize_crop(crop)), "it was aligned"


@needs_shared
def test_nearly_all_real_crops_of_48_pixels_have_a_face():
    with np.load(SHARED / "data" / "ferplus" / "ferplus.npz") as arrays:
        images = arrays["images"][:200]
    faces = FaceStream()
    seen = [len(faces.read_picture(np.repeat(x[:, :, None], 3, 2)).tracks) for x in images]
    assert np.mean(np.equal(seen, 1)) >= 0.97


@pytest.mark.parametrize("side", [176, 224, 400])
def test_a_larger_crop_without_room_around_the_face_has_one(side):
    """The usual search misses it: it needs to see something beside a face."""
    face = np.ascontiguousarray(skimage.data.astronaut()[68:169, 189:264])
    crop = cv2.resize(face, (side, side), interpolation=cv2.INTER_CUBIC)
    assert not len(CenterFace()(crop))
    read = FaceStream().read_picture(crop)
    assert read.tracks.tolist() == [0]
    assert read.detections.confidence[0] >= 0.5
    left, right = read.detections.landmarks[0, :2] / side
    assert 0.1 < left[0] < 0.5 < right[0] < 0.9
    assert 0.2 < left[1] < 0.6


@needs_shared
def test_pictures_of_no_face_get_none_by_being_read_as_crops():
    detector, pictures = CenterFace(), sorted((SHARED / "data" / "faces" / "scenes").glob("*.jpg"))
    scenes = [cv2.imread(str(path))[..., ::-1] for path in pictures]
    assert len(scenes) > 500
    assert not [k for k, rgb in enumerate(scenes) if len(detector.search_crop(rgb.copy()))]


def test_a_small_picture_of_a_scene_is_no_crop():
    """Its two faces are both found, as they were before crops were read."""
    portrait = cv2.resize(skimage.data.astronaut(), (96, 96), interpolation=cv2.INTER_AREA)
    scene = np.full((96, SMALL_PX, 3), 90, np.uint8)
    scene[:64, :64], scene[:64, 96:] = portrait[:64, 16:80], portrait[:64, 80:16:-1]
    assert len(FaceStream().read_picture(scene).tracks) == 2


def test_a_crop_without_a_detection_is_taken_whole_if_it_must_show_a_face():
    noise = np.random.default_rng(0).integers(0, 256, (48, 48, 3), np.uint8)
    faces = FaceStream()
    assert len(faces.read_picture(noise).tracks) == 0
    whole = faces.read_picture(noise, assume_face=True)
    assert np.array_equal(whole.crops, resize_crop(noise)[None])
    assert (whole.tracks.tolist(), whole.detections.confidence.tolist()) == ([0], [0.0])
    large = np.zeros((SMALL_PX + 1, 20, 3), np.uint8)
    assert len(faces.read_picture(large, assume_face=True).tracks) == 0


def clip_with_a_cut(path):
    """Twelve frames of a portrait, then twelve of another at another place."""
    portrait = skimage.data.astronaut()[:256, 96:352]
    frames = np.full((24, 360, 640, 3), 60, np.uint8)
    for k, frame in enumerate(frames):
        left, shown = (40 + k, portrait) if k < 12 else (340 + k, portrait[:, ::-1])
        frame[60:316, left : left + 256] = shown
        if k >= 12:
            frame[:60] = 220
    write_video(path, iter(frames), rate=25)
    return path


def test_extraction_sees_of_a_video_what_prediction_sees(tmp_path, monkeypatch):
    """The same frames, tracks (a new one after the cut) and crops."""
    path = clip_with_a_cut(tmp_path / "clip.mp4")
    corpus = MadeCorpus(tmp_path, aligned=False)
    source = Source("made/clip", SourceKind.VIDEO, video=path)
    batches = list(SourceCrops(corpus, Job(0, source), FaceStream()))
    keys = np.concatenate([batch.keys for batch in batches])
    table, crops = crops_given_to_the_network(load_cached(), monkeypatch, path)
    assert keys["track"].tolist() == [0] * 12 + [1] * 12 == table["face_id"].tolist()
    assert keys["frame"].tolist() == table["frame"].tolist()
    assert keys["time_s"] == pytest.approx(table["time_s"].to_numpy())
    assert np.array_equal(np.concatenate([batch.crops for batch in batches]), crops)


def test_threads_change_nothing(tmp_path):
    path, faces = clip_with_a_cut(tmp_path / "clip.mp4"), FaceStream()
    plain, ahead = faces.follow(VideoFrames(path)), faces.follow_prefetched(VideoFrames(path))
    for one, other in zip(plain, ahead, strict=True):
        assert (one.index, one.time_s) == (other.index, other.time_s)
        assert np.array_equal(one.crops, other.crops)
        assert np.array_equal(one.tracks, other.tracks)


def test_crops_are_those_of_the_detector_and_sources_do_not_mix():
    picture = skimage.data.astronaut()
    faces = FaceStream()
    for _ in range(2):
        (frame,) = faces.follow([Frame(7, 1.5, picture)])
        expected = CenterFace()(picture)
        assert np.array_equal(frame.crops, align_all(picture, expected.landmarks))
        assert (frame.index, frame.time_s, frame.tracks.tolist()) == (7, 1.5, [0])


def test_extraction_and_prediction_search_as_often():
    assert Options() == Options(**{_interval_field(): DETECTION_INTERVAL_S})


def _interval_field():
    return next(name for name in Options.__dataclass_fields__ if name.startswith("detect"))
