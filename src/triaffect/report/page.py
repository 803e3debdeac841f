"""Self-contained HTML pages: nothing in them is fetched from anywhere.

Drawings are SVG, or bring a small script of their own. A content security policy in the page
forbids every request and every script but those that are named by their hashes, so that a hostile
file name in a table can neither run nor call home. Media may be played from files on the disk.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Sequence
from pathlib import Path

from triaffect.io.atomic import replace_file

PALETTE = (
    *("#a3adb8", "#d1495b", "#6f8f3a", "#7c5cbf", "#f0b429", "#3f7cac", "#ee7b30", "#3cb4a4"),
    *("#b56576", "#55606e", "#9c6644", "#2a9d8f"),
)
LINES = ("#2f6fb5", "#d1495b", "#3a8f5c", "#7c5cbf", "#b7791f")
FONT = {"family": 'system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif', "color": "#1f2933"}
INK, LINE = "#616e7c", "#e4e7eb"


_FEW_COLUMNS = 4
"""Tables of more are shown line by line on a narrow screen."""
_STYLE = """
:root { --ink: #1f2933; --soft: #616e7c; --line: #e4e7eb; --paper: #f5f7fa; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 32px 20px 64px; }
h1 { font-size: 26px; margin: 0 0 4px; letter-spacing: -0.01em; }
h2 { font-size: 18px; margin: 36px 0 8px; overflow-wrap: anywhere; }
p { margin: 0 0 12px; color: var(--soft); max-width: 75ch; }
.card { background: #fff; border: 1px solid var(--line); border-radius: 10px; padding: 12px;
  margin: 0 0 16px; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { padding: 6px 12px; text-align: right; border-bottom: 1px solid var(--line);
  font-variant-numeric: tabular-nums; white-space: nowrap; }
th { color: var(--soft); font-weight: 600; }
th:first-child, td:first-child { text-align: left; white-space: normal; overflow-wrap: anywhere;
  min-width: 7em; }
details > summary { cursor: pointer; color: var(--soft); font-weight: 600; }
details h3 { font-size: 15px; margin: 18px 0 2px; }
tr:last-child td { border-bottom: 0; }
@media (max-width: 560px) {
  main { padding: 24px 10px 48px; } .card { padding: 10px 8px; }
  th, td { padding: 6px 5px; font-size: 14px; }
  table.numbers thead { display: none; }
  table.numbers tr { display: block; padding: 6px 0; border-bottom: 1px solid var(--line); }
  table.numbers td { display: flex; justify-content: space-between; border: 0; padding: 1px 5px; }
  table.numbers td:first-child { display: block; font-weight: 600; }
  table.numbers td:not(:first-child)::before { content: attr(data-label); color: var(--soft); }
  table.numbers td:empty { display: none; }
}
@media print {
  body { background: #fff; } .card { break-inside: avoid; } h2 { break-after: avoid; }
  main { padding: 0; } details:not([open]) { display: none; }
  th, td { padding: 5px 7px; font-size: 13px; } th:first-child, td:first-child { min-width: 9em; }
  details.card { break-inside: auto; } details table { break-inside: avoid; }
}
"""


class Page:
    """A page put together from top to bottom. All text is escaped here.

    Args:
        title: Heading and window title.
        lead: A sentence or two below it.
    """

    def __init__(self, title: str, lead: str = "") -> None:
        self._title = title
        self._body = [f"<h1>{html.escape(title)}</h1>"]
        self._styles, self._scripts = [_STYLE], list[str]()
        if lead:
            self.paragraph(lead)

    def heading(self, text: str) -> None:
        """Begin a section."""
        self._body.append(f"<h2>{html.escape(text)}</h2>")

    def paragraph(self, text: str) -> None:
        """Add a paragraph."""
        self._body.append(f"<p>{html.escape(text)}</p>")

    def table(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Add a table.

        Args:
            header: Texts above the columns; the first column is text, the others are numbers.
            rows: Texts of each row, as many as the header has.
        """
        self._body.append(f'<div class="card">{_table(header, rows)}</div>')

    def folded_tables(
        self, summary: str, tables: Sequence[tuple[str, Sequence[str], Sequence[Sequence[str]]]]
    ) -> None:
        """Add tables that are opened by a click; what is closed does not print.

        Args:
            summary: What is clicked on.
            tables: Heading, header and rows of each, the last two as those of `table`.
        """
        inside = "".join(
            f"<h3>{html.escape(heading)}</h3>{_table(header, rows)}"
            for heading, header, rows in tables
        )
        summary = html.escape(summary)
        self._body.append(f'<details class="card"><summary>{summary}</summary>{inside}</details>')

    def drawing(self, svg: str) -> None:
        """Add a drawing, in a card.

        Args:
            svg: An SVG or HTML element; its texts must be escaped in it.
        """
        self._body.append(f'<div class="card">{svg}</div>')

    def element(self, text: str) -> None:
        """Add an element as it is.

        Args:
            text: An HTML element; its texts must be escaped in it.
        """
        self._body.append(text)

    def data(self, name: str, json_text: str) -> None:
        """Add data for a script, as `to_json` writes them.

        Args:
            name: The id of the element that holds them.
            json_text: The data.
        """
        self._body.append(f'<script type="application/json" id="{name}">{json_text}</script>')

    def style(self, css: str) -> None:
        """Add rules for the looks of elements.

        Args:
            css: The rules.
        """
        self._styles.append(css)

    def script(self, code: str) -> None:
        """Add a script, run when all else is there.

        Args:
            code: JavaScript; the page's policy names it by its hash.
        """
        self._scripts.append(code)

    def html(self) -> str:
        """Return the whole page, with a policy that allows its own scripts alone."""
        digests = [hashlib.sha256(script.encode()).digest() for script in self._scripts]
        hashes = [f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests]
        allowed = " ".join(hashes) or "'none'"
        policy = (
            f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; "
            "img-src data: blob:; media-src file:"
        )
        parts = [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{html.escape(self._title)}</title><style>{''.join(self._styles)}</style></head>",
            f"<body><main>{''.join(self._body)}</main>",
        ]
        parts += [f"<script>{script}</script>" for script in self._scripts]
        return "\n".join([*parts, "</body></html>"])

    def write(self, path: Path) -> None:
        """Write the page whole or not at all.

        Args:
            path: The page; an existing file is replaced.

        Raises:
            DiskError: It cannot be written.
        """
        with replace_file(path, unlocked=True) as temporary:
            temporary.write_text(self.html(), "utf-8", "replace")


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a table as an HTML element; every text is escaped."""
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in header)
    labels = [html.escape(cell, quote=True) for cell in header]
    cells = [
        [
            f'<td data-label="{label}">{html.escape(cell)}</td>'
            for label, cell in zip(labels, row, strict=True)
        ]
        for row in rows
    ]
    body = "".join(f"<tr>{''.join(row)}</tr>" for row in cells)
    kind = ' class="numbers"' if len(header) > _FEW_COLUMNS else ""
    return f"<table{kind}><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def to_json(content: object) -> str:
    """Write JSON in which no character can end the HTML element that holds it.

    >>> "<" in to_json({"name": "</script>"})
    False

    Args:
        content: What JSON can hold; no NaN and no infinity.
    """
    text = json.dumps(content, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")
