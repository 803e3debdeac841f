"""Presence: hysteresis and a shortest duration, however the stream is cut."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tables.made_rows import cut, joined, made_rows
from triaffect.report.drawing import Drawn
from triaffect.tables.presence import GAP_S, MARGIN, SHORTEST_S, SUFFIX, PresenceFilter
from triaffect.tables.summary import ClipSummary, summarize_parts
from triaffect.tasks.action_units import ACTION_UNITS
from triaffect.tasks.registry import TASKS

RATE = 25
FRAMES_OF_SHORTEST = round(SHORTEST_S * RATE)


def plain_presence(times, probabilities, level):
    """Flags of one face's moments, worked out one after the other; NaN where blank."""
    times, values = np.asarray(times, float), np.asarray(probabilities, float)
    on, off = min(level + MARGIN, (level + 1) / 2), max(level - MARGIN, level / 2)
    runs, state, last = [], None, -np.inf  # a run: state, start, rows
    for row, (time_s, p) in enumerate(zip(times, values, strict=True)):
        anew = time_s - last > GAP_S or state == "blank" or state is None
        if np.isnan(p):
            now = "blank"
        elif anew:
            now = p >= on or (p >= level and p >= off)
        else:
            now = p >= on or (state and p >= off)
        if anew or now != state:
            runs.append([now, -np.inf if anew else time_s, [], time_s])
        runs[-1][2].append(row)
        state, last = now, time_s
    flags = np.zeros(len(times))
    for k, (now, start_s, rows, _) in enumerate(runs):
        end_s = runs[k + 1][3] if k + 1 < len(runs) else np.inf
        if now == "blank":
            flags[rows] = np.nan
        elif now and end_s - start_s >= SHORTEST_S - 1e-6:
            flags[rows] = 1
    return flags


def rows_of(probabilities, unit="AU12", rate=RATE):
    """A table of one face with these probabilities of a unit, those of the others 0.1."""
    times = np.arange(len(probabilities)) / rate
    table = made_rows(times_s=times, faces=1, gaps=False).to_pandas()
    table[list(ACTION_UNITS.columns)] = 0.1
    table[unit] = np.asarray(probabilities, float)
    return pa.Table.from_pandas(table, made_rows(1).schema, preserve_index=False)


def flags_of(parts, tasks=TASKS, unit="AU12"):
    presence = PresenceFilter(tasks)
    decided = [presence.add(part) for part in parts]
    rest = presence.finish()
    table = joined([*decided, *([rest] if rest is not None else [])])
    return table, table[unit + SUFFIX].to_pylist()


def test_what_hovers_around_the_threshold_does_not_switch():
    wave = 0.5 + (MARGIN - 0.01) * np.where(np.arange(50) % 2, -1, 1)
    _, below = flags_of([rows_of([0.3, *wave])])
    _, above = flags_of([rows_of([0.7, *wave])])
    assert not any(below)
    assert all(above)


def test_it_comes_on_above_the_margin_and_goes_off_below_it():
    up = [0.3] + [0.5 + MARGIN - 0.01] * 10 + [0.5 + MARGIN] * 10
    down = [0.5 - MARGIN] * 10 + [0.5 - MARGIN - 0.01] * 10
    _, flags = flags_of([rows_of(up + down)])
    assert flags == [False] * 11 + [True] * 20 + [False] * 10


@pytest.mark.parametrize(
    ("frames", "counts"), [(FRAMES_OF_SHORTEST - 1, 0), (FRAMES_OF_SHORTEST, 1)]
)
def test_what_is_shorter_than_the_shortest_does_not_count(frames, counts):
    _, flags = flags_of([rows_of([0.1] * 10 + [0.9] * frames + [0.1] * 10)])
    assert sum(flags) == frames * counts


def test_what_was_on_from_the_start_or_to_the_end_counts():
    _, flags = flags_of([rows_of([0.9] + [0.1] * 10 + [0.9])])
    assert flags == [True] + [False] * 10 + [True]


def test_a_picture_is_decided_by_the_threshold_alone():
    task = ACTION_UNITS.with_thresholds({"AU12": 0.3})
    for value, present in ((0.29, False), (0.31, True)):
        _, flags = flags_of([rows_of([value])], [task])
        assert flags == [present]


def test_blanks_stay_blank_and_one_unit_alone_may_be():
    table = rows_of([0.9] * 5 + [np.nan] * 5 + [0.9] * 5)
    _, flags = flags_of([table])
    assert flags == [True] * 5 + [None] * 5 + [True] * 5
    _, other = flags_of([table], unit="AU1")
    assert other == [False] * 15


def test_probabilities_are_untouched():
    table = made_rows(80)
    result, _ = flags_of([table])
    assert result.select(table.column_names).equals(table.combine_chunks())


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 99), places=st.sets(st.integers(0, 60), max_size=20))
def test_it_equals_a_plain_reading_wherever_the_stream_is_cut(seed, places):
    whole = made_rows(40, seed=seed)
    tasks = [task.with_thresholds({"AU1": 0.8, "AU25": 0.1}) for task in TASKS]
    table, _ = flags_of(cut(whole, {place for place in places if place <= len(whole)}), tasks)
    frame = table.to_pandas()
    for _, rows in frame.groupby("face_id", dropna=False):
        for unit, level in (("AU1", 0.8), ("AU12", 0.5), ("AU25", 0.1)):
            expected = plain_presence(rows["time_s"], rows[unit], level)
            np.testing.assert_array_equal(rows[unit + SUFFIX].astype(float), expected)


def test_rows_wait_no_longer_than_the_shortest_duration():
    """A copy's frames wait in memory until their rows come."""
    presence, given_out = PresenceFilter(TASKS), 0
    table = made_rows(times_s=np.arange(100) / RATE, faces=2, gaps=False)
    for row in range(len(table)):
        given_out += len(presence.add(table.slice(row, 1)))
        assert row + 1 - given_out <= 2 * (FRAMES_OF_SHORTEST + 1)


def test_shares_of_the_summary_follow_it():
    short = [0.1] * 20 + [0.9] * (FRAMES_OF_SHORTEST - 1) + [0.1] * 20
    summary = joined(summarize_parts([rows_of(short)], TASKS)).to_pandas().iloc[0]
    assert summary["AU12_share"] == 0
    hovering = rows_of([0.7] + [0.46] * 39)
    assert joined(summarize_parts([hovering], TASKS))["AU12_share"][0].as_py() == 1


def test_episodes_are_counted_across_parts_of_a_table():
    long, pause = [0.9] * (2 * FRAMES_OF_SHORTEST), [0.1] * (2 * FRAMES_OF_SHORTEST)
    table = rows_of(long + pause + long + pause + [0.9] + pause)
    parts = [table.slice(start, 3) for start in range(0, len(table), 3)]
    for tables in ([table], parts):
        assert joined(summarize_parts(tables, TASKS))["AU12_episodes"][0].as_py() == 2


def test_a_unit_that_is_always_blank_has_no_share_and_spoils_no_other():
    table = rows_of([0.9] * 10).to_pandas().assign(AU23=np.nan)
    clip = ClipSummary(TASKS)
    clip.add(pa.Table.from_pandas(table, made_rows(1).schema, preserve_index=False))
    row = clip.row(0)
    assert row["AU23_share"] is row["AU23_episodes"] is None
    assert row["AU12_share"] == 1


def test_a_copy_shows_what_is_present_not_what_is_above_the_threshold():
    row = rows_of([0.9]).to_pylist()[0]
    assert Drawn.of_row(row, TASKS, {}).units == ("AU12 lip corner puller",)
    assert Drawn.of_row(row | {f"AU12{SUFFIX}": False}, TASKS, {}).units == ()
    assert Drawn.of_row(row | {f"AU1{SUFFIX}": True}, TASKS, {}).units == (
        "AU1 inner brow raiser",
        "AU12 lip corner puller",
    )
