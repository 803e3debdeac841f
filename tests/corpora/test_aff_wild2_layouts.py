"""Every layout that Aff-Wild2 was published in: the same labels come out of each."""

import logging

import cv2
import numpy as np
import pytest

from tests.corpora.test_aff_wild2 import crop, film
from triaffect.corpora.aff_wild2_files import MULTI_TASK_FORMAT, SINGLE_TASK_FORMATS
from triaffect.corpora.base import open_corpus
from triaffect.tasks.registry import TASKS

CODES = {"VA": ["-5", "-5"], "EXPR": ["-1"], "AU": ["-1"] * 12}
UNITS = [[str((k + n) % 2) for k in range(12)] for n in range(2)]
SINGLE_FOLDERS = {
    "VA": "VA_Estimation_Challenge",
    "EXPR": "EXPR_Classification_Challenge",
    "AU": "AU_Detection_Challenge",
}
SPLIT_FOLDERS = {"train": "Train_Set", "validation": "Validation_Set"}


def line(labels, task):
    return ",".join(labels.get(task, CODES[task]))


def single_task(folders, base="."):
    """A file a video and task, a line a frame; nothing for a task that a video lacks."""

    def write(root, split, videos):
        for name, frames in videos.items():
            for task in {task for labels in frames.values() for task in labels}:
                lines = [line(frames.get(n, {}), task) for n in range(1, max(frames) + 1)]
                path = root / base / folders[task] / SPLIT_FOLDERS[split] / f"{name}.txt"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("\n".join([SINGLE_TASK_FORMATS[task].header, *lines]) + "\n")

    return write


def multi_task(train, validation, base="."):
    """A file a split, a line an image."""

    def write(root, split, videos):
        lines = [
            f"{name}/{n:05d}.jpg," + ",".join(line(labels, task) for task in CODES)
            for name, frames in videos.items()
            for n, labels in frames.items()
        ]
        path = root / base / (train if split == "train" else validation)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join([MULTI_TASK_FORMAT.header, *lines]) + "\n")

    return write


def together(*writers):
    def write(root, split, videos):
        for each in writers:
            each(root, split, videos)

    return write


RECOGNITION = SINGLE_FOLDERS | {"EXPR": "EXPR_Recognition_Challenge"}
ABAW3 = ("train_set.txt", "validation_set.txt")
S_AFF_WILD2 = ("training_set_annotations.txt", "validation_set_annotations.txt")
SINGLE, MULTI = {"VA", "EXPR", "AU"}, {"MTL"}
LAYOUTS = {
    "single-task": (single_task(SINGLE_FOLDERS), SINGLE),
    "single-task, EXPR_Recognition": (single_task(RECOGNITION), SINGLE),
    "single-task, a folder below": (
        single_task(SINGLE_FOLDERS, "Third ABAW Annotations"),
        SINGLE,
    ),
    "ABAW3 MTL": (multi_task(*ABAW3, "MTL_Challenge"), MULTI),
    "ABAW3 MTL, a folder below": (
        multi_task(*ABAW3, "Third ABAW Annotations/MTL_Challenge"),
        MULTI,
    ),
    "s-Aff-Wild2": (multi_task(*S_AFF_WILD2), MULTI),
    "s-Aff-Wild2, a folder below": (multi_task(*S_AFF_WILD2, "ABAW7"), MULTI),
    "single-task and ABAW3 MTL": (
        together(single_task(SINGLE_FOLDERS), multi_task(*ABAW3, "MTL_Challenge")),
        SINGLE | MULTI,
    ),
    "single-task and s-Aff-Wild2": (
        together(single_task(RECOGNITION), multi_task(*S_AFF_WILD2, "MTL_Challenge")),
        SINGLE | MULTI,
    ),
}
every_layout = pytest.mark.parametrize(
    ("write", "sets"), [pytest.param(*each, id=name) for name, each in LAYOUTS.items()]
)


def read(root):
    """Labels by (video, 1-based image, task) in each label set, and the split of each video."""
    corpus, labels, splits = open_corpus(root), {}, {}
    assert corpus.problems() == []
    for source in corpus.sources():
        moments = corpus.moments(source)
        name = source.source_id.removeprefix("aff_wild2/")
        frames, sets = moments.column("frame"), moments.column("label_set")
        splits |= {name: set(moments.column("split"))}
        for task in TASKS:
            targets = moments.targets(task.key, task.columns)
            for row in np.flatnonzero(targets.valid.any(1)):
                values = np.where(targets.valid[row], targets.values[row], np.nan)
                labels.setdefault(sets[row], {})[name, frames[row] + 1, task.key] = values
    return labels, splits


def expected(videos, sets):
    """What `read` gives: each label in every label set that can hold it."""
    numbers = {}
    for name, frames in videos.items():
        for n, labels in frames.items():
            for task, texts in labels.items():
                values = np.array([float(text) for text in texts])
                values[values == float(CODES[task][0])] = np.nan
                if task == "EXPR" and not np.isnan(values[0]):
                    values = np.eye(8)[int(values[0])]
                if not np.isnan(values).all():
                    numbers[name, n, task] = values
    return {
        kind: chosen
        for kind in sets
        if (chosen := {key: v for key, v in numbers.items() if kind in ("MTL", key[2])})
    }


def check(root, videos, sets):
    got, splits = read(root)
    wanted = expected(videos, sets)
    assert got.keys() == wanted.keys()
    for kind, labels in wanted.items():
        assert got[kind].keys() == labels.keys()
        for key, values in labels.items():
            np.testing.assert_array_equal(got[kind][key], values.astype(np.float32), str(key))
    return splits


@every_layout
def test_labels_and_splits(tmp_path, write, sets):
    train = {
        "video1": {
            1: {"VA": ["0.5", "-0.25"], "EXPR": ["4"], "AU": UNITS[0]},
            4: {"VA": ["-1", "1"], "EXPR": ["0"], "AU": UNITS[1]},
        },
        "12-24-1920x1080": {3: {"VA": ["0", "0.125"], "EXPR": ["7"], "AU": UNITS[1]}},
    }
    validation = {"video9": {2: {"VA": ["-1.0", "-0.999"], "EXPR": ["3.0"], "AU": UNITS[0]}}}
    write(tmp_path, "train", train)
    write(tmp_path, "validation", validation)
    splits = check(tmp_path, train | validation, sets)
    assert splits == {"12-24-1920x1080": {"train"}, "video1": {"train"}, "video9": {"validation"}}


@every_layout
@pytest.mark.parametrize("ending", ["", ".0", ".00"])
def test_codes_in_every_spelling(tmp_path, write, sets, ending):
    units = ["1"] * 5 + [f"-1{ending}"] + ["0"] * 6
    labels = {"VA": [f"-5{ending}", "0.5"], "EXPR": [f"-1{ending}"], "AU": units}
    none = {task: [code + ending for code in codes] for task, codes in CODES.items()}
    videos = {"video1": {1: labels, 2: none, 3: labels | {"VA": [f"-1{ending}", f"-5{ending}"]}}}
    write(tmp_path, "train", videos)
    check(tmp_path, videos, sets)


@every_layout
def test_any_subset_of_the_22_values(tmp_path, write, sets):
    """Each task there or not, valence and arousal one by one, and units one by one."""
    generator, frames = np.random.default_rng(0), {}
    for n in range(1, 257):
        keep = generator.random(12) < 0.5
        units = [unit if kept else "-1" for unit, kept in zip(UNITS[0], keep, strict=True)]
        valence_arousal = ["0.5" if n & 1 else "-5", "-0.5" if n & 2 else "-5"]
        frames[n] = {
            "VA": valence_arousal,
            "EXPR": [str(n % 8) if n & 4 else "-1"],
            "AU": units if n & 8 else [("1" if k == n % 12 else "-1") for k in range(12)],
        }
        frames[n] = {task: texts for task, texts in frames[n].items() if generator.random() < 0.7}
    videos = {"video1": frames}
    write(tmp_path, "train", videos)
    check(tmp_path, videos, sets)


@every_layout
@pytest.mark.parametrize("task", ["VA", "EXPR", "AU"])
def test_a_video_labelled_for_one_task_alone(tmp_path, write, sets, task):
    labels = {"VA": ["0.5", "0"], "EXPR": ["2"], "AU": UNITS[0]}
    videos = {"video1": {2: {task: labels[task]}}}
    write(tmp_path, "train", videos)
    check(tmp_path, videos, sets)


@every_layout
def test_gaps_between_images_and_more_or_fewer_lines_than_images(tmp_path, write, sets):
    """A row whose image is not there stays: features decide later, and a voice may be there."""
    labels = {"VA": ["0.5", "0"], "EXPR": ["2"], "AU": UNITS[0]}
    videos = {"more": dict.fromkeys(range(1, 9), labels), "fewer": {1: labels}}
    write(tmp_path, "train", videos)
    crop(tmp_path, "more", 2, 3, 6)
    crop(tmp_path, "fewer", 1, 2, 5)
    crop(tmp_path, "unlabelled", 1)
    check(tmp_path, videos, sets)
    corpus = open_corpus(tmp_path)
    frames = {
        source.source_id.removeprefix("aff_wild2/"): [n for n, _ in corpus.images(source)]
        for source in corpus.sources()
    }
    assert frames == {"fewer": [0, 1, 4], "more": [1, 2, 5], "unlabelled": [0]}


@every_layout
def test_twins_are_two_people_who_share_a_video(tmp_path, write, sets):
    """In some videos the main person's files have no suffix."""
    labels = {"VA": ["0.5", "0"], "EXPR": ["2"], "AU": UNITS[0]}
    other = {"VA": ["-0.5", "0"], "EXPR": ["5"], "AU": UNITS[1]}
    videos = {"v_left": {1: labels}, "v_right": {1: other}, "w": {1: labels}, "w_right": {1: other}}
    write(tmp_path, "train", videos)
    film(tmp_path / "batch1" / "v.mp4")
    film(tmp_path / "videos" / "batch2" / "w.AVI")
    check(tmp_path, videos, sets)
    sources = open_corpus(tmp_path).sources()
    assert [source.sound.name for source in sources] == ["v.mp4", "v.mp4", "w.AVI", "w.AVI"]
    people = [open_corpus(tmp_path).moments(source).column("person")[0] for source in sources]
    assert len(set(people)) == 4


@every_layout
def test_images_beyond_99999(tmp_path, write, sets):
    labels = {"VA": ["0.5", "0"], "EXPR": ["2"], "AU": UNITS[0]}
    videos = {"long": {99_999: labels, 100_000: labels, 100_001: labels}}
    write(tmp_path, "train", videos)
    crop(tmp_path, "long", 100_000, 99_999, 9)
    check(tmp_path, videos, sets)
    corpus = open_corpus(tmp_path)
    assert [n for n, _ in corpus.images(corpus.sources()[0])] == [8, 99_998, 99_999]


@pytest.mark.parametrize(
    "place", ["", "batch1", "batch2", "new_vids", "videos", "videos/batch1", "Aff-Wild2/new_vids"]
)
@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".MP4", ".Avi"])
def test_where_raw_videos_may_lie(tmp_path, place, suffix):
    single_task(SINGLE_FOLDERS)(tmp_path, "train", {"v": {1: {"EXPR": ["2"]}}})
    path = tmp_path / place / f"v{suffix}"
    film(path.with_suffix(".mp4"))
    path.with_suffix(".mp4").rename(path)
    (source,) = open_corpus(tmp_path).sources()
    assert source.video == source.sound == path
    assert np.isclose(open_corpus(tmp_path).frame_rate(source), 25)


@pytest.mark.parametrize(
    "place", ["cropped_aligned", "cropped_aligned_new_50_vids", "Aff-Wild2/cropped_aligned"]
)
@pytest.mark.parametrize("itself", [False, True], ids=["within", "as the corpus itself"])
def test_where_crops_may_lie(tmp_path, place, itself):
    crop(tmp_path, "v", 3)
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / "cropped_aligned").rename(tmp_path / place)
    corpus = open_corpus(tmp_path / place if itself else tmp_path)
    assert corpus.problems() == []
    (source,) = corpus.sources()
    assert [n for n, _ in corpus.images(source)] == [2]


def test_what_is_there_twice_is_told_and_the_first_used(tmp_path):
    single_task(SINGLE_FOLDERS)(tmp_path, "train", {"v": {1: {"EXPR": ["2"]}}})
    film(tmp_path / "batch1" / "v.mp4")
    film(tmp_path / "batch2" / "v.mp4")
    for folder in ("cropped_aligned", "cropped_aligned_new_50_vids"):
        (tmp_path / folder / "v").mkdir(parents=True)
    corpus = open_corpus(tmp_path)
    second = {str(tmp_path / "batch2" / "v.mp4"), str(tmp_path / "cropped_aligned_new_50_vids/v")}
    assert {problem.where for problem in corpus.problems()} == second
    (source,) = corpus.sources()
    assert source.video == tmp_path / "batch1" / "v.mp4"
    assert source.images == tmp_path / "cropped_aligned" / "v"


def test_images_with_other_suffixes_and_one_that_is_there_twice(tmp_path, caplog):
    crop(tmp_path, "v", 1, 2, 3)
    folder = tmp_path / "cropped_aligned" / "v"
    (folder / "00002.jpg").rename(folder / "00002.JPG")
    (folder / "00003.jpg").rename(folder / "00003.jpeg")
    cv2.imwrite(str(folder / "3.jpg"), np.zeros((8, 8, 3), np.uint8))
    (folder / "\u0664.jpg").write_bytes((folder / "00001.jpg").read_bytes())
    (folder / "00000.jpg").write_bytes((folder / "00001.jpg").read_bytes())
    corpus = open_corpus(tmp_path)
    with caplog.at_level(logging.WARNING):
        images = list(corpus.images(corpus.sources()[0]))
    assert [n for n, _ in images] == [0, 1, 2]
    assert {image.shape for _, image in images} == {(112, 112, 3)}
    assert "3.jpg" in caplog.text


def test_label_files_in_upper_case(tmp_path):
    single_task(SINGLE_FOLDERS)(tmp_path, "train", {"v": {1: {"EXPR": ["2"]}}})
    folder = tmp_path / SINGLE_FOLDERS["EXPR"] / "Train_Set"
    (folder / "v.txt").rename(folder / "v.TXT")
    check(tmp_path, {"v": {1: {"EXPR": ["2"]}}}, {"EXPR"})
