"""Rules that every source file keeps."""

import ast
import re

import pytest

from tests.architecture.repository import PACKAGE, docstrings, modules
from triaffect.tasks.registry import TASKS

MOST_LINES = 700

SPELL_TASK_KEYS = ("tasks/", "corpora/", "recipes/", "losses/", "synthetic/")
SPELL_TASK_KEYS += ("weights/default/example.py",)
"""Who may name single tasks: the tasks; label files, which have them in their names; recipes
and the published system's terms, which are about them; and the program that goes with a model,
which imports nothing of the package."""

UNSAFE_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


def imported(tree):
    """Top-level names of everything a module imports, at whatever level."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.split(".")[0]


def test_files_are_short():
    lengths = {name: len((PACKAGE / name).read_text("utf-8").splitlines()) for name in modules()}
    assert not {name: lines for name, lines in lengths.items() if lines > MOST_LINES}


def test_functions_are_short():
    """At most 5 % are longer than 45 lines, and half are no longer than 12."""
    lines = sorted(
        node.end_lineno - node.lineno + 1 - docstring_lines(node)
        for tree in modules().values()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
    )
    assert lines[len(lines) // 2] <= 12
    assert lines[int(len(lines) * 0.95)] <= 45


def docstring_lines(function):
    first = function.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
        return first.end_lineno - first.lineno + 1
    return 0


def test_nothing_is_unpickled():
    found = {name: UNSAFE_MODULES & set(imported(tree)) for name, tree in modules().items()}
    assert not {name: unsafe for name, unsafe in found.items() if unsafe}
    for name, tree in modules().items():
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            called = ast.unparse(call.func)
            given = {word.arg: ast.unparse(word.value) for word in call.keywords}
            assert called != "torch.load", f"{name}:{call.lineno} may unpickle"
            if called in ("np.load", "numpy.load", "np.lib.format.open_memmap"):
                assert given.get("allow_pickle", "False") == "False", f"{name}:{call.lineno}"


def test_single_tasks_are_named_in_few_places():
    keys = {task.key for task in TASKS} | {task.name for task in TASKS}
    for name, tree in modules().items():
        if name.startswith(SPELL_TASK_KEYS):
            continue
        prose = docstrings(tree)
        spelled = [
            f"{name}:{node.lineno} {node.value}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and node.value in keys and id(node) not in prose
        ]
        assert not spelled, "ask the tasks instead of naming them"


def test_label_columns_are_named_in_few_places():
    columns = {column for task in TASKS for column in task.columns}
    for name, tree in modules().items():
        if name.startswith(SPELL_TASK_KEYS):
            continue
        constants = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
        spelled = columns & {value for value in constants if isinstance(value, str)}
        assert not spelled, f"{name} names {spelled}: take them from the tasks"


@pytest.mark.parametrize("word", ["TODO", "FIXME", "XXX", "NotImplementedError", "HACK"])
def test_nothing_is_left_for_later(word):
    found = [
        name for name in modules() if re.search(rf"\b{word}\b", (PACKAGE / name).read_text("utf-8"))
    ]
    assert not found
