"""Thousands of broken annotation files; `python benchmarks/fuzz_annotations.py` runs more."""

import random

import pytest

from tests.corpora.fuzz import Kind, Refused, Tally, changed, fuzz, judge, refusal
from tests.corpora.fuzz_aff_wild2 import KINDS
from triaffect.errors import AnnotationError

FILES = 2000


def test_every_file_is_read_right_or_refused_with_its_line(tmp_path):
    tally = fuzz(KINDS, FILES, 0, tmp_path)
    assert tally.wrong == []
    assert tally.files == {kind.name: FILES // len(KINDS) for kind in KINDS}
    for kind in KINDS:
        assert tally.right[kind.name] > 30, "the changes leave hardly a file that is right"
    reasons = {why for _, why in tally.refused}
    assert reasons >= {"header", "value", "number of fields", "image", "contradiction"}
    assert reasons >= {"not UTF-8", "empty", "no lines"}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_an_unchanged_file_is_right_unless_it_contradicts_itself(tmp_path, kind):
    generator, tally = random.Random(1), Tally()
    for _ in range(20):
        judge(kind, kind.make(generator), tmp_path, tally)
    assert tally.wrong == []
    assert {why for _, why in tally.refused} <= {"contradiction"}
    assert tally.right[kind.name] > 5


def test_changes_are_many_and_repeatable():
    content = KINDS[0].make(random.Random(2))
    made = [changed(content, random.Random(seed), ["x"]) for seed in range(300)]
    assert made == [changed(content, random.Random(seed), ["x"]) for seed in range(300)]
    assert len(set(made)) > 100


def told(line):
    return lambda folder, path: {"": refusal(AnnotationError("a", "b", where=line), path)}


def crash(folder, path):
    raise KeyError("a bug")


@pytest.mark.parametrize(
    "read",
    [
        lambda folder, path: {"": [(1,)]},
        lambda folder, path: {"": []},
        lambda folder, path: {},
        told("elsewhere:3"),
        told(""),
        crash,
    ],
)
def test_the_fuzzer_notices_a_reader_that_is_wrong(tmp_path, read):
    for right in ({"": [(0,)]}, {"": Refused(3, "value")}):
        tally = Tally()
        judge(Kind("x", None, lambda _, right=right: right, read, "x"), b"", tmp_path, tally)
        assert len(tally.wrong) == 1
        assert not tally.right
