"""Render a font once into a picture that lettering on frames is cut from.

OpenCV draws strokes only, and predicting needs no library for fonts. Run where Pillow and the font
are, after another font or other letters are wanted; what it writes is part of the package:

    python tools/font_atlas.py /usr/share/fonts/truetype/dejavu/DejaVuSansCondensed-Bold.ttf
"""

import argparse
import json
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

FOLDER = Path(__file__).parents[1] / "src" / "triaffect" / "report" / "drawing" / "font"
SIZE = 40
"""Pixels of an em."""
LETTERS = [
    *range(0x20, 0x7F),
    *range(0xA0, 0x180),
    *range(0x386, 0x3CF),
    *range(0x400, 0x460),
    *(0x2013, 0x2014, 0x2018, 0x2019, 0x201C, 0x201D, 0x2026, 0x2212, 0x25A1),
]
"""Latin with all of its accents, Greek, Cyrillic, dashes, quotes, and a box for any other."""


def main() -> None:
    """Write the strip of letters and where each lies in it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("font", type=Path)
    font = ImageFont.truetype(parser.parse_args().font, SIZE)
    ascent, descent = font.getmetrics()
    columns, places, at = [], {}, 0
    for letter in map(chr, LETTERS):
        left, _, right, _ = font.getbbox(letter)
        width = round(max(0, right - min(0, left)))
        picture = Image.new("L", (width + 1, ascent + descent))
        ImageDraw.Draw(picture).text((-min(0, left), 0), letter, 255, font)
        columns.append(np.asarray(picture)[:, :width])
        places[letter] = [at, width, round(min(0, left)), round(font.getlength(letter), 2)]
        at += width
    FOLDER.mkdir(exist_ok=True)
    Image.fromarray(np.hstack(columns)).save(FOLDER / "letters.png", optimize=True)
    content = {"name": " ".join(map(str, font.getname())), "ascent": ascent, "letters": places}
    text = json.dumps(content, ensure_ascii=True, separators=(",", ":"))
    (FOLDER / "letters.json").write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()
