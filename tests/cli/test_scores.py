"""``triaffect scores simulate``: its table and its JSON."""

import json
import subprocess
import sys


def simulate(*options):
    line = [sys.executable, "-m", "triaffect", "scores", "simulate", *map(str, options)]
    return subprocess.run(line, capture_output=True, text=True, check=False)


def test_table_and_json_agree(tmp_path):
    out = tmp_path / "deep" / "scores.json"
    done = simulate("--rows", 2000, "--seed", 3, "--json", out)
    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_text())
    assert (found["rows"], found["seed"]) == (2000, 3)
    for each in found["predictors"]:
        (line,) = [row for row in done.stdout.splitlines() if row.startswith(each["name"] + "  ")]
        shown = [f"{scores['P_MTL']:.3f}" for scores in (*each["by_batch"].values(), each["whole"])]
        assert line.split()[-5:] == shown
    flip = found["flips"][0]
    assert f"batches of {flip['batch_size']}: {flip['worse']} leads {flip['better']}" in done.stdout


def test_too_few_rows_are_refused():
    done = simulate("--rows", 100)
    assert done.returncode == 2
    assert "--rows" in done.stderr
