"""Valence-arousal, expression and action units from faces and voices in video.

`predict` is all that most need; `load` gives a predictor for another model or for parts of a
long file; `score` compares a table of predictions with a table of labels. Importing the package
loads nothing heavy; the first call does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from triaffect.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pandas as pd

    from triaffect.inference.options import Options
    from triaffect.inference.predictor import Predictor
    from triaffect.tasks.abaw import Score

__all__ = ["Options", "__version__", "load", "predict", "score"]


def predict(path: str | Path, options: Options | None = None) -> pd.DataFrame:
    """Predict a video, picture or sound with the shipped weights.

    Args:
        path: The file.
        options: What to predict of it, such as ``Options(every_s=0.2, most_faces=1)``.

    Returns:
        The prediction table: a row for each frame and face; a frame without a face has one row.

    Raises:
        MediaError: The file cannot be read.
        ModelError: The package came without weights.
    """
    from triaffect.inference.options import DEFAULT  # noqa: PLC0415 - heavy
    from triaffect.inference.predictor import shipped  # noqa: PLC0415 - heavy

    return shipped(options or DEFAULT).predict(path)


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
    from triaffect.inference.options import DEFAULT  # noqa: PLC0415 - heavy
    from triaffect.inference.predictor import load as load_model  # noqa: PLC0415 - heavy

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
    from triaffect.tasks.tables import score_tables  # noqa: PLC0415 - heavy

    return score_tables(truth, prediction, thresholds=thresholds)


def __getattr__(name: str) -> object:
    """Give `Options`, which is imported when it is first asked for."""
    if name != "Options":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from triaffect.inference.options import Options  # noqa: PLC0415 - with dataclasses

    return Options
