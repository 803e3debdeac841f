"""Means over participants, and differences, with their intervals."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import triaffect
from tests.studies.made_study import study_table, write_study
from triaffect.studies.groups import (
    compare_groups,
    estimate_difference,
    estimate_mean,
    t_quantile,
)
from triaffect.tables.schema import to_pandas


@pytest.mark.parametrize("freedom", [1, 1.5, 2, 3, 5, 9.25, 29, 100, 1000])
def test_quantiles_are_those_of_students_distribution(freedom):
    assert t_quantile(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=1e-5)


def test_the_interval_of_a_mean_is_students():
    values = [0.1, 0.4, 0.35, 0.8, np.nan]
    own = estimate_mean(values)
    held = values[:4]
    low, high = stats.t.interval(0.95, 3, np.mean(held), stats.sem(held))
    assert (own.low, own.high) == pytest.approx((low, high))
    assert own.count == 4
    assert estimate_mean([0.0, 0.0, 0.9], (0, 1)).low == 0
    assert np.isnan(estimate_mean([0.3]).low)
    assert estimate_mean([]).count == 0


def test_the_interval_between_other_people_is_welchs():
    one, other = [0.1, 0.4, 0.35, 0.8], [0.5, 0.9, 0.7]
    welch = stats.ttest_ind(other, one, equal_var=False).confidence_interval(0.95)
    own = estimate_difference(one, other)
    assert (own.low, own.high) == pytest.approx((welch.low, welch.high), rel=1e-4)


def test_the_interval_within_people_is_of_their_own_differences():
    one = {"a": 0.1, "b": 0.2, "c": 0.3, "d": 0.9}
    other = {"a": 0.2, "b": 0.25, "c": 0.5, "e": 0.0}
    gap = compare_groups(one, other)
    paired = stats.ttest_rel([0.2, 0.25, 0.5], [0.1, 0.2, 0.3]).confidence_interval(0.95)
    assert (gap.estimate.low, gap.estimate.high) == pytest.approx((paired.low, paired.high))
    assert (gap.is_paired, gap.higher, gap.left_out) == (True, 3, 2)


def test_a_participant_counts_once_however_long_he_was_filmed(tmp_path):
    write_study(tmp_path)
    table = to_pandas(study_table())
    people = pd.read_csv(tmp_path / "people.csv")
    summary = triaffect.summarize(table, people=people, by="condition")
    row = summary[(summary["condition"] == "comedy") & (summary["measure"] == "valence_mean")]
    values = [0.3, 0.4, 0.8]
    low, high = stats.t.interval(0.95, 2, np.mean(values), stats.sem(values))
    assert row["participants"].item() == 3
    assert row["mean"].item() == pytest.approx(0.5, abs=1e-6)
    assert row["low"].item() == pytest.approx(max(low, -1), abs=1e-5)
    assert row["high"].item() == pytest.approx(min(high, 1), abs=1e-5)
    # one more clip of P03 and the same mean leaves all numbers as they are
    more = table[table["clip"] == "videos/P03_comedy.mp4"].assign(clip="videos/again.mp4")
    people = pd.concat(
        [people, pd.DataFrame([["again", "P03", "comedy", 22]], columns=people.columns)]
    )
    again = triaffect.summarize(pd.concat([table, more]), people=people, by="condition")
    assert again["mean"].tolist() == pytest.approx(summary["mean"].tolist(), nan_ok=True)


def test_events_and_conditions_cross(tmp_path):
    write_study(tmp_path)
    table = to_pandas(study_table())
    files = {"people": tmp_path / "people.csv", "events": tmp_path / "events.csv"}
    summary = triaffect.summarize(table, **files, by="condition")
    shares = summary[summary["measure"] == "smile_share"].set_index(["condition", "event"])["mean"]
    assert shares["comedy", "rest"] == 0
    assert shares["comedy", "joke"] == pytest.approx((2 + 3 + 4) / 3 / 4.5, abs=1e-6)
    assert shares["news", "joke"] == 0
    latency = summary[summary["measure"] == "smile_latency_s"].set_index(["condition", "event"])
    assert latency.loc[("comedy", "joke"), "mean"] == pytest.approx(0.5)
    assert latency.loc[("news", "joke"), "participants"] == 0
    within = triaffect.summarize(table, **files, by=["condition", "event"])
    assert len(within) == len(summary)
    joke = within[(within["event"] == "joke") & (within["measure"] == "smile_share")]
    assert joke.set_index("condition")["mean"].to_dict() == {
        level: shares[level, "joke"] for level in ("comedy", "news")
    }


def test_age_is_a_number_and_words_are_words(tmp_path):
    write_study(tmp_path)
    summary = triaffect.summarize(to_pandas(study_table()), people=tmp_path / "people.csv")
    assert summary["age"].tolist() == [20, 20, 21, 21, 22, 22]
    assert summary["participant"].tolist()[:2] == ["P01", "P01"]
    by_age = triaffect.summarize(to_pandas(study_table()), people=tmp_path / "people.csv", by="age")
    assert by_age["age"].unique().tolist() == ["20", "21", "22"]


def test_an_unnamed_column_is_refused(tmp_path):
    write_study(tmp_path)
    with pytest.raises(triaffect.TableError, match="participant, condition, age, got 'sex'"):
        triaffect.summarize(to_pandas(study_table()), people=tmp_path / "people.csv", by="sex")
    with pytest.raises(triaffect.TableError, match="name them by --people"):
        triaffect.summarize(to_pandas(study_table()), by="sex")
