from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from triaffect.errors import RecipeError
from triaffect.features.extractors.registry import SHIPPED
from triaffect.models.base import NetworkShape, Standardise, load_weights
from triaffect.models.default import DefaultNet, DefaultNetSpec, fill_by_holding
from triaffect.models.light_face import LightFace
from triaffect.models.light_voice import LightVoice
from triaffect.tasks.registry import TASKS

ROWS, STEPS, FACE, VOICE = 6, 4, 12, 10


@pytest.fixture
def net():
    torch.manual_seed(0)
    return DefaultNet(FACE, VOICE, TASKS, width=16, head=8, discriminator=(8, 4)).eval()


def inputs(face_present=True, voice_present=True):
    generator = torch.Generator().manual_seed(1)
    return {
        "face": torch.randn(ROWS, STEPS, FACE, generator=generator),
        "face_present": torch.full((ROWS, STEPS), face_present),
        "voice": torch.randn(ROWS, VOICE, generator=generator),
        "voice_present": torch.full((ROWS,), voice_present),
    }


def test_what_is_absent_has_no_say(net):
    one, other = inputs(voice_present=False), inputs(voice_present=False)
    other["voice"] = other["voice"] * 100
    assert torch.equal(net(one).features, net(other).features)
    one, other = inputs(), inputs()
    one["face_present"][:, 1] = other["face_present"][:, 1] = False
    other["face"][:, 1] += 100
    assert torch.equal(net(one).features, net(other).features)


def test_what_is_present_has_a_say(net):
    one = inputs()
    for name in ("face", "voice"):
        other = inputs()
        other[name] = other[name].flip(0)
        assert not torch.allclose(net(one).features, net(other).features)


def test_each_row_is_answered_alone(net):
    batch = inputs()
    together = net(batch)
    for row in range(ROWS):
        alone = net({name: value[row : row + 1] for name, value in batch.items()})
        for key, raw in together.raw.items():
            torch.testing.assert_close(alone.raw[key][0], raw[row], rtol=1e-5, atol=1e-5)


def test_training_never_hides_the_only_input(net):
    net.drop_face = net.drop_voice = 0.5
    face, voice = inputs()["face_present"], inputs()["voice_present"]
    face[0], voice[1] = False, False
    for _ in range(20):
        seen, heard = net._hide(face, voice)
        assert (seen.any(1) | heard).all()
        assert heard[0]
        assert seen[1].all()
    assert not (seen.all(1) & heard).all()


def test_with_layer_norm_a_batch_of_faces_is_answered_as_it_was_learned():
    plain = {"dropout": 0.0, "drop_face": 0.0, "drop_voice": 0.0, "classes": 0}
    faces = inputs(voice_present=False)
    for norm, same in (("batch", False), ("layer", True)):
        torch.manual_seed(0)
        net = DefaultNet(FACE, VOICE, TASKS, **plain, norm=norm)
        learning, answering = net.train()(faces).raw, net.eval()(faces).raw
        for key in learning:
            assert torch.allclose(learning[key], answering[key], atol=1e-5) is same


def test_a_lone_face_is_answered_as_by_the_face_network_at_first():
    torch.manual_seed(0)
    face_net = LightFace(TASKS, (8, 8), (1, 1), features=FACE).eval()
    heads = dict(face_net.heads.state_dict())
    heads.pop("AU.weight")
    spec = DefaultNetSpec(kind="default", face_heads=True)
    net = DefaultNet.build(spec, NetworkShape(TASKS, FACE, VOICE, face_heads=heads)).eval()
    faces = inputs()
    for key in ("VA", "EXPR"):
        expected = face_net.heads[key](faces["face"][:, -1])
        torch.testing.assert_close(net(faces).raw[key], expected)
    assert not net.direct["AU"].weight.any(), "nothing is known of its head"
    without = DefaultNetSpec(kind="default")
    net = DefaultNet.build(without, NetworkShape(TASKS, FACE, VOICE, face_heads=heads))
    assert not any(layer.weight.any() for layer in net.direct.values())


def test_a_voice_without_a_face_is_answered_as_by_the_voice_network_at_first():
    torch.manual_seed(0)
    faces, voices = LightFace(TASKS, features=FACE), LightVoice(TASKS, features=VOICE)
    heads = [dict(network.heads.state_dict()) for network in (faces, voices)]
    spec = DefaultNetSpec(kind="default", face_heads=True, voice_heads=True)
    shape = NetworkShape(TASKS, FACE, VOICE, face_heads=heads[0], voice_heads=heads[1])
    net = DefaultNet.build(spec, shape).eval()
    alone = inputs(face_present=False)
    for key, raw in net(alone).raw.items():
        torch.testing.assert_close(raw, voices.heads[key](alone["voice"]))
    silent = inputs(face_present=False, voice_present=False)
    for with_face in (inputs(), inputs(voice_present=False), silent):
        said = net(with_face).raw
        with torch.no_grad():
            for layer in net.direct_voice.values():
                layer.weight.add_(1)
        for key, raw in net(with_face).raw.items():
            assert torch.equal(raw, said[key]), "the voice speaks directly beside a face"


def test_a_fixed_voice_head_is_the_whole_answer_without_a_face_and_does_not_learn(tmp_path):
    torch.manual_seed(0)
    voices = LightVoice(TASKS, features=VOICE)
    shape = NetworkShape(TASKS, FACE, VOICE, voice_heads=dict(voices.heads.state_dict()))
    spec = DefaultNetSpec(kind="default", voice_heads=True, fixed_voice_heads=["EXPR"])
    net, alone = DefaultNet.build(spec, shape), inputs(face_present=False)
    steps = torch.optim.AdamW(net.parameters(), lr=0.1, weight_decay=0.1)
    for _ in range(2):
        steps.zero_grad()
        for rows in (alone, inputs()):
            sum(raw.sum() for raw in net(rows).raw.values()).backward()
        steps.step()
    raw = net.eval()(alone).raw
    torch.testing.assert_close(raw["EXPR"], voices.heads["EXPR"](alone["voice"]))
    assert (raw["VA"] - voices.heads["VA"](alone["voice"])).abs().max() > 0.1
    assert net(inputs()).raw["EXPR"].abs().max() > 0.1, "beside a face nothing is fixed"

    save_file(net.state_dict(), tmp_path / "weights.safetensors")
    begun = DefaultNet.build(spec.model_copy(update={"fixed_voice_heads": ()}), shape).eval()
    load_weights(begun, tmp_path / "weights.safetensors")
    torch.testing.assert_close(begun(alone).raw["EXPR"], raw["EXPR"])
    assert begun.direct_voice["EXPR"].weight.requires_grad, "who trains on may learn more"
    older = {name: value for name, value in net.state_dict().items() if "share" not in name}
    save_file(older, tmp_path / "older.safetensors")
    for learned in (begun, DefaultNet.build(spec, shape)):
        load_weights(learned, tmp_path / "older.safetensors")
        assert learned.direct_voice["EXPR"].share == 1, "older weights are corrections of the rest"
        assert learned.direct_voice["EXPR"].weight.requires_grad
        learned.load_state_dict(older)  # as a checkpoint of theirs is resumed

    for lacks in ({"voice_heads": {}}, {"voice_heads": {"EXPR.weight": torch.zeros(3, VOICE)}}):
        with pytest.raises(RecipeError, match="has heads for, got none for EXPR"):
            DefaultNet.build(spec, replace(shape, **lacks))
    with pytest.raises(RecipeError, match=r"expected net\.voice_heads, .* set it"):
        DefaultNet.build(spec.model_copy(update={"voice_heads": False}), shape)


def test_earlier_stages_add_nothing_at_first_and_learn():
    torch.manual_seed(0)
    one = LightVoice(TASKS, (4, 6, 8), 8, 0.0)
    three = LightVoice(TASKS, (4, 6, 8), 8, 0.0, pooled=3)
    state = three.state_dict()
    three.load_state_dict({name: one.state_dict().get(name, state[name]) for name in state})
    x = torch.rand(4, 300, 64) * 20
    torch.testing.assert_close(one.eval().encode(x), three.eval().encode(x))
    three.train().encode(x).sum().backward()
    assert three.earlier.weight.shape == (8, 2 * (4 + 6))
    assert three.earlier.weight.grad.abs().sum() > 0


def test_placeholders_learn(net):
    net.train()
    net(inputs(voice_present=False)).features.sum().backward()
    assert net.voice.absent.grad.abs().sum() > 0
    assert net.face.absent.grad is None or not net.face.absent.grad.abs().sum()


@pytest.mark.parametrize(
    ("light", "name", "shape"),
    [(LightFace, "crop", (3, 64, 64)), (LightVoice, "logmel", (3, 300, 64))],
)
def test_light_networks_give_features_and_every_task(light, name, shape):
    torch.manual_seed(0)
    net = light(TASKS, features=20).eval()
    x = torch.rand(shape) * 255
    outputs = net({name: x})
    assert outputs.features.shape == (3, 20)
    assert (outputs.features >= 0).all()
    assert {key: tuple(raw.shape) for key, raw in outputs.raw.items()} == {
        task.key: (3, task.width) for task in TASKS
    }
    torch.testing.assert_close(net.encode(x[:1])[0], outputs.features[0])


def test_a_face_network_does_not_mind_exposure():
    torch.manual_seed(0)
    net = LightFace(TASKS).eval()
    crop = torch.rand(1, 64, 64) * 100 + 50
    bright = crop + 60
    torch.testing.assert_close(net.encode(crop), net.encode(bright), rtol=1e-3, atol=1e-3)


EXTRA = ("first", "second")


@pytest.fixture
def wide_net():
    """One further stream of a single column far from 0, and one of seven."""
    torch.manual_seed(0)
    scales = {
        "first": Standardise(torch.tensor([1000.0]), torch.tensor([50.0])),
        "second": Standardise(torch.zeros(7), torch.ones(7)),
    }
    sizes = {"width": 16, "head": 8, "discriminator": (8, 4)}
    return DefaultNet(FACE, VOICE, TASKS, **sizes, scales=scales).eval()


def wide_inputs(present=True, face=True, voice=True):
    generator = torch.Generator().manual_seed(2)
    return inputs(face, voice) | {
        "extra.first": 1000 + 50 * torch.randn(ROWS, 1, generator=generator),
        "extra.second": torch.randn(ROWS, 7, generator=generator),
        "extra.first.present": torch.full((ROWS,), present),
        "extra.second.present": torch.full((ROWS,), present),
    }


@pytest.mark.parametrize("name", EXTRA)
def test_a_further_stream_has_a_say_where_it_is_present(wide_net, name):
    one, other = wide_inputs(), wide_inputs()
    other[f"extra.{name}"] = other[f"extra.{name}"].flip(0)
    differ = (wide_net(one).features != wide_net(other).features).any(1)
    assert differ.all()
    for each in (one, other):
        each[f"extra.{name}.present"] = torch.zeros(ROWS, dtype=torch.bool)
    assert torch.equal(wide_net(one).features, wide_net(other).features)


def test_a_stream_is_hidden_in_training_but_not_as_the_only_input(wide_net):
    wide_net.drop_extra = 0.5
    wide_net.train()
    hidden = torch.zeros(ROWS, 2, dtype=torch.bool)
    for _ in range(20):
        others = torch.tensor([True] * 3 + [False] * 3)
        projected = wide_net._extras(wide_inputs(), others)
        absent = [net.absent for net in wide_net.extra]
        for k in range(2):
            hidden[:, k] |= (projected[k] == absent[k]).all(1)
    assert hidden[:3].all()
    assert not hidden[3:].any()


def test_the_scale_travels_with_the_weights(wide_net):
    state = wide_net.state_dict()
    assert state["extra.0.project.0.mean"].tolist() == [1000.0]
    assert state["extra.0.project.0.std"].tolist() == [50.0]


def test_values_far_from_all_seen_are_held(wide_net):
    one, other = wide_inputs(), wide_inputs()
    one["extra.first"], other["extra.first"] = (
        torch.full((ROWS, 1), 1e9),
        torch.full((ROWS, 1), 1e30),
    )
    assert torch.equal(wide_net(one).features, wide_net(other).features)


def test_without_further_streams_the_shipped_weights_fit_by_name():
    weights = load_file(SHIPPED / "fusion.safetensors")
    face_dim = weights["face.project.1.weight"].shape[1]
    voice_dim = weights["voice.project.1.weight"].shape[1]
    net = DefaultNet(face_dim, voice_dim, TASKS, norm="layer", voice_heads={})
    own = net.state_dict()
    assert {name: value.shape for name, value in own.items()} == {
        name: value.shape for name, value in weights.items()
    }


def test_a_face_held_still_is_one_input_however_much_of_the_window_is_there():
    torch.manual_seed(0)
    net = DefaultNet(FACE, VOICE, TASKS, width=16, head=8, discriminator=(8, 4), hold=True).eval()
    torch.nn.init.normal_(net.direct["AU"].weight)
    one = inputs()
    one["face"] = one["face"][:, :1].expand(-1, STEPS, -1).clone()
    whole = net(one)
    for there in range(1, STEPS):
        part = {name: value.clone() for name, value in one.items()}
        part["face_present"][:, :-there] = False
        part["face"][:, :-there] = 100.0
        for key, raw in net(part).raw.items():
            torch.testing.assert_close(raw, whole.raw[key])


def test_a_window_without_a_face_stays_empty_and_gaps_are_held():
    faces = torch.arange(12.0).reshape(3, 4, 1)
    present = torch.tensor([[0, 1, 0, 1], [0, 0, 0, 0], [1, 0, 0, 0]]).bool()
    held, filled = fill_by_holding(faces, present)
    assert held[0, :, 0].tolist() == [1, 1, 3, 3]
    assert held[2, :, 0].tolist() == [8, 8, 8, 8]
    assert filled.all(1).tolist() == [True, False, True]
    assert not filled[1].any()
