"""The demo, small: from nothing to a page."""

import json
import subprocess
import sys

import pandas as pd
import pytest

from triaffect.cli.demo import demo as run_demo
from triaffect.features.extractors.registry import SHIPPED

pytestmark = pytest.mark.skipif(
    not (SHIPPED / "model.json").is_file(), reason="needs the shipped weights"
)


def demo(out, *options):
    command = [sys.executable, "-m", "triaffect", "demo", "--output", str(out), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo") / "demo"
    done = demo(out, "--people", "6", "--epochs", "1")
    assert done.returncode == 0, done.stderr
    return out


def test_the_summary_says_what_was_asked_of_it(made):
    summary = json.loads((made / "summary.json").read_text())
    for name in ("teacher", "student", "chance"):
        assert set(summary[name]["official"]) == {"P_VA", "P_EXPR", "P_AU", "P_MTL"}
    assert {"corpus", "extract", "train", "evaluate", "predict", "total"} <= set(summary["seconds"])


def test_a_made_video_and_a_portrait_are_predicted(made):
    summary = json.loads((made / "summary.json").read_text())
    table = pd.read_csv(summary["predictions"])
    video, portrait = table["clip"].unique()
    assert video.endswith(".mp4")
    assert portrait.endswith("portrait.png")
    faces = table[table["face_seen"]]
    assert len(faces[faces["clip"] == portrait]) == 1
    assert (table[table["clip"] == video]["face_seen"]).mean() > 0.9
    assert faces["valence"].between(-1, 1).all()


def test_the_page_stands_by_itself(made):
    page = (made / "report.html").read_text()
    assert "Learning curves: student" in page
    assert "<h2>Predictions of the shipped weights</h2>" in page
    assert page.count('class="clip"') == 2
    assert "image/jpeg" in page
    assert 'src="http' not in page


def test_an_earlier_demo_is_replaced_but_nothing_else(made, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    done = demo(tmp_path)
    assert done.returncode == 2
    assert "other files" in done.stderr
    assert (tmp_path / "thesis.txt").is_file()


def test_without_torch_nothing_is_made(monkeypatch, tmp_path):
    """Rendering takes minutes: what is missing is said before."""
    monkeypatch.setitem(sys.modules, "torch", None)
    for name in [name for name in sys.modules if name.startswith("triaffect.training")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ModuleNotFoundError, match="torch"):
        run_demo(tmp_path / "demo", people=6, jobs=1)
    assert not (tmp_path / "demo").exists()
