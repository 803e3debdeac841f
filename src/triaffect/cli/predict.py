"""``triaffect predict``: videos, pictures and sounds into a table."""

from __future__ import annotations

import os
from contextlib import nullcontext
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from triaffect.cli._shared import (
    Device,
    DeviceOption,
    EngineName,
    EngineOption,
    JobsOption,
    RayAddressOption,
    ReportOption,
    count_of,
    make_cluster,
    name_outputs,
    note,
    output_option,
    progress_bar,
    sound_track_option,
    warn,
)
from triaffect.cli.studies.options import (
    ByOption,
    DecimalCommaOption,
    EventLengthOption,
    EventsOption,
    PeopleOption,
    split_names,
    warn_of,
)
from triaffect.errors import MediaError, TableError, printable
from triaffect.io.durations import parse_duration
from triaffect.io.workers import count_cores
from triaffect.prediction.options import DETECTION_INTERVAL_S, Options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from triaffect.io.engines import Engine
    from triaffect.prediction.batch import Listener
    from triaffect.prediction.parts import FrameListener, PredictionJob
    from triaffect.prediction.predictor import Predictor
    from triaffect.report.annotate import Annotator
    from triaffect.report.drawing.screen import LiveView
    from triaffect.report.face_pictures import FacePictures
    from triaffect.report.prediction_page import PredictionPage
    from triaffect.studies.study import Study
    from triaffect.tables.postprocess import Postprocessing
    from triaffect.tables.results import FileResult

EXAMPLES = (
    "triaffect predict interview.mp4 -o interview.csv --report interview.html",
    "triaffect predict recordings/ -o all.parquet --stride 0.2s --max-faces 1 --summary faces.csv",
    "triaffect predict recordings/ -o study.csv --people people.csv --events events.csv",
    "triaffect predict webcam:0 -o me.csv --show",
)
RENAMED = {
    "--every": "--stride",
    "--detect-every": "--detection-interval",
    "--smallest-face": "--min-face",
    "--most-faces": "--max-faces",
}
_INPUT, _FACES, _TABLE, _EXTRAS = "Input", "Faces", "Table", "Extras"
"""Panels of the help."""

_LONGEST_S = 3600.0

_AGAIN = "the same command tries those that failed again, and computes no others"


class Program(StrEnum):
    """Programs whose column names a table can have."""

    OPENFACE = "openface"
    PYFEAT = "pyfeat"


def predict(
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="INPUT...",
            help="Videos, pictures, sounds, folders of them, patterns in quotes, or webcam:0.",
            show_default=False,
        ),
    ],
    *,
    output: Annotated[
        Path,
        output_option(
            "The table, .csv, .parquet, .jsonl, .xlsx or .sav; replaced, its folder made."
        ),
    ],
    model: Annotated[
        Path | None, typer.Option(help="Model folder.", show_default="the shipped weights")
    ] = None,
    device: DeviceOption = Device.CPU,
    jobs: JobsOption = None,
    engine: EngineOption = EngineName.PROCESSES,
    ray_address: RayAddressOption = None,
    features: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]FILE",
            help="Features of another program that the model reads, in a form that join takes; "
            "with its name in the run where the model reads several. Repeatable.",
            show_default=False,
            rich_help_panel=_INPUT,
        ),
    ] = None,
    no_sound: Annotated[
        bool,
        typer.Option("--no-sound", help="Leave out the sound of videos.", rich_help_panel=_INPUT),
    ] = False,
    sound_track: Annotated[int | None, sound_track_option(_INPUT)] = None,
    images_as_video: Annotated[
        float | None,
        typer.Option(
            min=0.001,
            metavar="FPS",
            help="A folder's pictures, in order of their names, are one video of so many a second.",
            show_default=False,
            rich_help_panel=_INPUT,
        ),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(
            min=0.001,
            help="How long to record a webcam.",
            show_default="until Ctrl-C",
            rich_help_panel=_INPUT,
        ),
    ] = None,
    show: Annotated[
        bool,
        typer.Option(
            "--show",
            help="Show a webcam with what is predicted, in a window where OpenCV has them, else on "
            "a page of this machine.",
            rich_help_panel=_INPUT,
        ),
    ] = False,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Rows begin at this time of each file, such as 90s or 1:30.",
            show_default=False,
            rich_help_panel=_INPUT,
        ),
    ] = None,
    end: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Rows end before this time of each file.",
            show_default=False,
            rich_help_panel=_INPUT,
        ),
    ] = None,
    detection_interval: Annotated[
        str,
        typer.Option(
            metavar="TIME",
            help="How often faces are detected in the whole picture; in between they are followed "
            "by gray levels, or detected near where they were. 0: in the whole of every frame.",
            rich_help_panel=_FACES,
        ),
    ] = f"{DETECTION_INTERVAL_S:g}s",
    min_face: Annotated[
        float,
        typer.Option(
            min=0,
            metavar="PIXELS",
            help="Smallest face: those whose box has a shorter side are ignored. Less than 40 "
            "searches larger frames at a higher resolution, which costs more.",
            show_default="none ignored, those from 40 searched for",
            rich_help_panel=_FACES,
        ),
    ] = 0.0,
    max_faces: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Only the largest so many faces of a frame.",
            show_default="all",
            rich_help_panel=_FACES,
        ),
    ] = None,
    stride: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="From one row of a face to the next, such as 0.2s or 200ms.",
            show_default="every frame",
            rich_help_panel=_TABLE,
        ),
    ] = None,
    smooth: Annotated[
        str,
        typer.Option(
            metavar="off|causal|centred[:TIME]|exponential[:FRAMES]",
            help="Add columns smoothed over time within each face; the raw ones stay.",
            rich_help_panel=_TABLE,
        ),
    ] = "off",
    baseline: Annotated[
        str | None,
        typer.Option(
            metavar="TIME|EVENT",
            help="Add columns relative to the median of each face's first TIME, such as 5s, or of "
            "the events of that name.",
            show_default=False,
            rich_help_panel=_TABLE,
        ),
    ] = None,
    columns: Annotated[
        Program | None,
        typer.Option(
            help="Write what is comparable under the column names of that program.",
            show_default=False,
            rich_help_panel=_TABLE,
        ),
    ] = None,
    decimal_comma: DecimalCommaOption = False,
    people: PeopleOption = None,
    events: EventsOption = None,
    event_length: EventLengthOption = None,
    by: ByOption = None,
    report: ReportOption = None,
    no_thumbnails: Annotated[
        bool,
        typer.Option(
            "--no-thumbnails",
            help="Make the page without pictures of people.",
            rich_help_panel=_EXTRAS,
        ),
    ] = False,
    faces: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Also write aligned pictures of faces, and a contact sheet for each person.",
            show_default=False,
            rich_help_panel=_EXTRAS,
        ),
    ] = None,
    summary: Annotated[
        Path | None,
        typer.Option(
            help="Also write a table with a row for each clip and face; with --people or --events "
            "for each person and event; with --by for each group. Ends as the table may.",
            show_default=False,
            rich_help_panel=_EXTRAS,
        ),
    ] = None,
    annotate: Annotated[
        Path | None,
        typer.Option(
            help="Also write copies of the videos with predictions drawn: an .mp4, or a folder.",
            show_default=False,
            rich_help_panel=_EXTRAS,
        ),
    ] = None,
) -> None:
    """Predict valence, arousal, expression and action units for every frame and face.

    One row a frame and face; a frame without a face has one row, from the voice if there is
    one. A file that cannot be read is named at the end and does not stop the others; exit
    code 1. If interrupted, or once the file is mended, run it again: of several files, those
    that were finished are kept in OUTPUT.parts until then, and what there is so far of
    interrupted work in a table whose name ends in .partial.
    """
    # Read when NumPy loads: beside our own threads its pool costs more than it saves.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from triaffect.prediction.external_features import parse_feature_files
    from triaffect.prediction.inputs import InputOptions
    from triaffect.prediction.parts import PredictionJob
    from triaffect.prediction.predictor import model_folder
    from triaffect.tables.postprocess import Postprocessing

    cluster = make_cluster(engine, ray_address, jobs)
    options = _parse_options(
        no_sound, sound_track, stride, detection_interval, min_face, max_faces, start, end
    )
    if annotate and (start or end):
        got, remedy = "a start or an end", "annotate the whole video, and cut the copy"
        raise MediaError("whole videos to annotate", got, remedy, where="--annotate")
    files, passed_over = _list_files(inputs, images_as_video is not None, show)
    study = _open_study(files, people, events, event_length, split_names(by), baseline, columns)
    own_baseline = None if study.baseline else baseline
    steps = Postprocessing.parse(smooth, own_baseline, columns, summary)
    read = [*files, *filter(None, [people]), *(events or ())]
    _check_outputs(output, steps, report, annotate, read, decimal_comma)
    inputs_as = InputOptions(images_as_video, seconds)
    folder, external = model_folder(model), parse_feature_files(features or ())
    reading = (options, steps, inputs_as, external, passed_over)
    job = PredictionJob(output, folder, device, *reading, study, decimal_comma)
    predictor = job.load()
    idle = no_thumbnails and not report, bool(event_length) and not events, bool(by) and not summary
    _warn_of_idle_options(files, seconds, images_as_video, idle)
    page = _open_page(predictor, report.parent, pictures=not no_thumbnails) if report else None
    pictures = _open_pictures(faces, images_as_video)
    listeners = [each.add for each in (page, pictures) if each is not None]
    annotator = _open_annotator(annotate, files, job, predictor) if annotate else None
    with annotator or (_open_live_view(predictor) if show else nullcontext()) as frame_listener:
        results = _predict_with_progress(
            files, job, predictor, jobs or count_cores(), cluster, listeners, frame_listener
        )
    failed = _report_results(results)
    if page and report:
        page.write(report)
    if pictures:
        pictures.finish()
    name_outputs(*_describe_table(results, output), summary, report, annotate, faces)
    if failed:
        note(f"finished files are kept in {job.parts}: {_AGAIN}")
        raise typer.Exit(1)


_NEEDS = {
    "--seconds": "is for a webcam",
    "--images-as-video": "is for a folder of pictures",
    "--no-thumbnails": "is for a --report",
    "--event-length": "is for --events",
    "--by": "is for a --summary",
}
"""What an option goes with, without which it does nothing."""


def _warn_of_idle_options(
    files: Sequence[Path],
    seconds: float | None,
    images_as_video: float | None,
    others: tuple[bool, bool, bool],
) -> None:
    """Warn of options that change nothing; ``others`` says it of the last three of `_NEEDS`."""
    from triaffect.media.find import webcam_number

    is_film = images_as_video is not None and not any(map(Path.is_dir, files))
    is_idle = (seconds is not None and webcam_number(files[0]) is None, is_film, *others)
    for option in (name for name, idle in zip(_NEEDS, is_idle, strict=True) if idle):
        warn(f"{option} {_NEEDS[option]}; it changes nothing here")


def _check_outputs(
    output: Path,
    steps: Postprocessing,
    report: Path | None,
    annotate: Path | None,
    read: Sequence[Path],
    decimal_comma: bool,
) -> None:
    """Check, before any work, that all outputs can be written and replace nothing that is read."""
    from triaffect.io.atomic import check_distinct, check_page
    from triaffect.tables.postprocess import check_outputs

    check_outputs(output, steps, decimal_comma=decimal_comma)
    if report:
        check_page(report)
    copy = annotate if annotate and annotate.suffix else None
    check_distinct([output, steps.summary, report, copy], read)


def _list_files(
    inputs: Sequence[Path], images_as_video: bool, show: bool
) -> tuple[list[Path], tuple[Path, ...]]:
    """List the files of the inputs, and those that are passed over, of which it warns."""
    from triaffect.media.find import describe_passed_over, find_media, webcam_number
    from triaffect.prediction.inputs import check_only_webcam

    passed_over: list[Path] = []
    files = find_media(inputs, images_as_video, passed_over)
    if passed_over:
        warn(describe_passed_over(passed_over))
    check_only_webcam(files)
    if show and webcam_number(files[0]) is None:
        got, remedy = "a file", "for files, write --annotate copies, or a --report"
        raise MediaError("a camera, such as webcam:0", got, remedy, where="--show")
    return files, tuple(passed_over)


def _parse_options(
    no_sound: bool,
    sound_track: int | None,
    stride: str | None,
    detection_interval: str,
    min_face: float,
    max_faces: int | None,
    start: str | None,
    end: str | None,
) -> Options:
    """Read what to predict of a file."""
    return Options(
        sound=not no_sound,
        sound_track=sound_track,
        stride_s=_step_s(stride, "--stride"),
        detection_interval_s=_step_s(detection_interval, "--detection-interval") or 0.0,
        min_face_px=min_face,
        max_faces=max_faces,
        start_s=None if start is None else parse_duration(start, "--start"),
        end_s=None if end is None else parse_duration(end, "--end"),
    )


def _open_study(
    files: Sequence[Path],
    people: Path | None,
    events: Sequence[Path] | None,
    event_length: str | None,
    by: tuple[str, ...],
    baseline: str | None,
    columns: str | None,
) -> Study:
    """Read the files of a study, for a table of our columns or of another program's."""
    from triaffect.studies.study import PLAIN_STUDY, Study, is_duration
    from triaffect.tables.interop import rename_columns
    from triaffect.tables.schema import table_schema
    from triaffect.tasks.registry import available_tasks

    event = "" if baseline is None or is_duration(baseline) else baseline
    if people is None and not events:
        Study(baseline=event).check_baseline()
        if by:
            remedy = "add --people FILE, or group the table by triaffect summarize"
            raise TableError("people to group", "none named", remedy, where="--by")
        return PLAIN_STUDY
    clips = [printable(path) for path in files]
    tasks = available_tasks()
    schema = table_schema(tasks)
    taken = list(schema.names)
    if columns is not None:
        taken += rename_columns(schema.empty_table(), columns, tasks).column_names
    study = Study.open(clips, people, events or (), event, event_length, taken, by)
    warn_of(study.remarks)
    return study


def _open_page(predictor: Predictor, folder: Path, *, pictures: bool) -> PredictionPage:
    """Begin the page of a prediction; its libraries are loaded for it alone."""
    from triaffect.report.prediction_page import PredictionPage

    return PredictionPage(model=predictor.manifest, pictures=pictures, folder=folder)


def _open_pictures(folder: Path | None, images_rate: float | None) -> FacePictures | None:
    """Begin the pictures of faces; their libraries are loaded for them alone."""
    if folder is None:
        return None
    from triaffect.report.face_pictures import FacePictures

    return FacePictures(folder, images_rate)


def _open_annotator(
    output_path: Path, files: Sequence[Path], job: PredictionJob, predictor: Predictor
) -> Annotator:
    """Begin the annotated copies of files; their libraries are loaded for them alone."""
    from triaffect.report.annotate import Annotator

    rate, track = job.inputs.images_rate, job.options.sound_track
    return Annotator(output_path, files, predictor.thresholds, rate, sound_track=track)


def _open_live_view(predictor: Predictor) -> LiveView:
    """Begin to show what a camera sees; its libraries are loaded for it alone."""
    from triaffect.report.drawing.screen import (
        LiveView,
        PageScreen,
        Screen,
        WindowScreen,
        has_windows,
    )

    def open_screen() -> Screen:
        if has_windows():
            return WindowScreen()
        return PageScreen(lambda address: note(f"the camera is shown at {address}; Ctrl-C ends it"))

    return LiveView(open_screen, predictor.thresholds)


def _step_s(text: str | None, option: str) -> float | None:
    return None if text is None else parse_duration(text, option, what="a step", most_s=_LONGEST_S)


def _predict_with_progress(
    files: Sequence[Path],
    job: PredictionJob,
    predictor: Predictor,
    jobs: int,
    cluster: Engine | None,
    listeners: Sequence[Listener],
    frame_listener: FrameListener | None,
) -> list[FileResult]:
    """Predict with a bar; an interruption says where the rows so far are."""
    from triaffect.media.images import one_opencv_thread
    from triaffect.prediction.batch import predict_files
    from triaffect.tables.results import Interrupted

    remarks: list[str] = []
    try:
        # detection, cutting and decoding run in threads of their own
        with one_opencv_thread(), progress_bar() as bar:
            results = predict_files(
                files,
                job,
                min(jobs, len(files)),
                engine=cluster,
                predictor=predictor,
                progress=lambda done, message: bar(done, len(files), message),
                listeners=listeners,
                frame_listener=frame_listener,
                remarks=remarks,
            )
        warn_of(remarks)
        return results
    except Interrupted as stop:
        if stop.output:
            rows = sum(result.rows for result in stop.results)
            note(f"{rows} rows so far are in {stop.output}")
        raise


def _report_results(results: list[FileResult]) -> int:
    """Warn of what could not be read, or in part only.

    Returns:
        How many files failed, if others did not.

    Raises:
        TriaffectError: None could be read.
    """
    failed = [result for result in results if result.error]
    if len(results) == 1 and failed and failed[0].error:
        raise failed[0].error
    for result in results:
        if result.message and not result.stopped:
            warn(result.message)
    if len(failed) == len(results):
        remedy = "see the warnings above"
        raise MediaError("a file that can be read", f"none among {len(results)}", remedy)
    return len(failed)


def _describe_table(results: list[FileResult], output: Path) -> list[str]:
    """The table's lines among the outputs: how many rows of how many files, and its metadata."""
    from triaffect.tables.results import meta_name

    rows = sum(result.rows for result in results)
    read = [result for result in results if not result.error]
    left_out = f"; {len(results) - len(read)} left out" if len(read) < len(results) else ""
    broken = sum(bool(result.problem) for result in read)
    partial = f"; {broken} only in part" if broken else ""
    counted = f"{count_of(rows, 'row')} from {count_of(len(read), 'file')}"
    lines = [f"{output}: {counted}{left_out}{partial}"]
    if output.suffix != ".parquet":
        lines.append(str(meta_name(output)))
    return lines
