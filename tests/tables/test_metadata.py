"""Metadata of a table: written with it, read back, and nothing unknown among them."""

import json

import pytest

from triaffect.errors import TableError
from triaffect.prediction.batch import predict_files
from triaffect.prediction.options import Options
from triaffect.prediction.parts import PredictionJob
from triaffect.tables.metadata import read_metadata
from triaffect.tables.results import meta_name
from triaffect.version import __version__


@pytest.mark.parametrize("name", ["t.csv", "t.parquet", "t.jsonl"])
def test_a_table_says_what_made_it(model, clip, tmp_path, name):
    output = tmp_path / name
    job = PredictionJob(output, model, options=Options(stride_s=0.4))
    predict_files([clip, tmp_path / "nowhere.mp4"], job)
    metadata = read_metadata(output)
    assert (metadata.tool, metadata.version) == ("triaffect", __version__)
    assert metadata.model.name == "tiny"
    assert len(metadata.model.sha256) == 64
    assert metadata.options["stride_s"] == 0.4
    assert metadata.thresholds["AU1"] == 0.4
    (problem,) = metadata.problems
    assert problem.clip.endswith("nowhere.mp4")
    assert (problem.state, problem.rows) == ("failed", 0)
    assert metadata.columns is not None
    assert "present from 0.4" in metadata.columns["AU1"]


def test_what_is_missing_or_damaged_is_refused(model, clip, tmp_path):
    output = tmp_path / "t.csv"
    with pytest.raises(TableError, match=r"t\.csv\.meta\.json: .*got none"):
        read_metadata(output)
    predict_files([clip], PredictionJob(output, model, options=Options(stride_s=1.0)))
    content = json.loads(meta_name(output).read_text("utf-8"))
    for damaged in ({**content, "surprise": 1}, {"tool": "triaffect"}, []):
        meta_name(output).write_text(json.dumps(damaged), "utf-8")
        with pytest.raises(TableError, match="damaged"):
            read_metadata(output)
