"""Options of studies, which mean the same in `predict` and in the commands on a table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from triaffect.cli._shared import warn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from triaffect.studies.measures import StudyMeasures
    from triaffect.studies.study import Study
    from triaffect.studies.table_file import StoredTable

STUDY = "Study"
"""Panel of the help."""

PeopleOption = Annotated[
    Path | None,
    typer.Option(
        "--people",
        metavar="FILE",
        help="Who is who: a CSV with columns clip, participant, as needed face, and any others "
        "such as condition. Faces of one participant in a clip are one person.",
        show_default=False,
        rich_help_panel=STUDY,
    ),
]
EventsOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--events",
        metavar="FILE",
        help="What happened when: a CSV with columns clip, start, end, name, or a file of ELAN "
        "(.eaf), BORIS, PsychoPy or Audacity. Repeatable.",
        show_default=False,
        rich_help_panel=STUDY,
    ),
]
EventLengthOption = Annotated[
    str | None,
    typer.Option(
        "--event-length",
        metavar="TIME",
        help="How long events last that are points, such as 5s.",
        show_default="points are left out",
        rich_help_panel=STUDY,
    ),
]
ByOption = Annotated[
    list[str] | None,
    typer.Option(
        "--by",
        metavar="COLUMN",
        help="Columns of the people to group by, such as condition; several with commas.",
        show_default=False,
        rich_help_panel=STUDY,
    ),
]
DecimalCommaOption = Annotated[
    bool,
    typer.Option(
        "--decimal-comma",
        help="Write CSV as spreadsheets of many countries read it: ; between cells, decimal comma.",
        rich_help_panel="Table",
    ),
]


def split_names(by: Sequence[str] | None) -> tuple[str, ...]:
    """Split the columns of ``--by``.

    >>> split_names(["condition,group", "age"])
    ('condition', 'group', 'age')

    Args:
        by: As given on the command line; None for none.
    """
    names = (name.strip() for text in by or () for name in text.split(","))
    return tuple(dict.fromkeys(name for name in names if name))


def warn_of(remarks: Sequence[str]) -> None:
    """Warn of everything doubtful, each once.

    Args:
        remarks: A line each.
    """
    for line in dict.fromkeys(remarks):
        warn(line)


def measure_table(
    table: Path,
    people: Path | None,
    events: Sequence[Path] | None,
    event_length: str | None,
    by: Sequence[str],
    baseline: str = "",
) -> tuple[StoredTable, Study, StudyMeasures]:
    """Measure the people of a table that is there.

    Args:
        table: The prediction table.
        people: As in ``--people``; None for the table's own columns.
        events: As in ``--events``; none for the table's own column.
        event_length: As in ``--event-length``.
        by: Columns to group by; of a table without metadata they are people's columns.
        baseline: Name of the event that is everybody's baseline; empty for none.

    Returns:
        The table, the study, and its measures. What is doubtful has been warned of.

    Raises:
        TableError: A file cannot be read, or they do not fit each other.
    """
    from triaffect.studies.run import measure_stored
    from triaffect.studies.table_file import read_prediction_table

    stored = read_prediction_table(table)
    study, measures = measure_stored(stored, people, events or (), event_length, by, baseline)
    warn_of([*stored.remarks, *study.remarks, *measures.remarks()])
    return stored, study, measures
