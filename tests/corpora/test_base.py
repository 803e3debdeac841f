"""Telling the forms of corpora apart."""

import pytest

from tests.shared import SHARED, needs_shared
from triaffect.corpora.base import READERS, open_corpus
from triaffect.errors import AnnotationError


def test_nothing_there(tmp_path):
    with pytest.raises(AnnotationError, match="no such"):
        open_corpus(tmp_path / "nowhere")


def test_an_unknown_form_lists_the_known_ones(tmp_path):
    (tmp_path / "notes.txt").write_text("words")
    for root in (tmp_path, tmp_path / "notes.txt"):
        with pytest.raises(AnnotationError) as error:
            open_corpus(root)
        assert error.value.where == str(root)
        for form in READERS:
            assert form.description in error.value.remedy


@needs_shared
@pytest.mark.parametrize(
    ("folder", "name", "sources"),
    [("ferplus", "ferplus", 1), ("ravdess_speech", "ravdess", 1200), ("emodb", "emodb", 408)],
)
def test_real_corpora(folder, name, sources):
    corpus = open_corpus(SHARED / "data" / folder)
    assert corpus.name == name
    ids = [source.source_id for source in corpus.sources()]
    assert len(ids) == sources
    assert ids == sorted(set(ids))
    assert all(each.startswith(f"{name}/") for each in ids)
    assert corpus.problems() == []
