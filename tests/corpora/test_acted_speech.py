"""RAVDESS and EMO-DB: names, times, splits."""

import wave

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.shared import SHARED, needs_shared
from triaffect.corpora.acted_speech import EmoDb, Ravdess, middle_times_s
from triaffect.corpora.rows import MEANING
from triaffect.errors import AnnotationError, MediaError
from triaffect.tasks.expression import EXPRESSION, EXPRESSIONS
from triaffect.types import Moments


def write_wav(path, seconds=2.0, rate=8000):
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.zeros(round(seconds * rate), np.int16).tobytes())


def emotions_of(moments):
    targets = moments.targets("EXPR", EXPRESSION.columns)
    assert targets.valid.all()
    assert np.allclose(targets.values.sum(1), 1)
    return [EXPRESSIONS[k] for k in targets.values.argmax(1)]


def test_ravdess_utterance(tmp_path):
    write_wav(tmp_path / "Actor_18" / "03-01-02-01-01-01-18.wav", seconds=4.0)
    corpus = Ravdess(tmp_path)
    (source,) = corpus.sources()
    assert source.source_id == "ravdess/Actor_18/03-01-02-01-01-01-18"
    assert source.sound == tmp_path / "Actor_18" / "03-01-02-01-01-01-18.wav"
    moments = corpus.moments(source)
    assert moments.column("time_s").tolist() == [1.0, 1.5, 2.0, 2.5, 3.0]
    assert moments.column("frame").tolist() == [30, 45, 60, 75, 90]
    assert set(moments.column("person")) == {"ravdess/Actor_18"}
    assert set(moments.column("split")) == {"test"}
    assert set(moments.column("track")) == {-1}
    assert set(moments.column("EXPR_origin")) == {"human"}
    assert emotions_of(moments) == ["neutral"] * 5
    assert moments.table.column("valence").null_count == 5
    assert list(corpus.images(source)) == []


def test_emodb_utterance(tmp_path):
    write_wav(tmp_path / "09b10Lc.wav", seconds=0.8)
    corpus = EmoDb(tmp_path)
    moments = corpus.moments(corpus.sources()[0])
    assert emotions_of(moments) == ["other"]
    assert set(moments.column("split")) == {"validation"}
    assert set(moments.column("person")) == {"emodb/09"}


def test_a_file_with_a_strange_name_fails_alone(tmp_path):
    write_wav(tmp_path / "Actor_01" / "03-01-09-01-01-01-01.wav")
    write_wav(tmp_path / "Actor_01" / "03-01-08-01-01-01-01.wav")
    corpus = Ravdess(tmp_path)
    good, bad = corpus.sources()
    assert emotions_of(corpus.moments(good))[0] == "surprise"
    with pytest.raises(AnnotationError, match="03-01-09"):
        corpus.moments(bad)


def test_a_file_that_is_no_sound(tmp_path):
    path = tmp_path / "Actor_01" / "03-01-08-01-01-01-01.wav"
    path.parent.mkdir()
    path.write_text("words")
    corpus = Ravdess(tmp_path)
    with pytest.raises(MediaError, match="03-01-08"):
        corpus.moments(corpus.sources()[0])


@given(st.floats(0.05, 600))
def test_middle_times_lie_in_the_middle_half(duration_s):
    times_s = middle_times_s(duration_s)
    assert len(times_s) >= 1
    assert (times_s >= 0.25 * duration_s - 1e-9).all()
    assert (times_s <= 0.75 * duration_s + 1e-9).all()
    assert np.allclose(np.diff(times_s), 0.5)


def test_emotions_of_a_corpus_mean_expressions():
    assert MEANING["contempt"] == MEANING["boredom"] == "other"
    assert MEANING["calm"] == "neutral"
    assert set(MEANING.values()) == set(EXPRESSIONS)


def read_all(corpus):
    return Moments.concat(corpus.moments(source) for source in corpus.sources())


def persons_by_split(moments):
    frame = moments.table.select(["person", "split"]).to_pandas().drop_duplicates()
    return frame.groupby("split")["person"].apply(set).to_dict()


@needs_shared
def test_real_ravdess():
    moments = read_all(Ravdess(SHARED / "data" / "ravdess_speech"))
    assert len(set(moments.column("source"))) == 1200
    persons = persons_by_split(moments)
    assert persons["test"] == {f"ravdess/Actor_{n}" for n in (17, 18, 19, 20)}
    assert persons["validation"] == {"ravdess/Actor_15", "ravdess/Actor_16"}
    assert len(persons["train"]) == 14
    frame = moments.table.to_pandas().drop_duplicates("source")
    counts = frame[list(EXPRESSION.columns)].sum()
    assert counts["p_neutral"] == 80 + 160  # neutral and calm
    assert counts["p_other"] == 0
    assert (counts[["p_anger", "p_disgust", "p_fear", "p_surprise"]] == 160).all()


@needs_shared
def test_real_emodb():
    moments = read_all(EmoDb(SHARED / "data" / "emodb"))
    frame = moments.table.to_pandas().drop_duplicates("source")
    counts = frame[list(EXPRESSION.columns)].sum().astype(int).to_dict()
    assert counts == {
        "p_neutral": 63,
        "p_anger": 100,
        "p_disgust": 30,
        "p_fear": 54,
        "p_happiness": 54,
        "p_sadness": 49,
        "p_surprise": 0,
        "p_other": 58,
    }
    persons = persons_by_split(moments)
    assert persons["test"] == {"emodb/03", "emodb/08"}
    assert persons["validation"] == {"emodb/09"}
    assert len(persons["train"]) == 5
