"""The corpus as a whole: its form, its determinism, and that nothing half made is left."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from tests.synthetic.conftest import PLAN
from triaffect.corpora.base import open_corpus
from triaffect.errors import DiskError, TriaffectError
from triaffect.media.audio import read_sound
from triaffect.media.video import VideoFrames
from triaffect.synthetic import generate as generating
from triaffect.synthetic.generate import generate
from triaffect.synthetic.plan import Plan
from triaffect.tasks.registry import TASKS
from triaffect.types import Moments


def digests(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }


def all_moments(root: Path) -> Moments:
    corpus = open_corpus(root)
    return Moments.concat(corpus.moments(source) for source in corpus.sources())


def test_same_plan_gives_the_same_files_in_any_number_of_processes(
    made: Path, tmp_path: Path
) -> None:
    again = tmp_path / "again"
    generate(again, PLAN, jobs=2)
    assert digests(again) == digests(made)


def test_another_seed_gives_other_faces_and_labels(made: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    generate(other, Plan(people=3, seconds=0.2, seed=6))
    same = set(digests(made).values()) & set(digests(other).values())
    assert not same


def test_has_the_folders_of_aff_wild2(made: Path) -> None:
    for challenge in ("VA_Estimation", "EXPR_Classification", "AU_Detection"):
        for part in ("Train_Set", "Validation_Set", "Test_Set"):
            assert list((made / f"{challenge}_Challenge" / part).glob("*.txt"))
    for name in ("training", "validation", "test"):
        text = (made / "MTL_Challenge" / f"{name}_set_annotations.txt").read_text()
        assert text.splitlines()[0] == "image,valence,arousal,expression,aus"
        assert len(text.splitlines()[1].split(",")) == 1 + 2 + 1 + 12


def test_test_list_names_every_test_image_once_in_order(made: Path) -> None:
    truth = (made / "MTL_Challenge" / "test_set_annotations.txt").read_text().splitlines()[1:]
    listed = (made / "MTL_Challenge" / "test_set_list.txt").read_text().splitlines()[1:]
    assert [row.split(",")[0] for row in truth] == [row.removesuffix(",") for row in listed]
    assert all((made / "cropped_aligned" / row.removesuffix(",")).is_file() for row in listed)


def test_reader_finds_people_apart_labels_missing_and_marked_as_rendered(made: Path) -> None:
    moments = all_moments(made)
    split = moments.column("split").astype(str)
    person = moments.column("person").astype(str)
    by_split = [set(person[split == name]) for name in ("train", "validation", "test")]
    assert [len(people) for people in by_split] == [8, 2, 2]
    assert len(set.union(*by_split)) == PLAN.people
    assert set(moments.column("VA_origin")) <= {"rendered", None}
    train = split == "train"
    label_set = moments.column("label_set").astype(str)
    for task in TASKS:
        valid = moments.targets(task.key, task.columns).valid
        assert valid[train & (label_set == task.key)].all()
        shared = valid[train & (label_set == "MTL")]
        assert 0 < shared.mean() < 1
        test_rows = (split == "test") & (label_set == "MTL")
        assert valid[test_rows].all()


def test_crops_have_the_right_size_and_match_frames_of_their_video(made: Path) -> None:
    corpus = open_corpus(made)
    for source in corpus.sources():
        frames = dict(corpus.images(source))
        assert frames
        assert {image.shape for image in frames.values()} == {(112, 112, 3)}
        assert source.video is not None
        video = VideoFrames(source.video)
        assert max(frames) < sum(1 for _ in video)
        assert video.info.has_sound


def test_two_share_a_video_and_its_sound(made: Path) -> None:
    mark = json.loads((made / "SYNTHETIC.json").read_text())
    left = [name for name in mark["people"] if name.endswith("_left")]
    assert left
    corpus = open_corpus(made)
    sounds = {source.source_id: source.sound for source in corpus.sources()}
    for name in left:
        twin = name.removesuffix("_left") + "_right"
        assert mark["people"][name] != mark["people"][twin]
        assert sounds[f"aff_wild2/{name}"] == sounds[f"aff_wild2/{twin}"]


def test_sound_is_heard_and_as_long_as_its_video(made: Path) -> None:
    for path in (made / "videos").glob("*.mp4"):
        sound = read_sound(path, 16_000)
        count = sum(1 for _ in VideoFrames(path))
        assert len(sound) / 16_000 == pytest.approx(
            count / VideoFrames(path).info.frame_rate, abs=0.15
        )
        assert np.abs(sound).max() > 1e-3


def test_file_lines_differ_from_frames_in_some_videos(made: Path) -> None:
    surplus = []
    for path in made.glob("*_Challenge/Train_Set/*.txt"):
        raw = path.stem.removesuffix("_left").removesuffix("_right")
        count = sum(1 for _ in VideoFrames(made / "videos" / f"{raw}.mp4"))
        surplus.append(len(path.read_text().splitlines()) - 1 - count)
    assert min(surplus) < 0 < max(surplus)


def test_a_folder_with_something_in_it_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(TriaffectError, match="new or empty folder"):
        generate(tmp_path, Plan(people=3, seconds=0.2))
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    told: list[tuple[int, int]] = []
    generate(folder, Plan(people=3, seconds=0.2), on_video=lambda *seen: told.append(seen))
    assert (folder / "SYNTHETIC.json").is_file()
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_nothing_is_left_of_a_corpus_that_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(generating, "write_annotations", full_disk)
    with pytest.raises(DiskError, match=r"corpus: .*no space left; make room"):
        generate(tmp_path / "corpus", Plan(people=3, seconds=0.2))
    assert list(tmp_path.iterdir()) == []
