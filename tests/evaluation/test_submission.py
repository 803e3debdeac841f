"""Which prediction each line of a test list gets, checked against the rule spelled out in loops."""

from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.stores import FACE, RATE, VOICE
from triaffect.corpora.aff_wild2_files import MULTI_TASK_FORMAT
from triaffect.errors import AnnotationError, DiskError, ModelError, StoreError
from triaffect.evaluation.submission.test_list import candidates, read_images
from triaffect.evaluation.submission.writer import (
    Basis,
    MomentPredictor,
    predict_list,
    write_submission,
)
from triaffect.features.store import FeatureStore
from triaffect.features.store_writer import FaceRows, SourceInfo, StoreWriter
from triaffect.features.timeline import KEY_DTYPE
from triaffect.recipes.config import DataSpec, WindowSpec
from triaffect.tasks.registry import TASKS
from triaffect.training.build import unlabeled_samples
from triaffect.types import FeatureSeries, Moments, moments_schema

NO_LABELS = Moments(moments_schema({task.key: task.columns for task in TASKS}).empty_table())
SPAN, HOP = 10, 5
PAPER = DataSpec(
    input="windows",
    pools={},
    drop_partial=True,
    single_task_frame_offset=-1,
    window=WindowSpec(unit="frames", span=SPAN, hop=HOP, complete=True),
)
LOOSE = DataSpec(
    input="windows", pools={}, window=WindowSpec(unit="frames", span=SPAN, hop=HOP, complete=False)
)
NOTHING = [0.0] * len(MULTI_TASK_FORMAT.values)


def stored(path, videos, corpus="aff_wild2", track=0):
    """A store without labels: videos by name, each with frames that have a face, and voices.

    Args:
        path: The store.
        videos: Frames with a face, and number of voice vectors, by video.
        corpus: Name of the corpus.
        track: Track of the faces.
    """
    with StoreWriter.create_or_resume(path, FACE, VOICE, TASKS) as writer:
        for name, (frames, voices) in videos.items():
            keys = np.zeros(len(frames), KEY_DTYPE)
            keys["frame"], keys["time_s"] = sorted(frames), np.array(sorted(frames)) / RATE
            keys["track"] = track
            source = f"{corpus}/{name}"
            writer.add(
                SourceInfo(source, corpus, "video", stills=False, frame_rate=RATE),
                NO_LABELS,
                FaceRows(np.ones((len(frames), FACE.dim), np.float16), keys),
                FeatureSeries(np.ones((voices, VOICE.dim), np.float16), np.arange(voices) / 10),
            )
    return FeatureStore.open(path)


def listed(folder, lines, ending="\n"):
    path = Path(folder) / "test_set.txt"
    header = MULTI_TASK_FORMAT.header
    path.write_text("".join(f"{line}{ending}" for line in [header, *lines]), "utf-8", newline="")
    return read_images(path)


class Recorder:
    """A network whose valence tells which frame was asked, in tens of thousands."""

    def __init__(self, store, data=LOOSE):
        self.store, self.data, self.rows = store, data, []

    def samples(self, moments):
        self.moments = moments
        return unlabeled_samples(self.data, self.store, TASKS, moments)

    def predict(self, samples, rows):
        moments = samples.rows.moments[rows]
        frames = self.moments.column("frame")[moments]
        sources = self.moments.column("source")[moments]
        self.rows += list(zip(sources, frames.tolist(), strict=True))
        said = {task.key: np.zeros((len(rows), task.width), np.float32) for task in TASKS}
        said["VA"][:, 0] = frames / 1e4
        said["EXPR"][:, 3] = 1
        said["AU"][:] = [0.1, 0.5, 0.9] * 4
        return said

    def network(self, tasks=TASKS):
        return MomentPredictor(tasks, self.samples, self.predict, Path("recorder"))


def rule(frames, voices, asked, complete):
    """Frame whose prediction each asked frame gets, or None; by the words of the rule alone."""
    heard = [0.1 * k for k in range(voices)]

    def can(frame):
        window = [frame - back for back in range(0, SPAN + 1, HOP)]
        voice = any(0 <= frame / RATE - t + 1e-6 <= 0.1 + 2e-6 for t in heard)
        if complete:
            return all(each in frames for each in window) and voice
        return any(each in frames for each in window) or voice

    stored = sorted({*frames, *(round(t * RATE) for t in heard)})
    usable = [frame for frame in stored if can(frame)]
    nearest = [min(usable, key=lambda u: (abs(u - a), u), default=None) for a in asked]
    return [a if can(a) else near for a, near in zip(asked, nearest, strict=True)]


@settings(max_examples=80, deadline=None)
@given(
    frames=st.sets(st.integers(0, 60), max_size=55),
    gaps=st.sets(st.integers(0, 40), max_size=3),
    voices=st.integers(0, 25),
    asked=st.lists(st.integers(0, 90), min_size=1, max_size=12, unique=True),
    complete=st.booleans(),
)
def test_every_line_gets_the_nearest_moment_that_can_be_predicted(
    frames, gaps, voices, asked, complete
):
    frames = set(range(41)) - gaps if len(frames) % 2 else frames
    with TemporaryDirectory() as folder:
        store = stored(Path(folder) / "store", {"v": (sorted(frames), voices)})
        lines = listed(folder, [f"v/{frame + 1:05}.jpg" for frame in asked])
        answers = predict_list(
            lines, store, Recorder(store, PAPER if complete else LOOSE).network()
        )
    for row, basis, own, expected in zip(
        answers.values, answers.basis, asked, rule(frames, voices, asked, complete), strict=True
    ):
        if expected is None:
            assert basis == Basis.NOTHING
            assert row.tolist() == NOTHING
        else:
            assert round(float(row[0]) * 1e4) == expected
            assert basis == (Basis.OWN if expected == own else Basis.NEAREST)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "store"
    twins = {"twin_left": (range(5), 0), "twin_right": (range(40, 45), 0)}
    return stored(path, {"a": (range(30), 10), **twins, "empty": ((), 0)})


def test_lines_keep_the_order_of_the_list_and_videos_do_not_mix(store, tmp_path):
    images = ["twin_right/00042.jpg", "a/00003.jpg", "twin_left/00042.jpg", "a/00001.jpg"]
    images += ["empty/00001.jpg", "nobody/00001.jpg", "a/00002.jpeg"]
    recorder = Recorder(store)
    answers = predict_list(listed(tmp_path, images), store, recorder.network())
    assert answers.test_list.images == images
    np.testing.assert_allclose(answers.values[:, 0] * 1e4, [41, 2, 4, 0, 0, 0, 1], atol=0.01)
    assert answers.basis.tolist() == [2, 2, 1, 2, 0, 0, 2]
    assert answers.videos_of_zeros() == ["empty", "nobody"]
    assert answers.unknown == ["nobody"]
    assert {"aff_wild2/twin_left", "aff_wild2/twin_right"} < {name for name, _ in recorder.rows}


def test_a_file_has_the_lines_as_listed_and_the_values_as_decided(store, tmp_path):
    answers = predict_list(
        listed(tmp_path, ["a/00003.jpg,", "no/1.jpg"], "\r\n"), store, Recorder(store).network()
    )
    write_submission(tmp_path / "out.txt", answers)
    assert (tmp_path / "out.txt").read_bytes().decode() == (
        f"{MULTI_TASK_FORMAT.header}\n"
        "a/00003.jpg,0.000200,0.000000,3,0,1,1,0,1,1,0,1,1,0,1,1\n"
        f"no/1.jpg,0.000000,0.000000,0{',0' * 12}\n"
    )


def test_thresholds_decide_what_is_present(store, tmp_path):
    lines = listed(tmp_path, ["a/00003.jpg"])
    tasks = [task.with_thresholds({"AU1": 0.05, "AU4": 0.95}) for task in TASKS]
    values = predict_list(lines, store, Recorder(store).network(tasks)).values[0]
    assert values[3:].tolist() == [1, 1, 0, 0, 1, 1, 0, 1, 1, 0, 1, 1]


def test_small_batches_change_nothing(store, tmp_path, monkeypatch):
    images = [f"{video}/{frame:05}.jpg" for frame in (1, 9, 33) for video in ("a", "twin_left")]
    lines = listed(tmp_path, images)
    whole = predict_list(lines, store, Recorder(store).network()).values
    monkeypatch.setattr("triaffect.evaluation.submission.writer.BATCH_MOMENTS", 1)
    monkeypatch.setattr("triaffect.evaluation.submission.writer.CHUNK", 2)
    answers = predict_list(lines, store, Recorder(store).network())
    np.testing.assert_array_equal(answers.values, whole)
    write_submission(tmp_path / "out.txt", answers)
    assert len((tmp_path / "out.txt").read_text().splitlines()) == 1 + len(images)


def test_nothing_is_predicted_twice(store, tmp_path):
    recorder = Recorder(store)
    predict_list(
        listed(tmp_path, [f"a/{n:05}.jpg" for n in range(1, 200)]), store, recorder.network()
    )
    assert len(recorder.rows) == len(set(recorder.rows))


def test_a_broken_write_leaves_no_half_file(store, tmp_path, monkeypatch):
    answers = predict_list(listed(tmp_path, ["a/00003.jpg"]), store, Recorder(store).network())
    out = tmp_path / "out.txt"
    out.write_text("an earlier one")
    answers.values[0, 2] = 8
    with pytest.raises(AnnotationError, match=r":2: expected expression: a class from 0 to 7"):
        write_submission(out, answers)

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("triaffect.evaluation.submission.writer.check_submission", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_submission(out, answers)
    assert out.read_text() == "an earlier one"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.txt", "test_set.txt"]


def test_a_place_that_cannot_be_written_is_told(store, tmp_path):
    answers = predict_list(listed(tmp_path, ["a/00003.jpg"]), store, Recorder(store).network())
    with pytest.raises(DiskError, match="a file that can be written, got File name too long"):
        write_submission(tmp_path / ("x" * 254), answers)


def test_an_image_listed_twice_is_told_with_both_lines(tmp_path):
    with pytest.raises(AnnotationError, match=r":5: expected every image once, got a/1.jpg of lin"):
        listed(tmp_path, ["b/1.jpg", "a/1.jpg", "a/2.jpg", "a/1.jpg,"])


def test_moments_of_external_streams_can_be_the_nearest(store):
    """A network may read features of another program where the store has no face."""
    joined = {"aff_wild2/empty": SimpleNamespace(rows=(4, 7))}
    stream = SimpleNamespace(time_s=np.arange(9) / 3, joined=joined)
    lines = np.array([0])
    ordinal = store.sources.index("aff_wild2/empty")
    video = candidates(store, ordinal, lines, np.array([200]), [stream])
    assert video.frame.tolist() == [40, 50, 60, 200]
    assert video.stored.tolist() == [True, True, True, False]
    np.testing.assert_allclose(video.time_s * RATE, video.frame)


def test_a_list_without_images_is_refused(tmp_path):
    with pytest.raises(AnnotationError, match="at least one image"):
        listed(tmp_path, [])


def test_stores_that_cannot_answer_are_refused(store, tmp_path):
    with pytest.raises(StoreError, match="none of them"):
        predict_list(listed(tmp_path, ["who/00001.jpg"]), store, Recorder(store).network())
    lines = listed(tmp_path, ["a/00001.jpg"])
    stored(tmp_path / "two", {"a": (range(3), 0)})
    two = stored(tmp_path / "two", {"a": (range(3), 0)}, corpus="other")
    with pytest.raises(StoreError, match="aff_wild2/a and other/a"):
        predict_list(lines, two, Recorder(two).network())


def test_a_video_with_several_faces_is_refused(tmp_path):
    both = np.arange(2)
    several = stored(tmp_path / "store", {"a": ([0, 0], 0)}, track=both)
    with pytest.raises(StoreError, match="one face track a video, got 2 in aff_wild2/a"):
        predict_list(listed(tmp_path, ["a/1.jpg"]), several, Recorder(several).network())


def test_networks_that_cannot_answer_are_refused(store, tmp_path):
    lines = listed(tmp_path, ["a/00001.jpg"])
    with pytest.raises(ModelError, match="one without VA and AU"):
        predict_list(lines, store, Recorder(store).network(TASKS[1:2]))
    recorder = Recorder(store)

    def nothing(samples, rows):
        return {key: values * np.nan for key, values in recorder.predict(samples, rows).items()}

    with pytest.raises(ModelError, match="NaN"):
        predict_list(lines, store, MomentPredictor(TASKS, recorder.samples, nothing, tmp_path))
