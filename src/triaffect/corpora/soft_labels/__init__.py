"""Labels from tables of other programs, added to those of a corpus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triaffect.io.exports import lazy_exports

if TYPE_CHECKING:
    from triaffect.corpora.soft_labels.corpus import SoftLabels, combine_units, open_with_labels
    from triaffect.corpora.soft_labels.tables import LabelMapping, SoftLabelTable, read_mapping

__all__ = [
    "LabelMapping",
    "SoftLabelTable",
    "SoftLabels",
    "combine_units",
    "open_with_labels",
    "read_mapping",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "corpus": ["SoftLabels", "combine_units", "open_with_labels"],
        "tables": ["LabelMapping", "SoftLabelTable", "read_mapping"],
    },
)
