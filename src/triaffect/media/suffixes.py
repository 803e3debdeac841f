"""What a file is, as far as the end of its name tells."""

from __future__ import annotations

from triaffect.types import SourceKind

_VIDEOS = "mp4 m4v mov avi mkv webm mpg mpeg wmv flv ts 3gp ogv"
_PICTURES = "jpg jpeg png bmp webp tif tiff"
_SOUNDS = "wav flac mp3 m4a aac ogg oga opus wma"
PICTURES = frozenset(f".{name}" for name in _PICTURES.split())
SOUNDS = frozenset(f".{name}" for name in _SOUNDS.split())
MEDIA = PICTURES | SOUNDS | frozenset(f".{name}" for name in _VIDEOS.split())
"""Files with these endings are taken from a folder; a file given by name may have any."""


def kind_by_name(suffix: str) -> SourceKind:
    """What a file with this ending is; a video if it is none of those that are known."""
    if suffix.lower() in PICTURES:
        return SourceKind.IMAGES
    return SourceKind.SOUND if suffix.lower() in SOUNDS else SourceKind.VIDEO
