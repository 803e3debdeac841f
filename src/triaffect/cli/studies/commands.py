"""``triaffect summarize``, ``groups`` and ``export-events``: from a table to an answer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from triaffect.cli._shared import count_of, name_outputs, output_option
from triaffect.cli.studies.options import (
    STUDY,
    ByOption,
    DecimalCommaOption,
    EventLengthOption,
    EventsOption,
    PeopleOption,
    measure_table,
    split_names,
    warn_of,
)
from triaffect.errors import TableError

SUMMARIZE_EXAMPLES = (
    "triaffect summarize study.csv --people people.csv -o people-summary.xlsx",
    "triaffect summarize study.csv --people people.csv --events events.csv --by condition -o c.csv",
)
GROUPS_EXAMPLES = (
    "triaffect groups study.csv --by condition -o groups.html",
    "triaffect groups study.csv --people people.csv --by group --events task.eaf -o groups.html",
)
EXPORT_EXAMPLES = (
    "triaffect export-events interview.csv -o interview.eaf",
    "triaffect export-events study.csv --signs smile,frown -o episodes.csv",
)
TableArgument = Annotated[
    Path,
    typer.Argument(metavar="TABLE", help="The table that predict wrote, .csv, .parquet or .jsonl."),
]
BaselineOption = Annotated[
    str | None,
    typer.Option(
        metavar="EVENT",
        help="Add measures relative to the median of each face in the events of this name.",
        show_default=False,
        rich_help_panel=STUDY,
    ),
]


def summarize(
    table: TableArgument,
    *,
    output: Annotated[
        Path, output_option("The summary, .csv, .parquet, .jsonl, .xlsx or .sav; replaced.")
    ],
    people: PeopleOption = None,
    events: EventsOption = None,
    event_length: EventLengthOption = None,
    by: ByOption = None,
    baseline: BaselineOption = None,
    decimal_comma: DecimalCommaOption = False,
) -> None:
    """Sum a prediction table up by person and event, or by groups of people with intervals.

    A row for each person, clip and event: means, shares of the time, number, length and latency of
    episodes. With --by a row for each group, event and measure: the mean over participants and its
    95 % interval (Student's t; each participant counts once). Without --people and --events
    those count that the table has from predict.
    """
    from triaffect.io.atomic import check_distinct
    from triaffect.studies.run import study_summary, summary_notes
    from triaffect.tables.writers import check_table_output, write_table

    check_table_output(output, decimal_comma=decimal_comma)
    check_distinct([output], [table, *filter(None, [people]), *(events or ())])
    names = split_names(by)
    _, study, measures = measure_table(table, people, events, event_length, names, baseline or "")
    result, remarks = study_summary(study, measures)
    warn_of(remarks)
    notes = summary_notes(study, result.schema)
    write_table(output, result, notes, decimal_comma=decimal_comma)
    name_outputs(f"{output}: {count_of(len(result), 'row')}")


def groups(
    table: TableArgument,
    *,
    output: Annotated[Path, output_option("The page, .html; replaced.")],
    by: ByOption = None,
    people: PeopleOption = None,
    events: EventsOption = None,
    event_length: EventLengthOption = None,
    baseline: BaselineOption = None,
) -> None:
    """Compare groups of people on a page: everybody's values, means, differences, intervals.

    The first column of --by divides the people; where the same people are in several groups,
    their values are joined by a line and differences are within people. No p-values: how far the
    interval goes says what the study can tell.
    """
    from triaffect.io.atomic import check_distinct, check_page
    from triaffect.report.groups_page import groups_page
    from triaffect.studies.groups import Groups

    names = split_names(by)
    if not names:
        raise TableError("a column to group by", "none", "such as --by condition", where="--by")
    check_page(output)
    check_distinct([output], [table, *filter(None, [people]), *(events or ())])
    stored, _, measures = measure_table(table, people, events, event_length, names, baseline or "")
    compared = Groups.of(measures, names)
    warn_of(compared.remarks)
    groups_page(compared, measures, stored.outputs).write(output)
    name_outputs(output)


def export_events(
    table: TableArgument,
    *,
    output: Annotated[
        Path,
        output_option(
            "ELAN tiers .eaf, subtitles .srt, or .csv as BORIS writes aggregated events; of "
            "several clips .eaf and .srt become a file each, with the clip's name in it."
        ),
    ],
    signs: Annotated[
        str,
        typer.Option(
            metavar="NAMES",
            help="What to write, with commas: smile, frown, brow_raise, lips_parted, action units "
            "such as AU6, expressions such as happiness.",
        ),
    ] = "smile,frown,brow_raise,lips_parted",
    people: PeopleOption = None,
) -> None:
    """Write when each sign began and ended, for ELAN, BORIS or a video player."""
    from triaffect.io.atomic import check_distinct
    from triaffect.studies.event_writers import output_paths, write_episodes
    from triaffect.studies.run import list_episodes
    from triaffect.studies.table_file import read_prediction_table

    stored = read_prediction_table(table)
    paths = output_paths(output, stored.clips)
    check_distinct(list(dict.fromkeys(paths.values())), [table, *filter(None, [people])])
    listed, titles, remarks = list_episodes(stored, people, split_names([signs]))
    warn_of([*stored.remarks, *remarks])
    written = write_episodes(paths, listed, titles)
    first, *others = written
    of_all = " in all" if others else ""
    name_outputs(f"{first}: {count_of(len(listed), 'episode')}{of_all}", *others)
