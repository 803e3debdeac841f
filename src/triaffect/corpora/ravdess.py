"""RAVDESS: sentences spoken by actors with eight emotions (Livingstone & Russo 2018).

``Actor_NN/MM-CC-EE-II-SS-RR-AA.flac``, where EE is the emotion and AA the actor. The strength
II is not used. Actors 17-20 are kept for testing and 15-16 for choosing a model.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from triaffect.corpora.acted_speech import SOUND_SUFFIXES, ActedSpeech, Utterance

EMOTIONS = {
    "01": "neutral",
    "02": "calm",
    "03": "happy",
    "04": "sad",
    "05": "angry",
    "06": "fearful",
    "07": "disgust",
    "08": "surprised",
}
_NAME = re.compile(r"\d\d-\d\d-(?P<emotion>0[1-8])-\d\d-\d\d-\d\d-(?P<actor>\d\d)")


class Ravdess(ActedSpeech):
    """Reader of the spoken sentences of RAVDESS."""

    name = "ravdess"
    form = "RAVDESS: Actor_NN/03-01-EE-II-SS-RR-NN.flac or .wav"
    test_speakers = frozenset({"Actor_17", "Actor_18", "Actor_19", "Actor_20"})
    validation_speakers = frozenset({"Actor_15", "Actor_16"})

    @classmethod
    def _sound_files(cls, root: Path) -> Iterator[Path]:
        return (path for path in root.glob("Actor_*/*") if path.suffix in SOUND_SUFFIXES)

    def _utterance(self, stem: str) -> Utterance | None:
        match = _NAME.fullmatch(stem)
        return match and Utterance(f"Actor_{match['actor']}", EMOTIONS[match["emotion"]])
