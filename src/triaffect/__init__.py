"""Valence-arousal, expression and action units from faces and voices in video.

`predict` is all that most need; `load` gives a predictor for another model or for parts of a
long file; `smooth`, `compare_with_own`, `rename` and `summarise` do to a table what the options of
the command line do; `score` compares a table of predictions with a table of labels. Importing the
package loads nothing heavy; the first call does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from triaffect.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from triaffect.metrics.abaw import Score
    from triaffect.prediction.options import Options
    from triaffect.prediction.predictor import Predictor

__all__ = [
    "Options",
    "__version__",
    "compare_with_own",
    "load",
    "predict",
    "predict_frames",
    "rename",
    "score",
    "smooth",
    "summarise",
]


def predict(
    path: str | Path,
    options: Options | None = None,
    smooth: str = "off",
    baseline: str | float | None = None,
) -> pd.DataFrame:
    """Predict a video, picture or sound with the shipped weights.

    Args:
        path: The file.
        options: What to predict of it, such as ``Options(every_s=0.2, most_faces=1)``.
        smooth: Add smoothed columns, as `smooth` does; "off" adds none.
        baseline: Add columns relative to each face's own beginning, as `compare_with_own` does.

    Returns:
        The prediction table: a row for each frame and face; a frame without a face has one row.

    Raises:
        MediaError: The file cannot be read.
        ModelError: The package came without weights.
        TableError: No such smoothing or baseline.
    """
    from triaffect.prediction.options import DEFAULT  # noqa: PLC0415
    from triaffect.prediction.predictor import shipped  # noqa: PLC0415
    from triaffect.tables.postprocess import TableForm, form_frame  # noqa: PLC0415

    form = TableForm.parse(smooth, baseline)
    return form_frame(shipped(options or DEFAULT).predict(path), form)


def smooth(table: pd.DataFrame, how: str = "causal") -> pd.DataFrame:
    """Add columns smoothed over real time, within each clip and face; the raw ones stay.

    Args:
        table: A prediction table, clip by clip and rising in time.
        how: "causal", an exponential mean of what came before, or "centred", a mean under a
            raised cosine; either with its time constant or width, as in "causal:0.4s".

    Returns:
        The table with further columns ending in ``_smooth``.

    Raises:
        TableError: It is no prediction table, or there is no such smoothing.
    """
    from triaffect.tables.postprocess import TableForm, form_frame  # noqa: PLC0415

    return form_frame(table, TableForm.parse(how))


def compare_with_own(table: pd.DataFrame, baseline: str | float = "5s") -> pd.DataFrame:
    """Add how far values are above the face's own beginning.

    Args:
        table: A prediction table, clip by clip and rising in time.
        baseline: How long the beginning is whose median is subtracted, "5s" or a number of
            seconds.

    Returns:
        The table with further columns ending in ``_above_own``, blank until the beginning is
        over.

    Raises:
        TableError: It is no prediction table, or the time is none from 0.1 s to 600 s.
    """
    from triaffect.tables.postprocess import TableForm, form_frame  # noqa: PLC0415

    return form_frame(table, TableForm.parse(baseline=baseline))


def rename(
    table: pd.DataFrame, program: str, thresholds: Mapping[str, float] | None = None
) -> pd.DataFrame:
    """Tell what is comparable under the column names of another program.

    Args:
        table: A prediction table.
        program: "openface" or "pyfeat".
        thresholds: Probability from which an action unit counts as present, by column, such
            as a predictor's ``thresholds``; 0.5 for one not named.

    Raises:
        TableError: It is no prediction table, or there is no such program.
    """
    from triaffect.tables.postprocess import TableForm, form_frame  # noqa: PLC0415

    return form_frame(table, TableForm.parse(columns=program), thresholds)


def summarise(table: pd.DataFrame, thresholds: Mapping[str, float] | None = None) -> pd.DataFrame:
    """Sum a prediction table up, in a row for each clip and face.

    Args:
        table: A prediction table, clip by clip and rising in time.
        thresholds: Probability from which an action unit counts as present, by column, such
            as a predictor's ``thresholds``; 0.5 for one not named.

    Raises:
        TableError: It is no prediction table.
    """
    from triaffect.tables.postprocess import summary_frame  # noqa: PLC0415 - heavy

    return summary_frame(table, thresholds)


def predict_frames(frames: Iterable[tuple[float, NDArray[np.uint8]]]) -> pd.DataFrame:
    """Predict frames of a camera or another program with the shipped weights.

    Args:
        frames: Time in seconds and RGB pixels (uint8, (height, width, 3)) of each frame, in
            order of time. `Predictor.frames` gives rows while they still come.

    Returns:
        The prediction table; its ``clip`` is ``frames``.

    Raises:
        MediaError: There is no frame, or one is not as said.
        ModelError: The package came without weights.
    """
    import pandas as pd  # noqa: PLC0415 - heavy

    from triaffect.prediction.predictor import shipped  # noqa: PLC0415 - heavy

    return pd.concat(shipped().frames(frames), ignore_index=True)


def load(
    path: str | Path | None = None, device: str = "cpu", options: Options | None = None
) -> Predictor:
    """Load a model to predict with.

    Args:
        path: A model folder; None for the shipped weights.
        device: "cpu" or "cuda".
        options: What to predict of a file, such as ``Options(sound=False)``.

    Returns:
        A `Predictor` with ``predict(path)``, and ``stream(path)`` for files of any length.

    Raises:
        ModelError: The folder is missing, damaged or incomplete, the device is not there, or
            the model cannot do without sound.
    """
    from triaffect.prediction.options import DEFAULT  # noqa: PLC0415 - heavy
    from triaffect.prediction.predictor import load as load_model  # noqa: PLC0415 - heavy

    return load_model(path, device, options or DEFAULT)


def score(
    truth: pd.DataFrame,
    prediction: pd.DataFrame,
    thresholds: Mapping[str, float] | None = None,
) -> Score:
    """Official ABAW score of a prediction table against a table of labels.

    Args:
        truth: ``clip``, ``frame``, maybe ``face_id``, and label columns; a blank cell is not
            annotated. Expression as a name or 0 to 7.
        prediction: A prediction table.
        thresholds: Probability from which an action unit counts as present, by column, such
            as a predictor's ``thresholds``; 0.5 for one not named.

    Raises:
        TableError: Duplicate rows, a truth row without a prediction, a column missing, or a
            value that cannot be.
    """
    from triaffect.metrics.tables import score_tables  # noqa: PLC0415 - heavy

    return score_tables(truth, prediction, thresholds=thresholds)


def __getattr__(name: str) -> object:
    """Give `Options`, which is imported when it is first asked for."""
    if name != "Options":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from triaffect.prediction.options import Options  # noqa: PLC0415 - with dataclasses

    return Options
