"""Tasks by key, dotted path or entry point."""

import pytest

from tests.tasks.toy import PAIN
from triaffect.errors import PluginError, TriaffectError
from triaffect.io.plugins import Plugin
from triaffect.tasks import registry
from triaffect.tasks.registry import (
    TASKS,
    available_tasks,
    load_task,
    resolve_tasks,
    task,
    task_plugins,
)

PATH = "tests.tasks.toy:PAIN"


@pytest.fixture(autouse=True)
def _fresh(monkeypatch):
    monkeypatch.setattr(registry, "_loaded", {})


def test_a_task_loaded_by_its_path_is_found_by_its_key():
    expected = "one of the tasks VA, EXPR, AU, TAGS, ACOUSTICS, got 'PAIN'"
    with pytest.raises(TriaffectError, match=expected):
        task("PAIN")
    assert PAIN not in available_tasks()
    assert task(PATH) is PAIN
    assert task("PAIN") is PAIN
    assert resolve_tasks(["VA", PATH]) == [TASKS[0], PAIN]
    assert available_tasks() == (*TASKS, PAIN)
    assert task_plugins(available_tasks()) == {"PAIN": Plugin(PATH)}


def test_a_task_is_named_once():
    with pytest.raises(TriaffectError, match="each task once, got PAIN 2 times"):
        resolve_tasks([PATH, "VA", PATH])


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("tests.tasks.toy:Pain", "expected a task as tests.tasks.toy:Pain, got <class"),
        ("triaffect.tasks.expression:EXPRESSION", "a new key for the task .*, got 'EXPR'"),
        ("nowhere:PAIN", "the task PAIN of `nowhere`, got no module nowhere; pip install"),
    ],
)
def test_what_is_no_new_task_is_refused(path, message):
    with pytest.raises(PluginError, match=message):
        load_task(Plugin(path), path)


def test_two_tasks_do_not_share_a_key():
    task(PATH)
    with pytest.raises(PluginError, match=r"a new key for the task tests\.tasks\.test_registry"):
        task("tests.tasks.test_registry:PAIN")


def test_an_installed_task_that_fails_is_left_out_with_a_warning(monkeypatch):
    monkeypatch.setattr(registry, "plugin_names", lambda group: ["GONE"])
    monkeypatch.setattr(registry, "find_plugin", lambda group, name: Plugin("gone:X", "gone-tasks"))
    with pytest.warns(UserWarning, match="got no module gone; pip install gone-tasks"):
        assert available_tasks() == TASKS
