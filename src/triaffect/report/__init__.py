"""A page to look at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triaffect.io.exports import lazy_exports

if TYPE_CHECKING:
    from triaffect.report.annotate import Annotator, annotate_table
    from triaffect.report.page import Page
    from triaffect.report.prediction_page import PredictionPage, write_table_page

__all__ = ["Annotator", "Page", "PredictionPage", "annotate_table", "write_table_page"]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "annotate": ["Annotator", "annotate_table"],
        "page": ["Page"],
        "prediction_page": ["PredictionPage", "write_table_page"],
    },
)
