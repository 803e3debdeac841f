"""Networks are opened, or it is said in one line why not."""

import tomllib

import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from packaging.requirements import Requirement
from packaging.version import Version

from tests.architecture.repository import ROOT
from triaffect.errors import ModelError
from triaffect.io.onnx_session import LEAST, open_session


def write_network(path, ir_version=8, opset=17):
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", value[:1], value[1:])
    opsets = [helper.make_opsetid("", opset)]
    model = helper.make_model(graph, ir_version=ir_version, opset_imports=opsets)
    path.write_bytes(model.SerializeToString())
    return path


def test_file_and_content_are_the_same_network_on_one_thread(tmp_path):
    path = write_network(tmp_path / "a.onnx")
    for session in (open_session(path), open_session(path.read_bytes())):
        assert session.get_session_options().intra_op_num_threads == 1
        assert session.run(None, {"x": onnx.numpy_helper.np.array([-1.0], "float32")})[0] == 0


@pytest.mark.parametrize("installed", ["1.19.2", "1.9.0", "0.5"])
def test_an_old_onnxruntime_is_refused_with_its_remedy(tmp_path, monkeypatch, installed):
    path = write_network(tmp_path / "a.onnx")
    monkeypatch.setattr(onnxruntime, "__version__", installed)
    with pytest.raises(ModelError, match=r"^expected onnxruntime 1\.20 or newer, got") as caught:
        open_session(path)
    assert str(caught.value).endswith(f"{installed}; pip install --upgrade onnxruntime")


def test_the_oldest_onnxruntime_is_that_of_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    (needed,) = (
        each for each in map(Requirement, project["dependencies"]) if each.name == "onnxruntime"
    )
    least = Version(".".join(map(str, LEAST)))
    assert least in needed.specifier
    assert Version("1.19.99") not in needed.specifier


@pytest.mark.parametrize("newer", [{"ir_version": 999}, {"opset": 9999}])
def test_a_network_of_a_later_format_says_to_upgrade(tmp_path, newer):
    path = write_network(tmp_path / "a.onnx", **newer)
    with pytest.raises(ModelError, match=r"a\.onnx: .* pip install --upgrade onnxruntime$"):
        open_session(path)


def test_a_damaged_network_is_one_line(tmp_path):
    path = tmp_path / "a.onnx"
    path.write_bytes(b"words")
    with pytest.raises(ModelError, match=r"a\.onnx: expected an ONNX network") as caught:
        open_session(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(ModelError, match=r"^here: expected"):
        open_session(b"words", where="here")
