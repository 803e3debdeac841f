"""People and videos in several splits: found, refused, allowed, or left out of training."""

import json
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import torch
from safetensors.torch import load_file

from tests.corpora.test_aff_wild2 import UNITS, crop, film, label, label_images
from tests.training.recipes import small
from tests.training.stores import FACE, RATE, SETS, VOICE, labels, made_store
from triaffect.corpora.base import open_corpus
from triaffect.errors import RunError, StoreError
from triaffect.features.extraction import extract
from triaffect.features.store import FeatureStore
from triaffect.features.store_writer import FaceRows, SourceInfo, StoreWriter
from triaffect.features.timeline import KEY_DTYPE
from triaffect.tasks.registry import TASKS
from triaffect.training.run_folder import stored_leak_choice
from triaffect.training.trainer import train
from triaffect.training.view import LeakChoice, TrainingView, find_leaks
from triaffect.types import FeatureSeries, Moments

POOLS = {"ALL": SETS}
LEFT_OUT = "left out"


def viewed(store, choice):
    """What a run learns from that hides no label and holds nobody out."""
    recipe = small("default", "data.held_out=0", "data.humans_first=[]")
    return TrainingView.of(recipe, store, 0, choice)


@dataclass
class Made:
    """A source of a made store; its splits share its frames evenly."""

    source: str
    splits: tuple[str, ...]
    person: str = ""
    file: str = ""
    stills: bool = False
    sets: tuple[str, ...] = ("MTL",)


def store_of(path, *sources, frames=12):
    rng = np.random.default_rng(0)
    mixing = {task.key: rng.normal(size=(task.width, 12)) for task in TASKS}
    with StoreWriter.create_or_resume(path, FACE, VOICE, TASKS) as writer:
        for made in sources:
            rng = np.random.default_rng(list(made.source.encode()))
            hidden = rng.normal(size=(frames, 12))
            keys = np.zeros(frames, KEY_DTYPE)
            keys["frame"], keys["time_s"] = np.arange(frames), np.arange(frames) / RATE
            parts = [
                labels(made.source, "", label_set, hidden, TASKS, mixing, rng)
                for label_set in made.sets
            ]
            files = ({"path": made.file, "size": 1, "mtime_ns": 1},) if made.file else ()
            writer.add(
                SourceInfo(
                    made.source, made.source.split("/")[0], "images" if made.stills else "video",
                    stills=made.stills, frame_rate=RATE, files=files,
                ),
                with_keys(Moments.concat(parts), made),
                FaceRows(hidden.astype(np.float16), keys),
                FeatureSeries(np.ones((5, 10), np.float16), np.arange(5) / 10),
            )  # fmt: skip
    return FeatureStore.open(path)


def with_keys(moments, made):
    table = moments.table
    n = len(table)
    splits = [made.splits[k * len(made.splits) // n] for k in range(n)]
    people = [made.person or made.source] * n
    for name, values in (("split", splits), ("person", people)):
        place = table.column_names.index(name)
        table = table.set_column(place, table.schema.field(name), pa.array(values))
    return Moments(table)


def test_nothing_is_found_where_nothing_is_shared(tmp_path):
    store = store_of(
        tmp_path / "s",
        Made("made/a", ("train",), "made/ann", "a.mp4"),
        Made("made/b", ("train",), "made/ann", "b.mp4"),
        Made("made/c", ("validation",), "made/cid", "c.mp4"),
        Made("made/d", ("test",), "made/dan"),
    )
    assert not find_leaks(store, POOLS)
    assert viewed(store, LeakChoice.REFUSE).store is store


def test_a_person_in_two_videos_of_two_splits(tmp_path):
    store = store_of(
        tmp_path / "s",
        Made("made/a", ("train",), "made/ann", "a.mp4"),
        Made("made/b", ("test",), "made/ann", "b.mp4"),
    )
    leaks = find_leaks(store, POOLS)
    assert leaks.people == {"made/ann": ["test", "train"]}
    assert leaks.videos == {}


def test_a_video_in_two_splits_and_twins_of_one_video(tmp_path):
    store = store_of(
        tmp_path / "s",
        Made("made/a", ("train", "validation"), file="a.mp4"),
        Made("made/v_left", ("train",), file="v.mp4"),
        Made("made/v_right", ("validation",), file="v.mp4"),
    )
    leaks = find_leaks(store, POOLS)
    assert leaks.people == {"made/a": ["train", "validation"]}
    assert leaks.videos == {
        "made/a": ["train", "validation"],
        "made/v_left + made/v_right": ["train", "validation"],
    }
    assert str(leaks) == "1 people (made/a) and 2 videos (made/a, made/v_left + made/v_right)"


def test_single_pictures_are_no_video(tmp_path):
    store = store_of(
        tmp_path / "s",
        Made("faces/1", ("train", "test"), "x", "all.npz", stills=True),
        Made("faces/2", ("validation",), "y", "all.npz", stills=True),
    )
    leaks = find_leaks(store, POOLS)
    assert leaks.videos == {}
    assert leaks.people == {"x": ["test", "train"]}


def test_rows_that_no_pool_uses_leak_nothing(tmp_path):
    store = store_of(
        tmp_path / "s",
        Made("one/a", ("train",), "ann", sets=("VA",)),
        Made("two/b", ("validation",), "ann", sets=("EXPR",)),
    )
    assert find_leaks(store, POOLS)
    assert not find_leaks(store, {"VA": ("VA",)})
    assert not find_leaks(store, {"VA": ("VA", "one/EXPR")})
    assert find_leaks(store, {"VA": ("VA",), "MORE": ("two/EXPR",)})


def test_refusing_names_the_first_few_and_the_remedies(tmp_path):
    many = [Made(f"made/{k}{split}", (split,), f"person {k}") for k in range(5) for split in HALVES]
    store = store_of(tmp_path / "s", *many)
    with pytest.raises(StoreError, match="got 5 people") as caught:
        viewed(store, LeakChoice.REFUSE)
    message = str(caught.value)
    assert "(person 0, person 1, person 2, …)" in message
    assert "--drop-leak" in message
    assert "--allow-leak" in message


HALVES = ("train", "validation")


def test_what_leaks_is_left_out_in_favour_of_the_later_split(tmp_path):
    store = store_of(
        tmp_path / "s",
        Made("made/a", ("train",), "ann"),
        Made("made/b", ("validation",), "ann"),
        Made("made/c", ("test",), "ann"),
        Made("made/v_left", ("train",), file="v.mp4"),
        Made("made/v_right", ("validation",), file="v.mp4"),
        Made("made/d", ("train",)),
        Made("made/e", ("train", "test")),
    )
    view = viewed(store, LeakChoice.DROP)
    assert view.leaks == find_leaks(store, POOLS)
    table = view.moments.table
    splits = {
        source: set(table.filter(pc.equal(table["source"], source))["split"].to_pylist())
        for source in store.sources
    }
    assert splits == {
        "made/a": {LEFT_OUT},
        "made/b": {LEFT_OUT},
        "made/c": {"test"},
        "made/v_left": {LEFT_OUT},
        "made/v_right": {"validation"},
        "made/d": {"train"},
        "made/e": {LEFT_OUT, "test"},
    }
    assert not find_leaks(view.store, POOLS).people.keys() - {"ann", "made/e"}
    assert view.excluded == {"train": 30, "validation": 12}
    assert len(view.rows("train")) == 12
    assert (view.moments.dictionary_column("split")[view.rows("test")] == "test").all()
    assert LEFT_OUT not in store.moments.table["split"].to_pylist()
    assert view.store.fingerprint() == store.fingerprint()
    allowed = viewed(store, LeakChoice.ALLOW)
    assert allowed.store is store
    assert allowed.leaks == view.leaks
    assert allowed.excluded == {}


SOURCES = [Made(f"made/t{k}", ("train",), f"p{k}") for k in range(4)]
SOURCES += [Made("made/v", ("validation",), "p0"), Made("made/w", ("test",), "p9")]


@pytest.fixture(scope="module")
def leaky(tmp_path_factory):
    """Four videos for training, of one of whose people there is one for validation."""
    return store_of(tmp_path_factory.mktemp("leaky") / "store", *SOURCES, frames=60)


def test_training_refuses_before_it_makes_anything(leaky, tmp_path):
    with pytest.raises(StoreError, match=r"1 people \(p0\)"):
        train(small("default"), leaky, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_journal_tells_what_was_found_and_done(leaky, tmp_path):
    heard = []
    torch.set_num_threads(1)
    recipe = small("default", "teacher.epochs=1", "student.epochs=1")
    for choice, left_out in ((LeakChoice.ALLOW, {}), (LeakChoice.DROP, {"train": 60})):
        folder = train(
            recipe, leaky, tmp_path / choice, listener=heard.append, leaks=choice
        )  # fmt: skip
        first, *others = [json.loads(line) for line in folder.journal.read_text().splitlines()]
        assert first == {
            "event": "leaks", "choice": choice, "people": {"p0": ["train", "validation"]},
            "videos": {}, "left_out": left_out,
        }  # fmt: skip
        assert first in [event.model_dump() for event in heard]
        assert "leaks" not in {line["event"] for line in others}
        assert json.loads(folder.description.read_text())["leaks"] == choice


def test_left_out_rows_are_not_learnt_from(leaky, tmp_path):
    """A run that leaves a person out equals one on a store without that person's video."""
    torch.set_num_threads(1)
    recipe = small("default", "teacher.epochs=1", "student.epochs=1")
    clean = store_of(tmp_path / "store", *SOURCES[1:], frames=60)
    allowed, dropped, without = (
        load_file(train(recipe, store, tmp_path / name, leaks=choice).weights("student", "last"))
        for name, store, choice in (
            ("allowed", leaky, LeakChoice.ALLOW),
            ("dropped", leaky, LeakChoice.DROP),
            ("without", clean, LeakChoice.REFUSE),
        )
    )
    assert all(torch.equal(dropped[name], without[name]) for name in without)
    assert any(not torch.equal(allowed[name], without[name]) for name in without)


class KilledError(Exception):
    pass


def kill_after_a_checkpoint(_, done, *__):
    if done == 2:
        raise KilledError


def test_a_resumed_run_keeps_the_event_and_refuses_another_choice(leaky, tmp_path):
    recipe = small("default", "teacher.epochs=1", "student.epochs=1")
    out = tmp_path / "run"
    with pytest.raises(KilledError):
        train(
            recipe,
            leaky,
            out,
            report=kill_after_a_checkpoint,
            checkpoint_every_s=0,
            leaks=LeakChoice.DROP,
        )
    with pytest.raises(RunError, match="own leaks drop"):
        train(recipe, leaky, out, resume=True, leaks=LeakChoice.ALLOW)
    folder = train(recipe, leaky, out, resume=True)  # it remembers
    events = [json.loads(line)["event"] for line in folder.journal.read_text().splitlines()]
    assert events == ["leaks", "epoch", "epoch"]
    assert stored_leak_choice(out, resume=True) is LeakChoice.DROP
    assert stored_leak_choice(out, resume=False) is LeakChoice.REFUSE
    folder.description.write_text(folder.description.read_text().replace('"drop"', '"maybe"'))
    with pytest.raises(RunError, match=r"valid leaks in run.json, got 'maybe'; .*'allow' or"):
        train(recipe, leaky, out, resume=True)


def test_a_store_without_leaks_has_no_event(tmp_path):
    store = made_store(tmp_path / "store", videos=4, frames=60)
    assert not find_leaks(store, POOLS)
    folder = train(small("default", "teacher.epochs=1", "student.epochs=1"), store, tmp_path / "r")
    assert "leaks" not in folder.journal.read_text()


def test_overlaps_of_aff_wild2_are_found_in_what_was_extracted(tmp_path):
    """Twins in two splits, and a video in a single-task and in a multi-task split."""
    root = tmp_path / "corpus"
    label(root, "VA", "Train_Set", "v1_left", "0.5,-0.5")
    label(root, "VA", "Validation_Set", "v1_right", "0.5,-0.5")
    label(root, "EXPR", "Train_Set", "v2", "4")
    label_images(root, "validation_set.txt", f"v2/00001.jpg,0,0,3,{UNITS}")
    label(root, "AU", "Train_Set", "v3", UNITS)
    label(root, "EXPR", "Train_Set", "v3", "4")
    for name in ("v1_left", "v1_right", "v2", "v3"):
        crop(root, name, 1)
    film(root / "batch" / "v1.mp4")
    extract(open_corpus(root), tmp_path / "store", "gray64", "none")
    leaks = find_leaks(FeatureStore.open(tmp_path / "store"), POOLS)
    assert set(leaks.people) == {"aff_wild2/v2"}
    assert set(leaks.videos) == {"aff_wild2/v2", "aff_wild2/v1_left + aff_wild2/v1_right"}
    assert not find_leaks(FeatureStore.open(tmp_path / "store"), {"EXPR": ("EXPR",)})
