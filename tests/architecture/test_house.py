"""The house keeps its measures: file, function and folder sizes, names, directions of imports.

The figures come from `benchmarks/house.py`; the first tests check that it counts correctly.
"""

import doctest
import sys

import pytest

from tests.architecture.repository import ROOT
from tests.benchmarks.scripts import load

house = load("house")

EXEMPT = ("synthetic",)
"""Folders without limits: the rendered people."""

STORED_KEYS = {"about", "stretch_s", "wanted"}
"""Keys of recipes, whose hashes they are part of, and of external streams that users have."""


def write_tree(root, **files):
    """A small package; double underscores in a name stand for slashes."""
    for name, text in files.items():
        path = root / "src" / "triaffect" / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for folder in {path.parent for path in (root / "src").rglob("*.py")}:
        (folder / "__init__.py").touch()
    return root


def measure(root, exempt=(), **files):
    return house.House.read(write_tree(root, **files), exempt=exempt)


def test_examples_in_the_docstrings_hold():
    assert doctest.testmod(house).failed == 0
    assert doctest.testmod(house).attempted > 0


def test_docstrings_do_not_count_as_length_and_every_def_counts(tmp_path):
    text = '''class A:
    def first(
        self,
    ):
        """One.

        Two.
        """
        x = 1

        def second():
            return x
        return second

    async def third(self):
        """Only a docstring."""
'''
    functions = measure(tmp_path, a=text).functions
    lengths = {each.node.name: (each.body_lines, each.lines) for each in functions}
    assert lengths == {"first": (5, 8), "second": (1, 2), "third": (0, 1)}


def test_what_is_over_a_limit_is_listed_unless_its_folder_is_exempt(tmp_path):
    long_file = "x = 1\n" * 701
    long_body = "def f():\n" + "    x = 1\n" * 46
    long_signature = "def f(\n" + "".join(f"    a{n},\n" for n in range(45)) + "):\n    return a1\n"
    many_files = {f"full__file{n}": "" for n in range(12)}
    files = {
        "a": long_file,
        "b": long_body,
        "c": long_signature,
        "d": long_file.removesuffix("x = 1\n"),
        **many_files,
    }
    files |= {f"synthetic__{name}": text for name, text in files.items() if "__" not in name}
    tree = measure(tmp_path, exempt=["synthetic"], **files)
    assert tree.long_files() == {"a.py": 701}
    assert tree.long_functions() == {"b.py:1 f": 46}
    assert tree.long_functions(signature=True) == {"b.py:1 f": 47, "c.py:1 f": 48}
    assert tree.full_folders() == {"full": 13}
    assert len(measure(tmp_path).long_files()) == 2


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("def told(): pass", "told"),
        ("def f(known_faces): pass", "known"),
        ("def f(*, given=1): pass", "given"),
        ("_HEARING = 1", "hearing"),
        ("class KeptRows: pass", "kept"),
        ("for found in (): pass", "found"),
        ("self.x.asked = 1", "asked"),
        ("with open('x') as tape: pass", "tape"),
        ("import x as sight", "sight"),
        ("try: pass\nexcept OSError as said: pass", "said"),
        ("x = [place for place in ()]", "place"),
        ("many_places = 1", "many"),
        ("stretches: int", "stretch"),
        ("async def form_of(): pass", "form"),
        ("(wanted := 1)", "wanted"),
    ],
)
def test_a_banned_word_is_noticed_wherever_a_name_is_defined(tmp_path, text, word):
    assert word in measure(tmp_path, a=text).banned_names()


@pytest.mark.parametrize(
    "text",
    [
        "unknown = platform = waveform = standalone = information = formed = 1",
        "class FileNotFoundError: pass",
        "def fill_in_place(how_many, time_stretch): pass",
        "value = other.told",
        "f(given=1)",
        "from x import found",
    ],
)
def test_other_names_and_names_of_others_are_no_banned_words(tmp_path, text):
    assert measure(tmp_path, a=text).banned_names() == {}


def test_modules_and_folders_have_names_too(tmp_path):
    tree = measure(tmp_path, sinks="", opening__a="")
    assert tree.banned_names() == {
        "opening": ["opening/__init__.py:1 opening"],
        "sinks": ["sinks.py:1 sinks"],
    }


def test_classes_and_aliases_with_several_definitions(tmp_path):
    tree = measure(
        tmp_path,
        a="class Job: pass\nclass One: pass\nT = TypeVar('T')\nLimit = 3\nX = list[int]",
        b="Job = Callable[[int], None]\nclass Two:\n    class One: pass\nLimit = 3",
        c="X = dict[str, int]",
    )
    assert tree.repeated_classes() == {"Job": ["a.py:1", "b.py:1"], "One": ["a.py:2", "b.py:3"]}


def test_circles(tmp_path):
    tree = measure(
        tmp_path,
        a="from triaffect import b",
        b="from triaffect.c import x",
        c="if TYPE_CHECKING:\n    from triaffect.a import x",
        d="import triaffect.e",
        e="def f():\n    import triaffect.d",
        f="from .a import x",
    )
    assert tree.circles() == [["triaffect.a", "triaffect.b", "triaffect.c"]]


def test_circles_through_what_a_package_exports_lazily(tmp_path):
    root = write_tree(
        tmp_path, p__a="from triaffect.p import B", p__b="from triaffect.p.a import A"
    )
    package = root / "src" / "triaffect" / "p" / "__init__.py"
    package.write_text("if TYPE_CHECKING:\n    from triaffect.p.b import B\n")
    circle = [["triaffect.p.a", "triaffect.p.b"]]
    assert house.House.read(root).circles() == circle
    package.write_text("_MODULES = {'B': '.b'}\n")
    assert house.House.read(root).circles() == circle
    package.write_text("")
    assert house.House.read(root).circles() == []


def test_upward_imports(tmp_path):
    (tmp_path / "pyproject.toml").write_text(
        '[[tool.importlinter.contracts]]\ntype = "layers"\n'
        'layers = ["triaffect.top", "triaffect.left | triaffect.right", "triaffect.low"]\n'
    )
    tree = measure(
        tmp_path,
        top="from triaffect import __version__, left, low",
        left="from triaffect import low",
        right__a="from triaffect.right import b",
        right__b="from triaffect.left import x",
        low="def f():\n    from triaffect.top import g\n    from triaffect import __version__",
    )
    assert sorted(tree.upward_imports()) == [
        "low.py:2 imports triaffect.top",
        "low.py:3 imports triaffect",
        "right/b.py:1 imports triaffect.left",
    ]


def test_small_functions_with_one_caller(tmp_path):
    text = """
def once(): return 1
def twice(): return 2
def never(): return 3
@decorated
def other(): return 4
def longer():
    x = 5
    return x
class C:
    def method(self): return 6
    def __len__(self): return 7
y = once() + twice() + twice() + other() + longer() + C().method()
"""
    assert measure(tmp_path, a=text).small_functions() == ["a.py:2 once", "a.py:11 method"]


def test_the_table_shows_two_trees_side_by_side(tmp_path, monkeypatch, capsys):
    function = "def f(): pass"
    before = write_tree(tmp_path / "before", a="found = 1\n", c=function)
    after = write_tree(tmp_path / "after", a="result = 1\n", b="x = 2\ny = 3\n", c=function)
    trees = ["--repo", str(before), str(after)]
    monkeypatch.setattr(sys, "argv", ["house", "--list", *trees, "--except", "synthetic"])
    house.main()
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["files", "3", "4"] in lines
    assert ["names", "with", "a", "banned", "word", "1", "0"] in lines
    assert ["found", "1", "0"] in lines


def test_a_folder_without_source_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["house", "--repo", str(tmp_path)])
    with pytest.raises(SystemExit, match="give --repo"):
        house.main()


@pytest.fixture(scope="module")
def tree():
    """The package in this repository."""
    return house.House.read(ROOT, exempt=EXEMPT)


def test_files_have_at_most_700_lines(tree):
    assert tree.long_files() == {}


def test_files_are_whole_ideas(tree):
    assert house.figures(tree)["lines a file, median"] >= 150


def test_functions_have_at_most_45_lines(tree):
    """Signatures included, but those of commands: they are their options."""
    assert tree.long_functions() == {}
    with_signature = tree.long_functions(signature=True)
    assert [name for name in with_signature if not name.startswith("cli/")] == []


def test_at_most_45_functions_per_1000_lines(tree):
    assert house.figures(tree)["functions per 1,000 lines"] <= 45


def test_folders_have_at_most_12_files(tree):
    """Beside `__init__.py`."""
    assert {name: n for name, n in tree.full_folders().items() if n > 13} == {}


def test_no_name_contains_a_banned_word(tree):
    names = {each.split()[-1] for places in tree.banned_names().values() for each in places}
    assert names - STORED_KEYS == set()


def test_a_class_name_has_one_meaning(tree):
    assert tree.repeated_classes() == {}


def test_no_modules_import_each_other(tree):
    assert tree.circles() == []


def test_imports_run_downward(tree):
    assert tree.layers
    assert tree.upward_imports() == []
