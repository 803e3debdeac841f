"""Write episodes for other programs: tiers of ELAN, subtitles, events as BORIS writes them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path, PurePosixPath

from triaffect.errors import TableError
from triaffect.io.atomic import check_output, replace_file, write_text
from triaffect.studies.signals import Episode

ENDINGS = (".eaf", ".srt", ".csv")
_BORIS = (
    *("Observation id", "Media file name", "Subject", "Behavior", "Behavioral category"),
    *("Behavior type", "Start (s)", "Stop (s)", "Duration (s)"),
)
_MIME = {
    ".mp4": "video/mp4",
    ".mpg": "video/mpeg",
    ".wav": "audio/x-wav",
    ".mov": "video/quicktime",
}


def output_paths(output: Path, clips: Sequence[str]) -> dict[str, Path]:
    """Choose the file of each clip: one for all in a CSV, else one each if there are several.

    >>> paths = output_paths(Path("out.srt"), ["a/P01.mp4", "a/P02.mp4"])
    >>> [path.name for path in paths.values()]
    ['out.P01.srt', 'out.P02.srt']

    Args:
        output: As the user names it.
        clips: Names of the clips.

    Returns:
        Paths by clip.

    Raises:
        TableError: The ending is none of `ENDINGS`.
        DiskError: It cannot be written there.
    """
    suffix = output.suffix.lower()
    if suffix not in ENDINGS:
        got = f"'{output.suffix}'" if output.suffix else "no ending"
        raise TableError(f"an output ending in {', '.join(ENDINGS)}", got, where=output)
    check_output(output)
    if suffix == ".csv" or len(clips) <= 1:
        return dict.fromkeys(clips, output)
    paths: dict[str, Path] = {}
    for clip in clips:
        stem = PurePosixPath(clip.replace("\\", "/")).stem
        names = (f"{output.stem}.{stem}{n or ''}{suffix}" for n in range(len(clips)))
        free = (output.with_name(name) for name in names)
        paths[clip] = next(path for path in free if path not in paths.values())
    return paths


def write_episodes(
    paths: Mapping[str, Path], episodes: Iterable[Episode], titles: Mapping[str, str]
) -> list[Path]:
    """Write episodes, each file whole or not at all.

    Args:
        paths: The file of each clip, as `output_paths` chooses it.
        episodes: The episodes.
        titles: Names for a reader of their signs, by key.

    Returns:
        The files, in order.

    Raises:
        DiskError: One cannot be written.
    """
    by_path: dict[Path, dict[str, list[Episode]]] = {}
    for clip, path in paths.items():
        by_path.setdefault(path, {})[clip] = []
    for episode in episodes:
        by_path[paths[episode.clip]][episode.clip].append(episode)
    for path, clips in by_path.items():
        if path.suffix.lower() == ".eaf":
            for clip, own in clips.items():
                _write_elan(path, clip, own, titles)
            continue
        listed = [episode for own in clips.values() for episode in own]
        text = _subtitles(listed, titles) if path.suffix.lower() == ".srt" else _boris(listed)
        write_text(path, text)
    return list(by_path)


def _who(episode: Episode) -> str:
    return f"face {episode.face}" if episode.participant is None else episode.participant


def _write_elan(
    path: Path, clip: str, episodes: Sequence[Episode], titles: Mapping[str, str]
) -> None:
    """A tier for each person and sign, linked to the media file beside it."""
    from pympi.Elan import Eaf  # noqa: PLC0415 - an extra

    file = Eaf(author="triaffect")
    file.remove_tier("default")
    media = Path(clip)
    mime = _MIME.get(media.suffix.lower(), "video/mp4")
    file.add_linked_file(str(media), relpath=f"./{media.name}", mimetype=mime)
    for episode in episodes:
        title = titles.get(episode.sign, episode.sign)
        tier = f"{_who(episode)} {title}"
        if tier not in file.get_tier_names():
            file.add_tier(tier)
        start_ms, end_ms = round(1000 * episode.start_s), round(1000 * episode.end_s)
        file.add_annotation(tier, start_ms, max(end_ms, start_ms + 1), title)
    for number, descriptor in enumerate(file.media_descriptors):
        file.media_descriptors[number] = {k: v for k, v in descriptor.items() if v is not None}
    with replace_file(path, unlocked=True) as temporary:
        file.to_file(str(temporary))
        temporary.with_name(f"{temporary.name}.bak").unlink(missing_ok=True)


def _subtitles(episodes: Sequence[Episode], titles: Mapping[str, str]) -> str:
    """A subtitle for each run of moments over which the same signs of the same people are there."""
    several = len({_who(each) for each in episodes}) > 1
    cuts = sorted({time for each in episodes for time in (each.start_s, each.end_s)})
    shown: list[tuple[float, float, str]] = []
    for start_s, end_s in pairwise(cuts):
        lines: dict[str, list[str]] = {}
        for each in episodes:
            if each.start_s <= start_s and each.end_s >= end_s:
                lines.setdefault(_who(each), []).append(titles.get(each.sign, each.sign))
        text = "\n".join(
            f"{who}: {', '.join(names)}" if several else ", ".join(names)
            for who, names in lines.items()
        )
        if text:
            shown.append((start_s, end_s, text))
    blocks = [
        f"{number}\n{_clock(start_s)} --> {_clock(end_s)}\n{text}\n"
        for number, (start_s, end_s, text) in enumerate(shown, 1)
    ]
    return "\n".join(blocks)


def _clock(seconds: float) -> str:
    whole = round(1000 * seconds)
    minutes, milliseconds = divmod(whole, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{milliseconds // 1000:02},{milliseconds % 1000:03}"


def _boris(episodes: Sequence[Episode]) -> str:
    """Aggregated events as BORIS exports them."""
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(_BORIS)
    for each in episodes:
        stem = PurePosixPath(each.clip.replace("\\", "/")).stem
        times = (each.start_s, each.end_s, each.end_s - each.start_s)
        numbers = (f"{time:.3f}" for time in times)
        rows.writerow([stem, each.clip, _who(each), each.sign, "triaffect", "STATE", *numbers])
    return text.getvalue()
