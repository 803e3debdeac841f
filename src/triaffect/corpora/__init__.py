"""Native label files to Moments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triaffect.io.exports import lazy_exports

if TYPE_CHECKING:
    from triaffect.corpora.acted_speech import EmoDb, Ravdess
    from triaffect.corpora.aff_wild2 import AffWild2
    from triaffect.corpora.base import Corpus, open_corpus
    from triaffect.corpora.ferplus import FerPlus
    from triaffect.corpora.integrity import LabelReport, MediaReport, check_labels, check_media
    from triaffect.corpora.label_table import LabelTable
    from triaffect.corpora.media_folder import MediaFolder
    from triaffect.corpora.music.jamendo import JamendoMoods
    from triaffect.corpora.music.ratings import RatedSongs
    from triaffect.corpora.rows import TaskLabels, build_moments, join_moments

__all__ = [
    "AffWild2",
    "Corpus",
    "EmoDb",
    "FerPlus",
    "JamendoMoods",
    "LabelReport",
    "LabelTable",
    "MediaFolder",
    "MediaReport",
    "RatedSongs",
    "Ravdess",
    "TaskLabels",
    "build_moments",
    "check_labels",
    "check_media",
    "join_moments",
    "open_corpus",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "acted_speech": ["EmoDb", "Ravdess"],
        "aff_wild2": ["AffWild2"],
        "base": ["Corpus", "open_corpus"],
        "ferplus": ["FerPlus"],
        "integrity": ["LabelReport", "MediaReport", "check_labels", "check_media"],
        "label_table": ["LabelTable"],
        "media_folder": ["MediaFolder"],
        "music.jamendo": ["JamendoMoods"],
        "music.ratings": ["RatedSongs"],
        "rows": ["TaskLabels", "build_moments", "join_moments"],
    },
)
