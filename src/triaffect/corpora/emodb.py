"""EMO-DB: German sentences spoken by actors with seven emotions (Burkhardt et al. 2005).

``SSTTTEv.flac`` in one folder: speaker, text, the emotion's letter (after its German name)
and version. Speakers 03 and 08 are kept for testing and 09 for choosing a model.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from triaffect.corpora.acted_speech import SOUND_SUFFIXES, ActedSpeech, Utterance

EMOTIONS = {
    "W": "anger",
    "L": "boredom",
    "E": "disgust",
    "A": "fear",
    "F": "happiness",
    "T": "sadness",
    "N": "neutral",
}
_NAME = re.compile(r"(?P<speaker>\d\d)[a-z]\d\d(?P<emotion>[WLEAFTN])[a-z]?")


class EmoDb(ActedSpeech):
    """Reader of EMO-DB."""

    name = "emodb"
    form = "EMO-DB: SSTTTEv.flac or .wav, such as 03a01Fa.flac"
    test_speakers = frozenset({"03", "08"})
    validation_speakers = frozenset({"09"})

    @classmethod
    def recognises(cls, root: Path) -> bool:
        """Whether the folder holds a file named as in EMO-DB."""
        return root.is_dir() and any(_NAME.fullmatch(p.stem) for p in cls._sound_files(root))

    @classmethod
    def _sound_files(cls, root: Path) -> Iterator[Path]:
        return (path for path in root.glob("*") if path.suffix in SOUND_SUFFIXES)

    def _utterance(self, stem: str) -> Utterance | None:
        match = _NAME.fullmatch(stem)
        return match and Utterance(match["speaker"], EMOTIONS[match["emotion"]])
