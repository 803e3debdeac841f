"""Make the picture of the page of predictions that stands in the README.

Renders people whom the model has not seen, predicts them, opens the page in Chromium and takes what
a reader sees first. Run from the repository's root, where the tests' requirements are installed:

    python -m tools.page_picture
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.report.browser import browser

WIDTH, HEIGHT = 1160, 1690
_SYNTH = ("corpus", "synth", "corpus", "--people", "3", "--seconds", "8", "--seed", "7")
_PREDICT = ("predict", "corpus/videos", "-o", "table.csv", "--report", "page.html")


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, default=Path("docs/images/page.png"))
    output = parser.parse_args().output.absolute()
    with tempfile.TemporaryDirectory() as folder:
        for words in (_SYNTH, _PREDICT):
            command = [sys.executable, "-m", "triaffect", *words]
            subprocess.run(command, cwd=folder, check=True)  # noqa: S603 - our own words
        with browser(Path(folder, "profile"), WIDTH, HEIGHT) as window:
            window.open(Path(folder, "page.html"))
            window.wait("document.querySelector('.player.ready video').readyState > 1")
            window.run("(([clip]) => clip.move(Math.round(0.45 * clip.clip.times.length)))(views)")
            # the browser's own sign of waiting goes some time after the seek
            window.wait("!document.querySelector('video').seeking && performance.now() > 9000")
            output.write_bytes(window.picture(whole=False))
    print(output)


if __name__ == "__main__":
    main()
