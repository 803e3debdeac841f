"""Every script of benchmarks/ finds what it imports, as somebody who runs it would."""

import subprocess
import sys

import pytest

from tests.architecture.repository import ROOT

BENCHMARKS = ROOT / "benchmarks"
SCRIPTS = sorted(path.name for path in BENCHMARKS.glob("*.py"))
OPTIONAL = ("opensmile", "deface")
"""Programs that a script compares with, which nothing else needs."""

IMPORT = """
import runpy, sys
folder, *names = sys.argv[1:]
own = list(sys.path[1:])
for name in names:
    for module in [each for each in sys.modules if each.split(".")[0] in ("tools", "tests")]:
        del sys.modules[module]
    sys.path[:] = [folder, *own]
    try:
        runpy.run_path(f"{folder}/{name}", run_name="imported")
    except ImportError as error:
        print(name, error.name, error)
"""


@pytest.mark.skipif(not SCRIPTS, reason="the benchmarks are not part of an installed package")
def test_every_script_finds_what_it_imports(tmp_path):
    words = [sys.executable, "-c", IMPORT, str(BENCHMARKS), *SCRIPTS]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [line for line in done.stdout.splitlines() if line.split()[1] not in OPTIONAL]
    assert not lines, "\n".join(lines)
