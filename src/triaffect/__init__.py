"""Valence-arousal, expression and action units from faces and voices in video.

>>> import triaffect
>>> table = triaffect.predict("interview.mp4")                        # doctest: +SKIP
>>> model = triaffect.load("RUN_OR_FOLDER", device="cuda")            # doctest: +SKIP
>>> table = model.predict(["a.mp4", "b.mp4"], stride_s=0.2)           # doctest: +SKIP

`predict` is all that most need; `load` gives a `Predictor` for another model, and its ``stream``
for long files and webcams. `smooth`, `subtract_baseline`, `summarize`, `to_openface` and
`to_pyfeat` post-process a prediction table; `annotate` and `write_report` draw it; `score` compares
it with labels. Importing the package loads nothing heavy; the first call does.
"""

from __future__ import annotations

import importlib
import warnings
from typing import TYPE_CHECKING, Any

from triaffect.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    import pandas as pd

    from triaffect.errors import (
        AnnotationError,
        DiskError,
        MediaError,
        ModelError,
        RecipeError,
        RunError,
        StoreError,
        TableError,
        TriaffectError,
    )
    from triaffect.io.cluster import RayCluster
    from triaffect.metrics.abaw import Score
    from triaffect.prediction.external_features import FeatureFiles
    from triaffect.prediction.options import Options
    from triaffect.prediction.predictor import (
        DoubtfulMediaWarning,
        PartialMediaWarning,
        Predictor,
    )
    from triaffect.prediction.python_inputs import MediaInput, ProgressCallback, TimedFrames

__all__ = [
    "AnnotationError",
    "DiskError",
    "DoubtfulMediaWarning",
    "MediaError",
    "ModelError",
    "Options",
    "PartialMediaWarning",
    "Predictor",
    "RayCluster",
    "RecipeError",
    "RunError",
    "Score",
    "StoreError",
    "TableError",
    "TriaffectError",
    "__version__",
    "annotate",
    "load",
    "predict",
    "score",
    "smooth",
    "subtract_baseline",
    "summarize",
    "to_openface",
    "to_pyfeat",
    "write_report",
]

_EXPORTS = {
    **{name: "triaffect.errors" for name in __all__ if name.endswith("Error")},
    "Options": "triaffect.prediction.options",
    "DoubtfulMediaWarning": "triaffect.prediction.predictor",
    "PartialMediaWarning": "triaffect.prediction.predictor",
    "Predictor": "triaffect.prediction.predictor",
    "RayCluster": "triaffect.io.cluster",
    "Score": "triaffect.metrics.abaw",
}
"""Module of each class, which is imported when the class is first used."""


def predict(
    media: MediaInput | Iterable[MediaInput],
    options: Options | None = None,
    *,
    model: str | Path | None = None,
    device: str = "cpu",
    stride_s: float | None = None,
    max_faces: int | None = None,
    min_face_px: float = 0.0,
    detection_interval_s: float = 0.4,
    sound: bool = True,
    sound_track: int | None = None,
    start: str | float | None = None,
    end: str | float | None = None,
    smooth: str = "off",
    baseline: str | float | None = None,
    people: str | Path | pd.DataFrame | None = None,
    events: str | Path | pd.DataFrame | Sequence[str | Path | pd.DataFrame] | None = None,
    event_length: str | float | None = None,
    jobs: int = 1,
    progress: ProgressCallback | None = None,
    features: FeatureFiles | None = None,
    engine: RayCluster | None = None,
) -> pd.DataFrame:
    """Predict videos, pictures or sounds.

    Args:
        media: A path, a folder or a pattern such as ``"clips/*.mp4"``; a picture as array (uint8,
            (height, width, 3) in RGB or (height, width) in gray) or PIL image; bytes or a binary
            file object of a media file; pairs of time in seconds and picture, as frames of one
            video; or a list of any of these.
        options: Deprecated; give the options by keyword.
        model: A model folder or a run that has one; None for the shipped weights.
        device: "cpu" or "cuda".
        stride_s: Seconds from one moment that has rows to the next; None for every frame.
        max_faces: At most so many faces of a frame, the largest; None for all.
        min_face_px: Faces whose box has a shorter side in pixels are ignored, those of this size
            searched for; 0 searches for faces of 40 pixels and ignores none.
        detection_interval_s: Seconds from one detection in the whole frame to the next; in
            between, faces are followed by their gray levels, or detected near their last
            position. 0 detects in all of every frame.
        sound: Whether the sound of videos is used.
        sound_track: Which of a file's several sounds is used, from 1; None takes the default one,
            or the one most like a voice, and a `DoubtfulMediaWarning` says which.
        start: Rows begin at this time of each file: seconds, or text as "90s" or "1:30". Values
            are those of the whole file; face numbers begin at 0.
        end: Rows end before this time.
        smooth: Also add smoothed columns, as `smooth` does; "off" adds none.
        baseline: Also add columns relative to each face's beginning, as `subtract_baseline` does,
            or relative to its median in the events of that name.
        people: Who is who, as for `summarize`: columns ``participant`` and any others are added,
            and the faces of one participant in a clip become one.
        events: What happened when, as for `summarize`: a column ``event`` is added.
        event_length: How long events last that are points, such as "5s".
        jobs: Processes that share the files; with 1 all is done in this one.
        progress: Called with the number of inputs done, their total, and a message.
        features: For a model that reads features of other programs, their files, as `triaffect
            join` takes them: a path, or a mapping from the name that each has in the run.
        engine: Where files are computed in place of this machine, such as
            ``triaffect.RayCluster("HOST:6379")``; the table is the same.

    Returns:
        The prediction table: a row for each frame and face, and one for a frame without a face;
        ``clip`` says of which input. Its ``attrs`` hold the model's thresholds, name and hash.

    Raises:
        MediaError: No input can be read. If others can, a `PartialMediaWarning` names it.
        ModelError: The model folder is missing or damaged, or the device is not there.
        TableError: There is no such smoothing or baseline.
        TriaffectError: An option is out of its range, or the engine cannot compute.

    Examples:
        A gray picture has no face: one row, all blank.

        >>> import numpy as np, triaffect
        >>> table = triaffect.predict(np.full((90, 120, 3), 128, np.uint8))
        >>> table[["clip", "frame", "time_s", "valence", "face_seen"]].values.tolist()
        [['array', 0, 0.0, nan, False]]
        >>> table.attrs["model"]["name"]
        'default'
    """
    keywords: dict[str, Any] = {
        "stride_s": stride_s,
        "max_faces": max_faces,
        "min_face_px": min_face_px,
        "detection_interval_s": detection_interval_s,
        "sound": sound,
        "sound_track": sound_track,
        "start": start,
        "end": end,
    }
    if options is not None:
        _warn_of_options("predict(media, stride_s=0.2)")
        keywords = dict(vars(options))
        keywords |= {name: keywords.pop(f"{name}_s") for name in ("start", "end")}
    keywords |= {"smooth": smooth, "baseline": baseline, "jobs": jobs, "progress": progress}
    keywords |= {"people": people, "events": events, "event_length": event_length}
    predictor = _load("triaffect.prediction.predictor").load_cached(model, device)
    result: pd.DataFrame = predictor.predict(media, features=features, engine=engine, **keywords)
    return result


def load(
    path: str | Path | None = None,
    device: str = "cpu",
    options: Options | None = None,
    *,
    features: FeatureFiles | None = None,
) -> Predictor:
    """Load a model to predict with, any number of times.

    Args:
        path: A model folder or a run that has one; ``"hf:OWNER/NAME"`` for one on the hub of
            Hugging Face, if ``huggingface_hub`` is installed; None for the shipped weights.
        device: "cpu" or "cuda".
        options: Deprecated; give the options by keyword to ``predict`` and ``stream``.
        features: As for `predict`.

    Returns:
        A `Predictor`: ``model(media)`` is ``model.predict(media)``, and ``model.stream(media)``
        gives the rows of a long file, of a webcam or of frames in parts.

    Raises:
        ModelError: The folder is missing, damaged or incomplete, or the device is not there.

    Examples:
        >>> import numpy as np, triaffect
        >>> model = triaffect.load()
        >>> [task.key for task in model.tasks]
        ['VA', 'EXPR', 'AU']
        >>> frames = ((k / 10, np.full((90, 120, 3), 128, np.uint8)) for k in range(3))
        >>> [part["time_s"].tolist() for part in model.stream(frames)]
        [[0.0, 0.1, 0.2]]
    """
    module = _load("triaffect.prediction.predictor")
    if options is not None:
        _warn_of_options("load(path).predict(media, stride_s=0.2)")
    keywords: dict[str, Any] = {} if options is None else {"options": options}
    predictor: Predictor = module.load(path, device, features=features, **keywords)
    return predictor


def smooth(table: pd.DataFrame, how: str = "causal") -> pd.DataFrame:
    """Add columns smoothed over real time, within each clip and face; the raw ones stay.

    Args:
        table: A prediction table.
        how: "causal", an exponential mean of what came before, or "centred", a mean under a
            raised cosine; either with its time constant or width, as in "causal:0.4s". Or
            "exponential", frame by frame with an inertia, as in "exponential:VA=9,AU=7".

    Returns:
        The table with further columns ending in ``_smooth``.

    Raises:
        TableError: It is no prediction table, or there is no such smoothing.

    Examples:
        >>> import pandas as pd, triaffect
        >>> table = pd.DataFrame({"clip": "a.mp4", "time_s": [0.0, 0.3, 0.6], "face_id": 0,
        ...                       "valence": [0.0, 1.0, 1.0], "arousal": 0.5})
        >>> triaffect.smooth(table, "causal:0.3s")["valence_smooth"].round(2).tolist()
        [0.0, 0.63, 0.86]
    """
    module = _load("triaffect.tables.postprocess")
    result: pd.DataFrame = module.postprocess_frame(table, module.Postprocessing.parse(how))
    return result


def subtract_baseline(table: pd.DataFrame, baseline: str | float = "5s") -> pd.DataFrame:
    """Add how far values are above the face's own beginning.

    Args:
        table: A prediction table.
        baseline: How long the beginning is whose median is subtracted, "5s" or a number of
            seconds.

    Returns:
        The table with further columns ending in ``_above_own``, blank until the beginning is
        over.

    Raises:
        TableError: It is no prediction table, or the time is none from 0.1 s to 600 s.

    Examples:
        >>> import pandas as pd, triaffect
        >>> table = pd.DataFrame({"clip": "a.mp4", "time_s": [0.0, 1.0, 2.0], "face_id": 0,
        ...                       "valence": [0.25, 0.25, 0.75], "arousal": 0.5})
        >>> triaffect.subtract_baseline(table, "1s")["valence_above_own"].tolist()
        [nan, nan, 0.5]
    """
    module = _load("triaffect.tables.postprocess")
    result: pd.DataFrame = module.postprocess_frame(
        table, module.Postprocessing.parse(baseline=baseline)
    )
    return result


def summarize(
    table: pd.DataFrame,
    thresholds: Mapping[str, float] | None = None,
    *,
    people: str | Path | pd.DataFrame | None = None,
    events: str | Path | pd.DataFrame | Sequence[str | Path | pd.DataFrame] | None = None,
    by: str | Sequence[str] = (),
    baseline: str = "",
    event_length: str | float | None = None,
) -> pd.DataFrame:
    """Summarize a prediction table by clip and face, by person and event, or by groups of people.

    Args:
        table: A prediction table.
        thresholds: Probability from which an action unit counts as present, by column; None for
            those in ``table.attrs["thresholds"]``, which `predict` leaves there; 0.5 for others.
        people: Who is who: a file or table with ``clip``, ``participant``, as needed ``face``, and
            any columns such as ``condition``. Faces of one participant in a clip are one person.
        events: What happened when: a file of ELAN, BORIS, PsychoPy or Audacity, or a file or table
            with ``clip``, ``start``, ``end`` and ``name``; or a list of them.
        by: Columns of the people to group by.
        baseline: Name of the event from whose median values are also measured.
        event_length: How long events last that are points, such as "5s".

    Returns:
        Without a study, how long each face was seen, mean, deviation and percentiles of valence and
        arousal, and shares of expressions and units. With one, a row for each person and event:
        means, shares, number, length and latency of episodes. With ``by`` a row for each group,
        event and measure: the mean over participants, and its 95 % interval. All weighted by time.

    Raises:
        TableError: It is no prediction table, or a file of the study does not fit.

    Examples:
        >>> import pandas as pd, triaffect
        >>> table = pd.DataFrame({"clip": "a.mp4", "time_s": [0.0, 1.0, 2.0], "face_id": 0,
        ...                       "detection": 0.9, "voice_heard": False,
        ...                       "valence": [0.0, 0.5, 1.0], "arousal": 0.5})
        >>> triaffect.summarize(table)[["seconds", "valence_mean"]].values.tolist()
        [[3.0, 0.5]]
        >>> joke = pd.DataFrame({"clip": ["a"], "start": [1.0], "end": [3.0], "name": ["joke"]})
        >>> triaffect.summarize(table, events=joke)[["event", "valence_mean"]].values.tolist()
        [['joke', 0.75]]
    """
    levels = _of(table, thresholds)
    listed = _as_list(events)
    if people is None and not listed and not by and not baseline:
        summary: pd.DataFrame = _load("triaffect.tables.postprocess").summarize_frame(table, levels)
        return summary
    names = (by,) if isinstance(by, str) else tuple(by)
    run = _load("triaffect.studies.run")
    result: pd.DataFrame = run.summarize_study(
        table, levels, people, listed, names, baseline, event_length
    )
    return result


def to_openface(table: pd.DataFrame, thresholds: Mapping[str, float] | None = None) -> pd.DataFrame:
    """Give what is comparable under the column names of OpenFace 2.

    Args:
        table: A prediction table.
        thresholds: As for `summarize`; OpenFace says whether a unit is present.

    Returns:
        As many rows, with ``clip`` at the end.

    Raises:
        TableError: It is no prediction table.

    Examples:
        >>> import pandas as pd, triaffect
        >>> table = pd.DataFrame({"clip": "a.mp4", "frame": [0], "time_s": 0.0, "face_id": 0,
        ...                       **{f"AU{n}": 0.7 for n in (1, 2, 4, 6, 7, 10, 12, 15, 23, 24)},
        ...                       "AU25": 0.7, "AU26": 0.3})
        >>> triaffect.to_openface(table)[["frame", "AU12_c", "AU26_c"]].values.tolist()
        [[1, 1, 0]]
    """
    module = _load("triaffect.tables.postprocess")
    steps = module.Postprocessing.parse(columns="openface")
    result: pd.DataFrame = module.postprocess_frame(table, steps, _of(table, thresholds))
    return result


def to_pyfeat(table: pd.DataFrame) -> pd.DataFrame:
    """Give what is comparable under the column names of Py-Feat.

    Args:
        table: A prediction table.

    Returns:
        As many rows, with ``time_s`` and ``face_id`` at the end.

    Raises:
        TableError: It is no prediction table.

    Examples:
        >>> import pandas as pd, triaffect
        >>> table = pd.DataFrame({"clip": "a.mp4", "frame": [0], "time_s": 0.0, "face_id": 0,
        ...                       "box_x": 12.0, "valence": 0.5, "arousal": 0.5})
        >>> triaffect.to_pyfeat(table)[["FaceRectX", "input", "frame"]].values.tolist()
        [[12.0, 'a.mp4', 0]]
    """
    module = _load("triaffect.tables.postprocess")
    result: pd.DataFrame = module.postprocess_frame(
        table, module.Postprocessing.parse(columns="pyfeat")
    )
    return result


def score(
    truth: pd.DataFrame,
    prediction: pd.DataFrame,
    thresholds: Mapping[str, float] | None = None,
) -> Score:
    """Compute the official ABAW score of a prediction table against a table of labels.

    Args:
        truth: ``clip``, ``frame``, maybe ``face_id``, and label columns; a blank cell is not
            annotated. Expression as a name or 0 to 7.
        prediction: A prediction table.
        thresholds: As for `summarize`, from the predictions' ``attrs`` if not given.

    Returns:
        The scores, by name: ``score["P_VA"]``, ``score["valence_ccc"]``, ``score.to_frame()``.

    Raises:
        TableError: Duplicate rows, a truth row without a prediction, a column missing, or a
            value that cannot be.

    Examples:
        >>> import pandas as pd, triaffect
        >>> truth = pd.DataFrame({"clip": "a.mp4", "frame": range(3),
        ...                       "valence": [0.0, 0.5, 1.0], "arousal": [0.0, 0.5, 1.0]})
        >>> round(triaffect.score(truth, truth.assign(arousal=[0.0, 0.5, 0.5]))["P_VA"], 3)
        0.833
    """
    module = _load("triaffect.metrics.tables")
    result: Score = module.score_tables(truth, prediction, thresholds=_of(prediction, thresholds))
    return result


def annotate(
    table: pd.DataFrame,
    media: str | Path,
    output: str | Path,
    thresholds: Mapping[str, float] | None = None,
) -> None:
    """Write a copy of a video or picture with its predictions drawn.

    Args:
        table: A prediction table; of several clips, the one whose ``clip`` is the path is drawn.
        media: The video or picture.
        output: The copy, ``.mp4`` or, of a picture, ``.png``; or a folder for it.
        thresholds: As for `summarize`.

    Raises:
        TableError: The table has no rows of the video, or a copy cannot be written there.
        MediaError: The video cannot be read.

    Examples:
        >>> triaffect.annotate(triaffect.predict("a.mp4"), "a.mp4", "drawn.mp4")  # doctest: +SKIP
    """
    module = _load("triaffect.report.annotate")
    table = _load("triaffect.tables.postprocess").order_rows(table)
    module.annotate_table(table, media, output, _of(table, thresholds))


def write_report(table: pd.DataFrame, output: str | Path, *, thumbnails: bool = True) -> None:
    """Write a page to look at, with the predictions of each clip and face over time.

    Args:
        table: A prediction table.
        output: The page, ``.html``.
        thumbnails: Whether it shows pictures of the clips that are files still there.

    Raises:
        TableError: It is no prediction table, or a page cannot be written there.

    Examples:
        >>> triaffect.write_report(triaffect.predict("a.mp4"), "a.html")  # doctest: +SKIP
    """
    _load("triaffect.io.atomic").check_page(output)
    table = _load("triaffect.tables.postprocess").order_rows(table)
    _load("triaffect.report.prediction_page").write_table_page(table, output, thumbnails)


def _as_list(events: object) -> list[Any]:
    if events is None:
        return []
    return list(events) if isinstance(events, (list, tuple)) else [events]


def _of(table: pd.DataFrame, thresholds: Mapping[str, float] | None) -> Mapping[str, float] | None:
    return table.attrs.get("thresholds") if thresholds is None else thresholds


def _load(name: str) -> Any:  # noqa: ANN401 - modules are loaded late, the types stand above
    """Import a module of the package.

    Raises:
        TriaffectError: A library of the system is missing that opencv needs, or the processor is
            too old for NumPy.
    """
    try:
        return importlib.import_module(name)
    except (ImportError, RuntimeError) as error:
        errors = importlib.import_module("triaffect.errors")  # late, as all else
        is_missing = isinstance(error, ImportError)
        explain = errors.explain_missing_library if is_missing else errors.explain_old_processor
        if (explained := explain(error)) is not None:
            raise explained from error
        raise


def _warn_of_options(instead: str) -> None:
    message = f"options are given by keyword now: triaffect.{instead}"
    warnings.warn(message, DeprecationWarning, stacklevel=3)


def _rename(
    table: pd.DataFrame, program: str, thresholds: Mapping[str, float] | None = None
) -> pd.DataFrame:
    module = _load("triaffect.tables.postprocess")
    steps = module.Postprocessing.parse(columns=program)
    result: pd.DataFrame = module.postprocess_frame(table, steps, _of(table, thresholds))
    return result


def _predict_frames(frames: TimedFrames) -> pd.DataFrame:
    return predict(iter(frames))


_OLD_NAMES = {
    "compare_with_own": ("subtract_baseline", subtract_baseline),
    "predict_frames": ("predict", _predict_frames),
    "rename": ("to_openface or to_pyfeat", _rename),
    "summarise": ("summarize", summarize),
}


def __getattr__(name: str) -> object:
    """Import a class when it is first used; functions of 0.1.0 are had with a warning."""
    if name in _EXPORTS:
        value = globals()[name] = getattr(_load(_EXPORTS[name]), name)
        return value
    if name in _OLD_NAMES:
        new, function = _OLD_NAMES[name]
        message = f"triaffect.{name} is now triaffect.{new}"
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        return function
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
