"""Which sources are one video: those that are read from one file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping


def name_videos(files: Mapping[str, str | None]) -> dict[str, str | None]:
    """Name the video of each source.

    Args:
        files: By the source's id, the file that it is seen or heard in; None for single
            pictures, which are no video.

    Returns:
        By id: the source itself, or joined by "+" all that share its file, such as the two
        people of a twin video; None for single pictures.
    """
    sharing: defaultdict[str, list[str]] = defaultdict(list)
    for source, file in files.items():
        if file is not None:
            sharing[file].append(source)
    return {
        source: None if file is None else " + ".join(sharing[file])
        for source, file in files.items()
    }
