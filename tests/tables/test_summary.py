"""The summary: equal to plain weighted statistics, however the stream is cut."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.studies.made_study import plain_clip, smiles
from tests.tables.made_rows import cut, joined, made_rows
from tests.tables.test_presence import plain_presence
from tests.tasks.toy import PAIN
from triaffect.tables.summary import BINS, summarize_parts, summary_schema
from triaffect.tasks.registry import TASKS

THRESHOLDS = {"AU1": 0.8, "AU25": 0.2}
STRICT = [task.with_thresholds(THRESHOLDS) for task in TASKS]


def lasting(frame):
    """Seconds that each row's moment lasts."""
    moments = frame["time_s"].drop_duplicates()
    lasts = (-moments.diff(-1)).ffill()
    return frame["time_s"].map(dict(zip(moments, lasts, strict=True)))


def percentile(values, weight, share):
    order = np.argsort(values)
    place = np.searchsorted(np.cumsum(weight[order]), share * weight.sum())
    return values[order][place]


@pytest.mark.parametrize("seed", range(3))
def test_it_equals_plain_weighted_statistics(seed):
    raw = made_rows(300, seed=seed)
    frame = raw.to_pandas().assign(weight=lasting)
    told = joined(summarize_parts([raw], STRICT)).to_pandas().set_index("face_id")
    assert told.index.isna().tolist() == [False, False, True]
    clip_s = frame.drop_duplicates("time_s")["weight"].sum()
    for face, rows in frame.groupby("face_id", dropna=False):
        row = told[told.index.isna()].iloc[0] if np.isnan(face) else told.loc[face]
        weight = rows["weight"]
        assert row["rows"] == len(rows)
        assert (row["first_s"], row["last_s"]) == (rows["time_s"].min(), rows["time_s"].max())
        assert row["seconds"] == pytest.approx(weight.sum(), abs=1e-6)
        assert row["clip_share"] == pytest.approx(weight.sum() / clip_s, abs=1e-6)
        heard = (weight * rows["voice_heard"]).sum() / weight.sum()
        assert row["voice_share"] == pytest.approx(heard, abs=1e-6)
        known = rows.dropna(subset=["valence"])
        weight = known["weight"].to_numpy()
        for name in ("valence", "arousal"):
            values = known[name].to_numpy()
            mean = np.average(values, weights=weight)
            sd = np.sqrt(np.average((values - mean) ** 2, weights=weight))
            assert row[f"{name}_mean"] == pytest.approx(mean, abs=1e-6)
            assert row[f"{name}_sd"] == pytest.approx(sd, abs=1e-6)
            for share in (5, 50, 95):
                expected = percentile(values, weight, share / 100)
                assert row[f"{name}_p{share}"] == pytest.approx(expected, abs=2 / BINS)
        shares = known["weight"].groupby(known["expression"]).sum() / weight.sum()
        assert {name: row[f"{name}_share"] for name in shares.index} == pytest.approx(
            dict(shares), abs=1e-6
        )
        for unit in ("AU1", "AU12", "AU25"):
            present = plain_presence(rows["time_s"], rows[unit], THRESHOLDS.get(unit, 0.5))
            active = present[rows["valence"].notna().to_numpy()] == 1
            assert row[f"{unit}_share"] == pytest.approx(
                weight[active].sum() / weight.sum(), abs=1e-6
            )
            flags = np.nan_to_num(present) == 1
            assert row[f"{unit}_episodes"] == (flags & ~np.append(False, flags[:-1])).sum()


def test_detection_is_that_of_the_face():
    raw = made_rows(50)
    told = joined(summarize_parts([raw], TASKS)).to_pandas()
    assert told["detection_mean"].isna().tolist() == told["face_id"].isna().tolist()
    frame = raw.to_pandas().assign(weight=lasting)
    own = frame[frame["face_id"] == 0]
    expected = np.average(own["detection"], weights=own["weight"])
    assert told["detection_mean"][0] == pytest.approx(expected, abs=1e-6)


def test_each_clip_has_its_rows_in_order():
    clips = [made_rows(20, seed=k, clip=f"{k}.mp4") for k in (3, 1)]
    told = joined(summarize_parts(clips, TASKS))
    alone = joined(joined(summarize_parts([clip], TASKS)) for clip in clips)
    assert told.equals(alone)
    assert told["clip"].to_pylist() == sorted(told["clip"].to_pylist(), reverse=True)


def test_a_picture_is_a_moment_that_lasts_no_time():
    raw = made_rows(times_s=[0.0], faces=1, gaps=False)
    told = joined(summarize_parts([raw], TASKS)).to_pandas().iloc[0]
    row = raw.to_pandas().iloc[0]
    assert (told["seconds"], told["rows"], told["clip_share"]) == (0, 1, 1)
    for name in ("valence_mean", "valence_p5", "valence_p50", "valence_p95"):
        assert told[name] == pytest.approx(row["valence"], abs=1e-6)
    assert told["valence_sd"] == pytest.approx(0, abs=1e-6)
    assert told[f"{row['expression']}_share"] == 1


def test_a_face_without_predictions_has_blanks():
    raw = made_rows(30).to_pandas()
    blank = [name for task in TASKS for name in task.prediction_columns]
    raw[blank] = np.nan
    table = pa.Table.from_pandas(raw, made_rows(1).schema, preserve_index=False)
    told = joined(summarize_parts([table], TASKS)).to_pandas()
    assert told[["valence_mean", "valence_p50", "neutral_share", "AU1_share"]].isna().all(axis=None)
    assert told["seconds"].gt(0).all()


def test_another_task_is_summed_up_too():
    four = (*TASKS, PAIN)
    told = joined(summarize_parts([made_rows(tasks=four)], four)).to_pandas()
    assert told["pain_mean"].between(0, 1).all()
    assert "pain_p50" in summary_schema(four).names


@settings(max_examples=40)
@given(seed=st.integers(0, 99), places=st.sets(st.integers(0, 60), max_size=20))
def test_it_does_not_matter_where_the_stream_is_cut(seed, places):
    whole = joined([made_rows(20, seed=seed), made_rows(20, seed=seed + 1, clip="b.mp4")])
    parts = cut(whole, {place for place in places if place <= len(whole)})
    told = [joined(summarize_parts(each, TASKS)).to_pandas() for each in ([whole], parts)]
    pd.testing.assert_frame_equal(*told, rtol=0, atol=2e-6)


def test_plain_words_are_episodes_of_their_units():
    table = plain_clip(
        "a.mp4",
        AU12=smiles((1.0, 2.0), (4.0, 4.5)),
        AU1=smiles((5.0, 8.0)),
        AU2=smiles((6.0, 9.0)),
    )
    (summary,) = summarize_parts([table], TASKS)
    row = summary.to_pylist()[0]
    assert row["smile_share"] == pytest.approx(0.15)
    assert row["smile_episodes"] == row["AU12_episodes"] == 2
    assert row["smile_mean_s"] == pytest.approx(0.75)
    assert row["brow_raise_share"] == pytest.approx(0.2)
    assert row["brow_raise_mean_s"] == pytest.approx(2.0)
    assert row["frown_episodes"] == 0
    assert row["frown_mean_s"] is None


def test_nothing_in_a_picture_has_a_length():
    table = plain_clip("a.png", 0.1, AU12=smiles((0.0, 9.0)))
    (summary,) = summarize_parts([table], TASKS)
    row = summary.to_pylist()[0]
    assert (row["smile_share"], row["smile_mean_s"]) == (1.0, None)
