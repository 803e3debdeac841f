"""Sound to log-mel rows and voice activity."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triaffect.io.exports import lazy_exports

if TYPE_CHECKING:
    from triaffect.voice.activity import voice_scores
    from triaffect.voice.log_mel import LogMel, log_mel_stream
    from triaffect.voice.stream import VoiceActivity, VoiceNetwork, VoiceRows, VoiceStream

__all__ = [
    "LogMel",
    "VoiceActivity",
    "VoiceNetwork",
    "VoiceRows",
    "VoiceStream",
    "log_mel_stream",
    "voice_scores",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "activity": ["voice_scores"],
        "log_mel": ["LogMel", "log_mel_stream"],
        "stream": ["VoiceActivity", "VoiceNetwork", "VoiceRows", "VoiceStream"],
    },
)
