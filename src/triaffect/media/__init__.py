"""Files to frames and sound."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triaffect.io.exports import lazy_exports

if TYPE_CHECKING:
    from triaffect.media.audio import read_sound, sound_chunks
    from triaffect.media.find import find_media, pictures_in
    from triaffect.media.frames_at import FramesAt, SampledFrames, frame_times
    from triaffect.media.images import ArrayFrames, FrameReader, FrameSource, ImageFrames
    from triaffect.media.probe import MediaFile, read_image
    from triaffect.media.video import Frame, VideoFrames, VideoInfo
    from triaffect.media.webcam import WebcamFrames
    from triaffect.media.writer import timed_video, write_video

__all__ = [
    "ArrayFrames",
    "Frame",
    "FrameReader",
    "FrameSource",
    "FramesAt",
    "ImageFrames",
    "MediaFile",
    "SampledFrames",
    "VideoFrames",
    "VideoInfo",
    "WebcamFrames",
    "find_media",
    "frame_times",
    "pictures_in",
    "read_image",
    "read_sound",
    "sound_chunks",
    "timed_video",
    "write_video",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "audio": ["read_sound", "sound_chunks"],
        "find": ["find_media", "pictures_in"],
        "frames_at": ["FramesAt", "SampledFrames", "frame_times"],
        "images": ["ArrayFrames", "FrameReader", "FrameSource", "ImageFrames"],
        "probe": ["MediaFile", "read_image"],
        "video": ["Frame", "VideoFrames", "VideoInfo"],
        "webcam": ["WebcamFrames"],
        "writer": ["timed_video", "write_video"],
    },
)
