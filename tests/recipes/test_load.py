import pytest

from triaffect.errors import RecipeError
from triaffect.recipes.config import Recipe
from triaffect.recipes.load import load_recipe, recipe_hash, shipped_recipes

FROZEN = {
    "paper_as_published": "117c1e466c643d9380d24f64485ff5fcdf728cae4a009b7df6773d7e57274152",
    "paper_as_coded": "e322a3dcb8d1f38020ed890da031bfa4679b42383775b2451da459075ba6321d",
    "supervised": "d1da0c8e625a0c21460395743e66f62f8a486a15ea4bb857f4e46fdaedfe2711",
}


@pytest.mark.parametrize("name", FROZEN)
def test_published_recipes_do_not_change(name):
    assert recipe_hash(load_recipe(name)) == FROZEN[name]


@pytest.mark.parametrize("name", shipped_recipes())
def test_every_shipped_recipe_resolves(name):
    recipe = load_recipe(name)
    assert recipe.name == name
    assert load_recipe(f"{name}.toml") == recipe


def test_the_two_readings_differ_where_spec_says():
    published, coded = load_recipe("paper_as_published"), load_recipe("paper_as_coded")
    assert published.net == coded.net
    assert published.stages["student"].teacher_weights == "best"
    assert coded.stages["student"].teacher_weights == "last"
    assert coded.stages["teacher"].optimizer.kind == "keras_adam"
    assert coded.stages["student"].supervised.reading == "as_coded"
    assert coded.stages["student"].selection.metric == "per_batch"
    assert coded.data.drop_partial
    assert coded.data.drop_minus_one
    assert not published.data.drop_minus_one
    assert coded.data.single_task_frame_offset == -1


def test_supervised_has_no_soft_labels_and_no_discriminator():
    (stage,) = load_recipe("supervised").stages.values()
    assert stage.distillation is None
    assert stage.adversary is None


LATER = {
    "face.average": ("0.0", "0.5"),
    "face.optimizer.warmup": ("0.0", "0.5"),
    "face.optimizer.decay_on": ("all", "matrices"),
    "data.mix": ("0.0", "0.5"),
    "data.refit": ("false", "true"),
    "data.test_people": ("[]", "['emodb/03']"),
    "net.attention": ("none", "channel"),
    "net.mirror": ("false", "true"),
}
"""Keys that came later, each with its value while it is off and another."""


@pytest.mark.parametrize("key", LATER)
def test_a_key_that_came_later_leaves_the_hash_while_it_is_off(key):
    all_off = ["data.held_out=0", *(f"{each}={off}" for each, (off, _) in LATER.items())]
    plain = load_recipe("light_face", all_off)
    written = plain.model_dump(mode="json")
    for part in ["stages", *key.split(".")] if key.startswith("face.") else key.split("."):
        assert part != key.rpartition(".")[2] or part not in written
        written = written.get(part, {})
    used = load_recipe("light_face", [*all_off, f"{key}={LATER[key][1]}"])
    assert recipe_hash(used) != recipe_hash(plain)
    assert Recipe.model_validate(used.model_dump(mode="json")) == used


def test_overrides_reach_stages_by_name():
    recipe = load_recipe("paper_as_published", ["student.optimizer.lr=1e-3", "net.lstm=16"])
    assert recipe.stages["student"].optimizer.lr == 1e-3
    assert recipe.stages["teacher"].optimizer.lr == 1e-4
    assert recipe.net.lstm == 16
    assert recipe_hash(recipe) != recipe_hash(load_recipe("paper_as_published"))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("student.optimizr.lr=1", "stages.student.optimizr.*did you mean 'optimizer'"),
        ("student.optimizer.rl=1", "did you mean 'lr'"),
        ("nett.lstm=1", "did you mean 'net'"),
        ("net.lstn=1", "did you mean 'lstm'"),
        ("data.window.spam=2", "did you mean 'span'"),
        ("student.optimizer.lr=fast", "lr.*'fast'"),
        ("net.lstm=3.5", "lstm.*3.5"),
        ("student.teacher=nobody", "nobody, no earlier stage"),
        ("student.updates=['ALL']", "pool ALL, not in data.pools"),
        ("student.epochs", "key.path=value"),
        ("tasks.more=1", "table at tasks"),
        ("data.mix=0.5", "mix is for crops and logmel"),
        ("teacher.teacher=given", "given teachers but no distillation"),
    ],
)
def test_what_does_not_fit_is_named(override, message):
    with pytest.raises(RecipeError, match=message):
        load_recipe("paper_as_published", [override])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["data.held_out=0.1"], "set held_out to 0"),
        (["student.stagnation=0.5"], "stage student needs scores, which data.refit"),
        (["teacher.selection.thresholds=true"], "stage teacher needs scores, which data.refit"),
    ],
)
def test_what_learns_from_everybody_chooses_nothing(changes, message):
    plain = ["data.refit=true", "student.stagnation=0"]
    assert load_recipe("paper_as_published", plain).data.refit
    with pytest.raises(RecipeError, match=message):
        load_recipe("paper_as_published", [*plain, *changes])


def test_a_file_states_its_differences(tmp_path):
    mine = tmp_path / "mine.toml"
    mine.write_text('extends = "supervised"\nname = "mine"\n[data]\nbatch_size = 32\n')
    recipe = load_recipe(mine)
    assert (recipe.name, recipe.data.batch_size) == ("mine", 32)
    assert recipe.stages == load_recipe("supervised").stages


def test_another_kind_of_net_starts_afresh(tmp_path):
    mine = tmp_path / "mine.toml"
    mine.write_text('extends = "supervised"\n[net]\nkind = "default"\nwidth = 32\n')
    assert load_recipe(mine).net.width == 32


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = ", "TOML"),
        ('extends = "nothing.toml"', "a recipe file or one of"),
        ('extends = "mine.toml"', "circle"),
        ('extends = "supervised"\nremove = ["stages.nobody"]', "stages.nobody"),
        ('name = "bare"', "the key"),
    ],
)
def test_a_broken_file_is_explained(tmp_path, text, message):
    mine = tmp_path / "mine.toml"
    mine.write_text(text)
    with pytest.raises(RecipeError, match=message):
        load_recipe(mine)


def test_an_unknown_recipe_lists_the_shipped_ones():
    with pytest.raises(RecipeError, match="paper_as_coded"):
        load_recipe("paper_as_printed")
