"""Prediction tables whose answers are clear, and files of a study."""

import numpy as np
import pyarrow as pa

from tests.tables.made_rows import made_rows
from triaffect.tables.schema import column
from triaffect.tables.writers import TableWriter
from triaffect.tasks.registry import TASKS

STEP_S = 0.1


def plain_clip(clip, seconds=10.0, faces=1, **columns):
    """A clip of a row every 0.1 s and face; a column is a function of time, or (face, time)."""
    times = np.round(np.arange(0, seconds, STEP_S), 6)
    table = made_rows(seed=1, faces=faces, clip=clip, times_s=times, gaps=False)
    unset = {name: lambda time: 0 * time for task in TASKS for name in task.columns}
    unset["p_neutral"] = lambda time: 1 + 0 * time
    time = table["time_s"].to_numpy()
    for name, function in {**unset, **columns}.items():
        values = np.asarray(function(time), np.float64)
        position = table.column_names.index(name)
        table = table.set_column(position, name, column(values))
    return table


def smiles(*spans):
    """Lip corners up within spans of seconds, down outside."""
    return lambda time: 0.1 + 0.8 * sum(((time >= a) & (time < b)) for a, b in spans)


def study_table():
    """Three people in two conditions: comedy has a smile from 2 to 4 s, the other has none."""
    clips = []
    for number, (name, level) in enumerate([("P01", 0.1), ("P02", 0.2), ("P03", 0.6)]):
        smile = {"AU12": smiles((2.0, 4.0 + number))}
        happy = {"valence": lambda time, level=level: level + 0.2 + 0 * time}
        calm = {"valence": lambda time, level=level: level + 0 * time}
        clips.append(plain_clip(f"videos/{name}_comedy.mp4", **smile, **happy))
        clips.append(plain_clip(f"videos/{name}_news.mp4", **calm))
    return pa.concat_tables(clips)


PEOPLE = "clip,participant,condition,age\n" + "".join(
    f"{name}_{condition}.mp4,{name},{condition},{20 + number}\n"
    for number, name in enumerate(("P01", "P02", "P03"))
    for condition in ("comedy", "news")
)
EVENTS = "clip,start,end,name\n" + "".join(
    f"{name}_{condition},{start},{end},{event}\n"
    for name in ("P01", "P02", "P03")
    for condition in ("comedy", "news")
    for start, end, event in ((0, 1.5, "rest"), (1.5, 6, "joke"))
)


def write_study(folder):
    """A table as CSV, people.csv and events.csv in a folder."""
    table = study_table()
    with TableWriter(folder / "study.csv", table.schema) as writer:
        writer.append(table)
    (folder / "people.csv").write_text(PEOPLE)
    (folder / "events.csv").write_text(EVENTS)
    return folder
