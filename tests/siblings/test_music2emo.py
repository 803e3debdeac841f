"""Music2Emo: several corpora, each with its kind of label and its teacher, into one student."""

import json

import numpy as np
import pytest
import torch

from tests.siblings.made import corpora_store, stage_run, trained
from tests.training.stores import RATE, made_store
from tests.training.test_resume import KilledError, killing, same_end
from triaffect.corpora.rows import build_moments
from triaffect.errors import RecipeError, StoreError
from triaffect.features.external.join import join, stream_spec
from triaffect.features.model_folder import load_model_folder
from triaffect.features.store import FeatureStore
from triaffect.features.store_writer import SourceInfo, StoreWriter
from triaffect.losses.distillation import Distillation, softmax_divergence
from triaffect.losses.objective import StepContext
from triaffect.models.base import NetworkShape, Outputs, Standardise
from triaffect.models.siblings.music import SharedTrunk, SharedTrunkSpec
from triaffect.prediction.heads import Fusion
from triaffect.recipes.corpora import fit_to_store
from triaffect.recipes.load import load_recipe, recipe_hash
from triaffect.tasks import registry
from triaffect.tasks.mood_tags import MOOD_TAGS
from triaffect.tasks.registry import TASKS, resolve_tasks
from triaffect.tasks.va_variants import VARIANTS
from triaffect.training.export import export_run
from triaffect.training.scoring import open_run, predict_rows
from triaffect.types import LabelOrigin

SMALL = (
    *("net.hidden=16", "net.branch=8", "teacher.epochs=2", "student.epochs=2"),
    *("data.batch_size=16", "data.min_batch=4"),
)


@pytest.fixture(autouse=True)
def _tags_of_this_test_alone(monkeypatch):
    monkeypatch.setattr(registry, "_loaded", {})


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return corpora_store(tmp_path_factory.mktemp("music2emo") / "store")


@pytest.fixture(scope="module")
def finished(store):
    """A finished run, what it reported, and the files of teachers' outputs that it left."""
    seen = []
    report = lambda name, done, total, loss: seen.append(name)  # noqa: E731
    recipe = load_recipe("music2emo", SMALL)
    folder = trained(recipe, store, store.path.parent / "run", report=report)
    return folder, seen, list(folder.root.rglob("*.float32*"))


def fitted(store, *changes):
    return fit_to_store(load_recipe("music2emo", [*SMALL, *changes]), store)


def test_the_recipe_is_written_out_for_the_corpora_of_the_store(store):
    recipe = fitted(store)
    assert recipe.tasks == ("VA_RATING", "EXPR")
    assert list(recipe.stages) == ["teacher_faces", "teacher_voices", "student"]
    assert recipe.data.pools["voices"] == tuple(
        f"voices/{each}" for each in ("MTL", "VA", "EXPR", "AU", "TAGS")
    )
    teacher, student = recipe.stages["teacher_faces"], recipe.stages["student"]
    assert (teacher.updates, teacher.selection.pool) == (("faces",), "faces")
    assert student.updates == student.distillation.on == ("faces", "voices")
    assert student.teachers == {"faces": "teacher_faces", "voices": "teacher_voices"}
    assert (student.teacher, student.selection.pool) == (None, "ALL")
    assert fit_to_store(recipe, store) is recipe
    plain = load_recipe("emma")
    assert fit_to_store(plain, store) is plain


def test_one_corpus_is_refused_before_training_with_what_to_do(store, tmp_path):
    alone = made_store(tmp_path / "store", videos=4, frames=20)
    recipe = load_recipe("music2emo", SMALL)
    remedy = "extract another corpus into the same store, or train a recipe of one"
    with pytest.raises(StoreError, match=f"two corpora at least.*got those of made; {remedy}"):
        trained(recipe, alone, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    unchosen = corpora_store(tmp_path / "unchosen", splits=("train", "test"))
    with pytest.raises(StoreError, match=r"none of faces, voices; .*--validation-share"):
        trained(recipe, unchosen, tmp_path / "run")
    assert fitted(unchosen, "data.held_out=0.1").tasks == ("VA_RATING", "EXPR")


def test_each_corpus_learns_from_its_teacher_and_its_labels_by_eight_to_two(store, finished):
    recipe, folder = fitted(store), finished[0]
    run = stage_run(recipe, store, folder.root, stage=2)
    assert set(run.pool_teachers) == {"faces", "voices"}
    assert [task.key for task in run.pool_teachers["faces"].tasks] == ["VA"]
    assert [task.key for task in run.pool_teachers["voices"].tasks] == ["EXPR"]
    terms = {kind: run.update(0, 0, kind, run.training[kind][:8]) for kind in run.kinds}
    assert set(terms["faces"]) == {"label.VA", "teacher.VA", "loss"}
    assert set(terms["voices"]) == {"label.EXPR", "teacher.EXPR", "loss"}
    again = stage_run(recipe, store, folder.root, stage=2)
    rows = again.training["voices"][:8]
    inputs = again.context.device.tensors(again.context.samples.inputs(rows))
    own = again.net(inputs).raw["EXPR"].detach()
    theirs = again.pool_teachers["voices"].net(inputs).raw["EXPR"]
    soft = -(theirs.softmax(1) * own.log_softmax(1)).sum(1).mean()
    label = again.context.samples.rows.targets["EXPR"].values[rows].argmax(1)
    hard = torch.nn.functional.cross_entropy(own, torch.from_numpy(label))
    values = again.update(0, 0, "voices", rows)
    assert values["teacher.EXPR"] == pytest.approx(0.8 * float(soft), rel=1e-4)
    assert values["label.EXPR"] == pytest.approx(0.2 * float(hard), rel=1e-4)


def test_a_teachers_outputs_are_read_from_files_that_go_at_the_end(store, finished):
    folder, seen, left = finished
    assert {"student: answers of teacher_faces", "student: answers of teacher_voices"} <= set(seen)
    assert left == []
    lines = [json.loads(line) for line in folder.journal.read_text().splitlines()]
    losses = lines[-1]["losses"]
    assert {"faces.teacher.VA", "voices.teacher.EXPR", "faces.label.VA"} <= set(losses)
    assert not {"faces.teacher.EXPR", "voices.teacher.VA"} & set(losses)
    description = json.loads(folder.description.read_text())
    assert description["recipe_hash"] == recipe_hash(fitted(store))


def test_a_finished_run_is_resumed_as_the_recipe_it_was_begun_with(store, finished):
    folder = finished[0]
    scores = folder.scores.read_text()
    again = trained(load_recipe("music2emo", SMALL), store, folder.root, resume=True)
    assert again.scores.read_text() == scores


def distilled(va_kd, raw, teacher, key="VA", **options):
    tasks = [VARIANTS["VA_RATING"], MOOD_TAGS]
    context = StepContext(
        kind="deam",
        tasks=tasks,
        outputs=Outputs({key: raw}, None, raw),
        teacher={key: teacher},
        targets={},
        progress=1.0,
        task_weights={},
    )
    objective = Distillation(1.0, 1.0, on=("deam",), va_kd=va_kd, **options)
    return float(objective(context)[f"teacher.{key}"])


def test_teachers_and_students_that_are_killed_end_as_if_they_were_not(store, finished):
    """Kills fall into both teachers, their outputs and the student; all is the same to the bit."""
    folder, seen, _ = finished
    recipe, killed = load_recipe("music2emo", SMALL), store.path.parent / "killed"
    places = []
    for after in (2, 3, len(seen) // 2, len(seen) // 3):
        report = killing(after)
        with pytest.raises(KilledError):
            trained(
                recipe, store, killed, resume=True, checkpoint_every_s=0,
                report=lambda name, *_: places.append(name) or report(),  # noqa: B023
            )  # fmt: skip
    assert {"teacher_faces", "student"} <= set(places)
    same_end(folder, trained(recipe, store, killed, resume=True))


def test_softmax_as_coded_sees_the_difference_of_valence_and_arousal_alone():
    """Both ratings a whole step too low: nothing to the softmax, 1 to the squared error."""
    teacher = torch.tensor([[6.0, 4.0], [3.0, 3.5]])
    assert distilled("softmax", teacher - 1, teacher) == pytest.approx(0, abs=1e-6)
    assert distilled("mse", teacher - 1, teacher) == pytest.approx(1)
    apart = teacher + torch.tensor([1.0, -1.0])
    expected = torch.nn.functional.kl_div(
        apart.log_softmax(1), teacher.softmax(1), reduction="batchmean"
    )
    assert distilled("softmax", apart, teacher) == pytest.approx(float(expected))
    assert distilled("softmax", apart, teacher) > 0.1
    assert distilled("task", teacher - 1, teacher) == pytest.approx(1)
    recipe = load_recipe("music2emo", ["student.distillation.va_kd=mse"])
    assert recipe.stages["student"].distillation.va_kd == "mse"
    assert load_recipe("music2emo").stages["student"].distillation.va_kd == "softmax"


def test_tags_are_compared_by_one_softmax_over_all_of_them_as_coded():
    made = torch.Generator().manual_seed(0)
    teacher = torch.randn(3, 56, generator=made)
    as_coded = distilled("task", teacher + 2, teacher, "TAGS", softmax_kd=("TAGS",))
    assert as_coded == pytest.approx(0, abs=1e-5)
    assert distilled("task", teacher + 2, teacher, "TAGS") > 0.1
    divergence = softmax_divergence(teacher + 1, teacher, 2.0)
    assert float(divergence) == pytest.approx(0, abs=1e-5)


def test_ratings_are_learned_on_their_scale_from_1_to_9():
    task = VARIANTS["VA_RATING"]
    raw = torch.tensor([[9.0, 5.0], [1.0, 11.0]])
    assert task.activate(raw).tolist() == [[1.0, 0.0], [-1.0, 1.0]]
    target = torch.tensor([[1.0, 0.5], [-1.0, float("nan")]])
    valid = torch.tensor([[True, True], [True, False]])
    loss = task.loss(raw, target, valid, torch.ones(2))
    assert float(loss) == pytest.approx((0 + 2**2 + 0) / 3)


def test_rare_tags_weigh_as_coded(tmp_path):
    """A tag of a share p weighs 2 / (1 + p) where present and 2p / (1 + p) where absent."""
    songs = songs_store(tmp_path / "store")
    recipe = fit_to_store(load_recipe("music2emo", [*SMALL, *MUSIC]), songs)
    run = stage_run(
        recipe, songs, tmp_path / "run", stage=list(recipe.stages).index("teacher_tags")
    )
    term = run.objectives[0]
    share = 0.5  # every second song is happy
    happy = MOOD_TAGS.columns.index("tag_happy")
    positive, column = term.positive_weight["TAGS"][happy], term.column_weight["TAGS"][happy]
    assert positive * column == pytest.approx(2 / (1 + share))
    assert column == pytest.approx(2 * share / (1 + share))
    raw, valid = torch.zeros(1, 56), torch.zeros(1, 56, dtype=torch.bool)
    valid[0, happy] = True
    values = []
    for present in (0.0, 1.0):
        target = torch.full((1, 56), present)
        context = StepContext(
            kind="tags", tasks=[MOOD_TAGS], outputs=Outputs({"TAGS": raw}, None, raw), teacher=None,
            targets={"TAGS": Target(target, valid, torch.ones(1))}, progress=1.0, task_weights={},
        )  # fmt: skip
        values.append(float(term(context)["label.TAGS"]) / np.log(2))
    assert values == pytest.approx([2 * share / (1 + share), 2 / (1 + share)])


class Target:
    """Labels of one task as a term of the loss reads them."""

    def __init__(self, values, valid, weight):
        self.values, self.valid, self.weight = values, valid, weight


MUSIC = ("data.face=mert", "data.voice=mert", "net.streams=['voice']")


def songs_store(path, songs=8):
    """Songs without sound in three corpora, one of tags, and a row of features each."""
    registry.task("TAGS")
    tasks = (*TASKS, MOOD_TAGS)
    rng = np.random.default_rng(0)
    (path.parent / "MERT").mkdir(exist_ok=True)
    with StoreWriter.create_or_resume(path, None, None, tasks) as writer:
        for corpus in ("deam", "pmemo", "tags"):
            for number, split in enumerate(["train"] * songs + ["validation", "test"] * 2):
                source = f"{corpus}/{corpus}{number}"
                is_happy = number % 2
                values = {"VA": np.array([[0.5 * is_happy, 0.1 * number - 0.3]])}
                if corpus == "tags":
                    tags = np.zeros((1, 56))
                    tags[0, MOOD_TAGS.columns.index("tag_happy")] = is_happy
                    values = {"TAGS": tags}
                keys = {
                    "source": source,
                    "person": source,
                    "track": -1,
                    "frame": 0,
                    "time_s": [0.0],
                }
                keys |= {"split": split, "label_set": next(iter(values))}
                writer.add(
                    SourceInfo(source, corpus, "sound", stills=False, frame_rate=RATE),
                    build_moments(1, keys, values, LabelOrigin.HUMAN, tasks),
                )
                row = rng.normal(size=(1, 6)) + is_happy
                np.save(path.parent / "MERT" / f"{corpus}{number}.npy", row.astype(np.float32))
    join(FeatureStore.open(path), path.parent / "MERT", stream_spec("mert", 1.0))
    return FeatureStore.open(path)


@pytest.mark.slow
def test_songs_with_ratings_and_songs_with_tags_train_one_model(tmp_path):
    songs = songs_store(tmp_path / "store")
    rates = [f"{stage}.optimizer.lr=0.02" for stage in ("teacher", "student")]
    recipe = load_recipe("music2emo", [*SMALL, *MUSIC, *rates])
    folder = trained(recipe, songs, tmp_path / "run")
    recipe = json.loads(folder.description.read_text())["recipe"]
    assert recipe["tasks"] == ["VA_RATING", "TAGS"]
    assert list(recipe["stages"]) == ["teacher_deam", "teacher_pmemo", "teacher_tags", "student"]
    export_run(folder, songs)
    context, stages = open_run(folder.root, songs)
    rows = np.arange(12)
    expected = predict_rows(stages[-1].net, context.samples, rows, context.tasks)
    fusion = Fusion(load_model_folder(folder.model), context.tasks)
    values = fusion.of_inputs(context.samples.inputs(rows))
    np.testing.assert_allclose(values["VA"], expected["VA"], atol=2e-3)
    happy = MOOD_TAGS.columns.index("tag_happy")
    np.testing.assert_allclose(values["TAGS"][:, happy], expected["TAGS"][:, happy], atol=2e-3)
    assert np.isnan(np.delete(values["TAGS"], happy, axis=1)).all()  # tags that no song has


def shape(tasks, voice=1536, **extra):
    scales = {
        name: Standardise(torch.zeros(width), torch.ones(width)) for name, width in extra.items()
    }
    return NetworkShape(resolve_tasks(tasks), 12, voice, scales=scales)


def test_it_has_the_published_sizes():
    """1536 numbers of a song, 8 of its chords and its mode, to 512; 256 and 56, 256 and 2."""
    spec = SharedTrunkSpec(kind="shared_trunk", streams=("voice",), chords="chords")
    net = SharedTrunk(spec, shape(["VA_RATING", "TAGS"], chords=200, mode=1))
    heads = 2 * (512 * 256 + 256) + (256 * 56 + 56) + (256 * 2 + 2)
    parts = {name: sum(p.numel() for p in part.parameters()) for name, part in net.named_children()}
    assert parts["trunk"] == 1545 * 512 + 512
    assert parts["branches"] == heads
    assert parts["trunk"] + parts["branches"] == 1_069_114
    chords = torch.randint(0, 14, (3, 200)).float()
    inputs = {
        "voice": torch.randn(3, 1536),
        "voice_present": torch.ones(3).bool(),
        "extra.chords": chords,
        "extra.chords.present": torch.tensor([True, True, False]),
        "extra.mode": torch.tensor([[0.0], [1], [0]]),
        "extra.mode.present": torch.ones(3).bool(),
    }
    first = net.eval()(inputs).raw
    assert (first["TAGS"].shape, first["VA"].shape) == ((3, 56), (3, 2))
    changed = net({**inputs, "extra.chords": (chords + 1) % 14}).raw["TAGS"]
    assert not torch.equal(changed[:2], first["TAGS"][:2])
    torch.testing.assert_close(changed[2], first["TAGS"][2])


def test_what_the_network_would_read_is_checked():
    spec = SharedTrunkSpec(kind="shared_trunk", chords="chords")
    with pytest.raises(RecipeError, match=r"the stream chords of net\.chords, got none"):
        SharedTrunk(spec, shape(["VA_RATING"]))
    with pytest.raises(RecipeError, match="a vector to read"):
        SharedTrunk(SharedTrunkSpec(kind="shared_trunk", streams=()), shape(["VA_RATING"]))


def test_teachers_by_update_are_checked():
    teachers = 'teachers={ALL = "nobody"}'
    for changes, message in (
        (["student.teacher=nobody"], "learns from nobody, no earlier stage"),
        ([f"student.{teachers}"], "needs distillation, no teacher"),
    ):
        with pytest.raises(RecipeError, match=message):
            load_recipe("music2emo", changes)
