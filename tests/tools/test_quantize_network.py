"""A quantized network says about the same."""

import numpy as np
import onnx
import onnxruntime
import torch

from tests.training.external_teachers import made_teacher
from tests.training.stores import crops_store
from tools.quantize_network import BATCH, main, quantize
from triaffect.features.extractors.onnx import OnnxFace
from triaffect.features.model_folder import load_model_folder
from triaffect.models.light_face import LightFace
from triaffect.tasks.registry import TASKS
from triaffect.training.export import FeatureEncoder, export_run, to_onnx


def test_the_network_in_8_bits_gives_about_the_same_vectors(tmp_path):
    torch.manual_seed(0)
    net = LightFace(TASKS, (4, 6), (1, 1), features=8, mirror=True).eval()
    crops = np.random.default_rng(0).integers(0, 256, (64, 64, 64)).astype(np.uint8)
    example = {"crops": torch.from_numpy(crops[:2])}
    path = tmp_path / "face.onnx"
    path.write_bytes(to_onnx(FeatureEncoder(net), example, ["features"], half=True))
    made = quantize(path.read_bytes(), [{"crops": crops[k : k + BATCH]} for k in (0, BATCH)])
    kinds = {each.data_type for each in onnx.load_from_string(made).graph.initializer}
    assert onnx.TensorProto.INT8 in kinds
    plain, small = (
        onnxruntime.InferenceSession(each).run(None, {"crops": crops})[0] for each in (path, made)
    )
    assert not np.array_equal(plain, small)
    assert np.abs(plain - small).mean() < 0.1 * plain.std()


def test_a_model_folder_is_written_with_the_network_in_8_bits(tmp_path, monkeypatch, capsys):
    store = crops_store(tmp_path / "store")
    run = made_teacher(store, tmp_path / "run")
    export_run(run, store)
    words = [str(run.root / "model"), str(tmp_path / "small"), "--store", str(store.path)]
    monkeypatch.setattr("sys.argv", ["quantize_network", *words])
    main()
    table = capsys.readouterr().out
    assert "| 8 bits |" in table
    plain, small = (load_model_folder(each) for each in (run.root / "model", tmp_path / "small"))
    assert plain.manifest.face.sha256 != small.manifest.face.sha256
    assert (
        small.file("face.safetensors").read_bytes() == plain.file("face.safetensors").read_bytes()
    )
    OnnxFace(small)(np.zeros((2, 112, 112, 3), np.uint8))
