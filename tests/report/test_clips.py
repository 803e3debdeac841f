"""What a page says of clips: the same from any parts, blanks left blank, thumbnails in place."""

import base64
import json
import re

import cv2
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tests.media.made import encode
from tests.prediction.tiny_model import portrait, tone, write_clip, write_sound
from tests.report.pages import made_table
from tests.tables.test_presence import plain_presence
from triaffect.report.clip_series import MOST_FACES, Clip
from triaffect.report.prediction_page import MOST_CLIPS, PredictionPage, data, panels, section
from triaffect.report.thumbnails import OF_CLIP, OF_FACE, Thumbnails, thumbnails
from triaffect.tables.summary import summarize_parts
from triaffect.tasks.registry import TASKS
from triaffect.tasks.valence_arousal import ValenceArousal


class Pain(ValenceArousal):
    """A fourth task."""

    key, name, columns, display_range = "PAIN", "pain", ("pain",), (0.0, 16.0)
    circumplex = False


def clip_of(table, tasks=TASKS, rows=None):
    clip = Clip("clip", tasks, table.column_names)
    for start in range(0, len(table), rows or len(table)):
        clip.add(table.slice(start, rows or len(table)))
    return clip


def drawn(clip):
    return json.loads(data(clip, Thumbnails()))


def test_each_task_has_a_panel_on_its_own_display_range():
    shown = panels((*TASKS, Pain()))
    assert [panel["kind"] for panel in shown] == ["lines", "classes", "heat", "lines"]
    assert [panel["range"] for panel in shown] == [[-1, 1], [0, 1], [0, 1], [0, 16]]
    assert [panel["plane"] for panel in shown] == [True, False, False, False]
    assert "AU12 lip corner puller" in shown[2]["titles"]
    assert "AU12" in shown[2]["names"]
    assert shown[1]["titles"] == shown[1]["names"] == list(TASKS[1].part_names)
    assert shown[0]["poles"][0] == ["unpleasant", "pleasant"]


@pytest.mark.parametrize("rows", [1, 7, 50])
def test_parts_do_not_matter(rows):
    table = made_table(frames=200, faces=2, gap=range(60, 90))
    whole, parted = clip_of(table), clip_of(table, rows=rows)
    assert drawn(whole) == drawn(parted)
    assert section(whole, 0) == section(parted, 0)


def test_every_frame_is_a_point_and_where_a_face_is_gone_nothing_is_told():
    table = made_table(frames=100, faces=2, gap=range(40, 60))
    shown = drawn(clip_of(table))
    assert np.allclose(shown["times"], np.arange(100) / 25)
    first, second, nobody = shown["people"]
    assert [each["label"] for each in shown["people"]] == ["Face 0", "Face 1", "No face"]
    for person, there in ((first, False), (second, False), (nobody, True)):
        gap = [values[40:60] for values in (person["seen"], *person["values"])]
        assert all((value not in (0, None)) == there for value in gap[0])
        assert all((value is not None) == there for row in gap[1:] for value in row)
    rows = table.to_pandas()
    own = rows[rows["face_id"] == 1]["valence"].to_numpy()
    told = np.array(second["values"][0][:40] + second["values"][0][60:])
    assert np.allclose(told / 1000, own, atol=0.0006)


def test_a_long_clip_is_told_in_means_and_says_so():
    table = made_table(frames=15_000)
    clip = clip_of(table)
    shown = drawn(clip)
    assert len(shown["times"]) == 1200
    assert "A point is the mean over 0.5 s (up to 13 frames)." in section(clip, 0)
    first = table["valence"].to_numpy()[:13].mean()
    assert shown["people"][0]["values"][0][0] == round(1000 * first)
    assert "A point is one frame." in section(clip_of(made_table(frames=100)), 0)


def test_a_short_absence_shows_as_a_share():
    clip = clip_of(made_table(frames=15_000, gap=range(5)))
    face, nobody = drawn(clip)["people"]
    assert face["seen"][0] == round(1000 * 8 / 13)
    assert nobody["seen"][:2] == [round(1000 * 5 / 13), 0]


def test_the_summary_is_of_all_rows():
    table = made_table(frames=300)
    rows = table.to_pandas()
    text = section(clip_of(table), 0).replace("\xa0", " ")
    mean, deviation = rows["valence"].mean(), rows["valence"].std(ddof=0)
    assert f"valence {mean:.2f} ± {deviation:.2f}" in text
    name, share = next(iter(rows["expression"].value_counts(normalize=True).items()))
    assert f"{name} {100 * share:.0f} %" in text
    unit = pd.Series(
        {name: plain_presence(rows["time_s"], rows[name], 0.05).mean() for name in TASKS[2].columns}
    )
    thresholds = dict.fromkeys(TASKS[2].columns, 0.05)
    tasks = [task.with_thresholds(thresholds) for task in TASKS]
    text = section(clip_of(table, tasks), 0).replace("\xa0", " ")
    assert f"{TASKS[2].title(unit.idxmax())} {100 * unit.max():.0f} %" in text


def test_page_and_summary_agree_where_the_frame_rate_varies():
    """Moments count by the time they last: here a tenth of the frames lasts half of the time."""
    table = made_table(frames=200, faces=2, gap=range(90, 130))
    frame = table["frame"].to_numpy()
    times_s = np.where(frame < 180, frame * 0.04, 7.2 + (frame - 180) * 0.36)
    table = table.set_column(table.column_names.index("time_s"), "time_s", pa.array(times_s))
    text = section(clip_of(table, rows=7), 0).replace("\xa0", " ")
    summary = pa.concat_tables(summarize_parts([table], TASKS)).to_pandas()
    shares = TASKS[1].part_names
    for _, row in summary.iterrows():
        assert f"valence {row['valence_mean']:.2f} ± {row['valence_sd']:.2f}" in text
        assert f"{100 * row['clip_share']:.0f} %" in text
        name = max(shares, key=lambda part: row[f"{part}_share"])
        assert f"{name} {100 * row[f'{name}_share']:.0f} %" in text
    rows = table.to_pandas()
    by_rows = rows[rows["face_id"] == 0]["valence"].mean()
    assert f"valence {by_rows:.2f} ±" not in text  # or the frame rate does not vary enough


def test_smoothed_values_come_beside_the_raw_ones():
    table = made_table(frames=50)
    for task in TASKS:
        for column in task.columns:
            half = pa.array(table[column].to_numpy() / 2)
            table = table.append_column(f"{column}_smooth", half)
    (person,) = drawn(clip_of(table))["people"]
    assert len(person["smooth"]) == len(person["values"]) == 22
    assert person["smooth"][0][7] == pytest.approx(person["values"][0][7] / 2, abs=1)
    assert drawn(clip_of(made_table(frames=50)))["people"][0]["smooth"] == []


def test_many_faces_are_counted_and_the_longest_drawn():
    clip = clip_of(made_table(frames=3, faces=MOST_FACES + 3))
    assert len(drawn(clip)["people"]) == MOST_FACES
    assert "3 faces seen more briefly" in section(clip, 0)


def test_faces_out_of_sight_do_not_pile_up():
    table = made_table(frames=2)
    clip = Clip("clip", TASKS, table.column_names)
    for number in range(300):
        moved = table.set_column(1, "frame", pa.array([2 * number, 2 * number + 1]))
        moved = moved.set_column(2, "time_s", pa.array([number / 2, number / 2 + 0.04]))
        clip.add(moved.set_column(3, "face_id", pa.array([number, number])))
    assert clip.faces == 300
    assert len(clip.people) < 80


def test_a_clip_without_a_face_is_told_from_the_voice():
    shown = drawn(clip_of(made_table(faces=0)))
    (person,) = shown["people"]
    assert (person["label"], person["face"]) == ("No face", False)
    assert all(value is not None for value in person["values"][0])


def test_a_clip_with_nothing_to_tell_says_so():
    table = made_table(faces=0)
    blank = pa.nulls(len(table), pa.float64())
    for column in (column for task in TASKS for column in task.columns):
        table = table.set_column(table.column_names.index(column), column, blank)
    silent = pa.array([False] * len(table))
    table = table.set_column(table.column_names.index("voice_heard"), "voice_heard", silent)
    text = section(clip_of(table), 0)
    assert "no face was seen; no voice was heard" in text
    assert '<td data-label="expression">nothing</td>' in text


def picture(thumb):
    kind, content = thumb["src"].split(",")
    assert kind == "data:image/jpeg;base64"
    return cv2.imdecode(np.frombuffer(base64.b64decode(content), np.uint8), cv2.IMREAD_COLOR)


def test_pictures_are_of_the_moments_and_faces_they_are_for(tmp_path):
    path = write_clip(tmp_path / "clip.mp4", 50, faceless=range(20, 30), sound=False)
    table = made_table(frames=50, faces=1, gap=range(20, 30))
    taken = thumbnails(clip_of(table), path)
    assert len(taken.clip) == OF_CLIP
    assert len(taken.faces[0]) == OF_FACE
    times_s = [thumb["t"] for thumb in taken.clip]
    assert times_s == sorted(times_s)
    assert (times_s[0], times_s[-1]) == (0.0, 1.96)
    for thumb in taken.clip:
        shown = picture(thumb)
        assert shown.shape == (96, 96, 3)
        assert (shown.std() < 3) == (0.8 <= thumb["t"] < 1.2)  # a gray frame
    for thumb in taken.faces[0]:
        assert picture(thumb).shape == (72, 72, 3)
        assert not 0.8 <= thumb["t"] < 1.2


def test_a_sound_or_a_file_that_is_gone_has_no_pictures(tmp_path):
    clip = clip_of(made_table(frames=20, faces=0))
    sound = write_sound(tmp_path / "voice.wav", tone(1.0))
    for path in (sound, tmp_path / "gone.mp4", tmp_path):
        assert thumbnails(clip, path) == Thumbnails()


def test_a_cut_off_video_has_the_pictures_that_it_still_has(tmp_path):
    whole = encode(tmp_path / "whole.mkv", range(0, 2400, 40), source=("rgb24", portrait()))
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    clip = clip_of(made_table(frames=60))
    times_s = [thumb["t"] for thumb in thumbnails(clip, cut).clip]
    every_s = [thumb["t"] for thumb in thumbnails(clip, whole).clip]
    assert 5 < len(times_s) < len(every_s) == OF_CLIP
    assert times_s == every_s[: len(times_s)]


def page_of(*names, **changes):
    page = PredictionPage(**changes)
    for name in names:
        page.add(made_table(name, frames=3))
    return page.page().html()


def test_pictures_are_told_of_and_can_be_left_out(tmp_path):
    path = write_clip(tmp_path / "clip.mp4", 5, sound=False)
    for pictures in (True, False):
        page = PredictionPage(pictures=pictures)
        page.add(made_table("clip.mp4", frames=5), path)
        text = page.page().html()
        assert ("image/jpeg" in text) == pictures
        assert ("sees their faces" in text) == pictures


def test_rows_of_a_clip_may_come_in_parts_and_clips_beyond_some_are_only_listed():
    page = PredictionPage()
    table = made_table("0.mp4", frames=40)
    page.add(table.slice(0, 15))
    page.add(table.slice(15))
    for k in range(1, MOST_CLIPS + 2):
        page.add(made_table(f"{k}.mp4", frames=2))
    text = page.page().html()
    assert "holds 2 more, which are not drawn" in text
    assert text.count('class="clip"') == MOST_CLIPS == 500
    assert text.count('class="who"') == MOST_CLIPS
    cells = '<td data-label="clip">{}.mp4</td><td data-label="frames">{}</td>'
    assert cells.format(MOST_CLIPS + 1, 2) in text
    assert cells.format(0, 40) in text


@pytest.mark.parametrize(
    "name", ["</script><script>alert(1)</script>", '"><img src=x onerror=a()>']
)
def test_a_hostile_name_stays_text(name):
    text = page_of(name)
    assert name not in text
    assert "&lt;" in text
    assert not re.search(r"<(img|script)[^>]*(alert|onerror)", text)


def test_a_page_of_ten_minutes_and_two_faces_is_small(tmp_path):
    """Without pictures; those of two faces are 48 at most, of some kilobytes each."""
    page = PredictionPage()
    page.add(made_table(frames=15_000, faces=2))
    assert len(page.page().html()) < 1_000_000
