"""Broken label files by the thousand, and what a reader must make of each.

A `Kind` of file is made right, then changed at random up to four times. Its reference, written
in plain Python from the published form and sharing nothing with the reader, says what is right:
rows, or a refusal with the line that is at fault. `judge` compares; anything else than the
reference's answer, another exception included, counts as wrong.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from triaffect.errors import TriaffectError

MOST_CHANGES = 4
ODD_TEXTS = (
    *("nan", "NaN", "inf", "-inf", "Infinity", "1e400", "-1e400", "1e-400", "0x1", "0b1", "1_0"),
    *(
        "٣",
        "\uff13",
        "½",
        "²",
        "\u22121",
        "\u00a00.5",
        "0.5\u2003",
        "\ufeff1",
        "1\x00",
        "\x00",
        "é",
        "😀",
    ),
    *("-5", "-5.0", "-5.", "-5e0", "-1", "-1.0", "-01", "+1", "++1", ".5", "5.", ".", "-", "-0"),
    *("1e0", "1E-1", "1e", "e1", "10e-1", "0.30000000000000004", "1.0000000001", "0.99999999999"),
    *("1" * 400, "0." + "3" * 400, "999999999999999999999", "true", "None", "null", "", " ", "\t"),
    *('"0.5"', "'1'", "0.5 ", "\t0.5", "0 5", "0.5f", "1d0", "#1", "8", "7", "0", "1", "0.5", "%"),
)
ODD_SEPARATORS = (";", "\t", " ", ", ", " ,", ",,", "|", "\uff0c", "\x1f")
ODD_LINES = ("", " ", "\t", "\r", "\x0b", "\x0c", "\x85", "\u2028", "\x1c", "#", ",", ",,")
ODD_ENDS = ("\r\n", "\r", "\n\r", "\r\r\n", "\x0b", "\x0c", "\u2028", "\x85", "\n\n")
ODD_BYTES = (b"\xff", b"\xe9", b"\x80", b"\xc3", b"\x00", b"\xed\xa0\x80", b"\xf4\x90\x80\x80")
MARK = "\ufeff".encode()
LONG = 70_000


@dataclass(frozen=True)
class Refused:
    """A file, or one source of it, that must be refused.

    Attributes:
        line: 1-based line at fault.
        why: In a word; for counting, no part of the comparison.
    """

    line: int
    why: str = field(default="", compare=False)


Rows = list[tuple[object, ...]]
Outcome = dict[str, Rows | Refused | list[Refused]]
"""What each source of a file must be; "" is the file itself."""


@dataclass(frozen=True)
class Kind:
    """One kind of label file.

    Attributes:
        name: Of the kind.
        make: Makes the content of a right file.
        reference: The right outcome of any content, in slow and plain Python.
        read: What the reader under test makes of the file that lies in a folder.
        path: Where in the folder the file lies.
        odd_texts: What fields may be replaced with, beside `ODD_TEXTS`.
    """

    name: str
    make: Callable[[random.Random], bytes]
    reference: Callable[[bytes], Outcome]
    read: Callable[[Path, Path], Outcome]
    path: str
    odd_texts: tuple[str, ...] = ()


@dataclass
class Tally:
    """What a run of the fuzzer found.

    Attributes:
        files: Files of each kind.
        right: Files of each kind that held rows and nothing to refuse, read as they should be.
        refused: Reasons of what was refused, as it should be, by kind of file.
        wrong: Descriptions of the files that were not read as they should be.
    """

    files: Counter[str] = field(default_factory=Counter)
    right: Counter[str] = field(default_factory=Counter)
    refused: Counter[tuple[str, str]] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


def refusal(error: TriaffectError, path: Path) -> Refused:
    """An error as a refusal; line 0 if it names no file and line, or is not one readable line."""
    where, _, line = error.where.rpartition(":")
    message = str(error).replace(str(path), "")
    good = where == str(path) and line.isdecimal() and message.isprintable() and len(message) < 500
    return Refused(int(line) if good else 0, str(error))


def fuzz(kinds: Sequence[Kind], files: int, seed: int, folder: Path) -> Tally:
    """Make, break and read files, the kinds in turn.

    Args:
        kinds: Kinds of files.
        files: Number of files.
        seed: Of all that is random.
        folder: Empty folder to work in.
    """
    generator, tally = random.Random(seed), Tally()
    for number in range(files):
        kind = kinds[number % len(kinds)]
        content = kind.make(generator)
        for _ in range(generator.randint(0, MOST_CHANGES)):
            content = changed(content, generator, ODD_TEXTS + kind.odd_texts)
        judge(kind, content, folder / kind.name, tally)
    return tally


def judge(kind: Kind, content: bytes, folder: Path, tally: Tally) -> None:
    """Read one file and count what came of it."""
    path = folder / kind.path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)  # some disks are slow to cut a file short
    path.write_bytes(content)
    expected = kind.reference(content)
    try:
        got: object = kind.read(folder, path)
    except Exception as error:
        got = repr(error)
    tally.files[kind.name] += 1
    refusals = list(_refusals(expected))
    if got != expected:
        shown = content[:300] + b" ..." * (len(content) > 300)
        tally.wrong.append(f"{kind.name} {shown!r}: expected {expected}, got {got}")
    elif not refusals:
        tally.right[kind.name] += 1
    for each in refusals:
        tally.refused[kind.name, each.why] += 1


def _refusals(outcome: Outcome) -> Iterator[Refused]:
    for each in outcome.values():
        if isinstance(each, Refused):
            yield each
        else:
            yield from (part for part in each if isinstance(part, Refused))


def changed(content: bytes, generator: random.Random, odd_texts: Sequence[str]) -> bytes:
    """One random change."""
    if generator.random() < 0.3:
        return generator.choice(BYTE_CHANGES)(content, generator)
    lines = content.decode("utf-8", "surrogateescape").split("\n")
    if generator.random() < 0.4:
        _replace_field(lines, generator, odd_texts)
    else:
        generator.choice(LINE_CHANGES)(lines, generator)
    return "\n".join(lines).encode("utf-8", "surrogateescape")


def _flip(content: bytes, generator: random.Random) -> bytes:
    at = generator.randrange(len(content) + 1)
    return content[:at] + bytes([generator.randrange(256)]) + content[at + 1 :]


def _cut(content: bytes, generator: random.Random) -> bytes:
    return content[: generator.randrange(len(content) + 1)]


def _cut_the_start(content: bytes, generator: random.Random) -> bytes:
    return content[generator.randrange(len(content) + 1) :]


def _insert(content: bytes, generator: random.Random) -> bytes:
    at = generator.randrange(len(content) + 1)
    return content[:at] + generator.choice(ODD_BYTES) + content[at:]


def _mark(content: bytes, generator: random.Random) -> bytes:
    return MARK + content


def _change_all_ends(content: bytes, generator: random.Random) -> bytes:
    return content.replace(b"\n", generator.choice(ODD_ENDS).encode())


def _encode_otherwise(content: bytes, generator: random.Random) -> bytes:
    text = content.decode("utf-8", "replace")
    return text.encode(generator.choice(["utf-16", "utf-16-be", "utf-7", "utf-32"]))


BYTE_CHANGES = (
    _flip,
    _flip,
    _cut,
    _cut_the_start,
    _insert,
    _mark,
    _change_all_ends,
    _encode_otherwise,
)


def _at(lines: list[str], generator: random.Random) -> int:
    return generator.randrange(len(lines))


def _replace_field(lines: list[str], generator: random.Random, odd_texts: Sequence[str]) -> None:
    at = _at(lines, generator)
    fields = lines[at].split(",")
    fields[generator.randrange(len(fields))] = generator.choice(odd_texts)
    lines[at] = ",".join(fields)


def _insert_field(lines: list[str], generator: random.Random) -> None:
    at = _at(lines, generator)
    fields = lines[at].split(",")
    fields.insert(generator.randrange(len(fields) + 1), generator.choice(ODD_TEXTS))
    lines[at] = ",".join(fields)


def _delete_field(lines: list[str], generator: random.Random) -> None:
    at = _at(lines, generator)
    fields = lines[at].split(",")
    del fields[generator.randrange(len(fields))]
    lines[at] = ",".join(fields)


def _delete_line(lines: list[str], generator: random.Random) -> None:
    del lines[_at(lines, generator)]


def _delete_header(lines: list[str], generator: random.Random) -> None:
    del lines[0]


def _repeat_line(lines: list[str], generator: random.Random) -> None:
    lines.insert(_at(lines, generator), lines[_at(lines, generator)])


def _repeat_header(lines: list[str], generator: random.Random) -> None:
    lines.insert(_at(lines, generator), lines[0])


def _swap_lines(lines: list[str], generator: random.Random) -> None:
    one, other = _at(lines, generator), _at(lines, generator)
    lines[one], lines[other] = lines[other], lines[one]


def _insert_line(lines: list[str], generator: random.Random) -> None:
    lines.insert(_at(lines, generator), generator.choice(ODD_LINES))


def _append_line(lines: list[str], generator: random.Random) -> None:
    lines.append(generator.choice(ODD_LINES))


def _mark_a_line(lines: list[str], generator: random.Random) -> None:
    at = _at(lines, generator)
    lines[at] = "\ufeff" + lines[at]


def _change_an_end(lines: list[str], generator: random.Random) -> None:
    lines[_at(lines, generator)] += generator.choice(ODD_ENDS)


def _change_separators(lines: list[str], generator: random.Random) -> None:
    separator, at = generator.choice(ODD_SEPARATORS), _at(lines, generator)
    chosen = range(len(lines)) if generator.random() < 0.3 else [at]
    for each in chosen:
        lines[each] = lines[each].replace(",", separator)


def _change_case(lines: list[str], generator: random.Random) -> None:
    at = generator.choice([0, _at(lines, generator)])
    lines[at] = generator.choice([str.upper, str.lower, str.swapcase])(lines[at])


def _space_out(lines: list[str], generator: random.Random) -> None:
    at = generator.choice([0, _at(lines, generator)])
    lines[at] = generator.choice([" {}", "{} ", "\t{}\t", "\u00a0{}", "\x0c{}"]).format(lines[at])


def _lengthen(lines: list[str], generator: random.Random) -> None:
    at, filling = _at(lines, generator), generator.choice([" ", "0", "x", ",", "1,", "\t"])
    lines[at] += filling * generator.choice([10, 1000, LONG])


LINE_CHANGES = (
    _insert_field,
    _delete_field,
    _delete_line,
    _delete_header,
    _repeat_line,
    _repeat_header,
    _swap_lines,
    _insert_line,
    _append_line,
    _mark_a_line,
    _change_an_end,
    _change_separators,
    _change_case,
    _space_out,
    _lengthen,
)
