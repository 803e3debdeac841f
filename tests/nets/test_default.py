import pytest
import torch

from triaffect.nets.default import DefaultNet
from triaffect.nets.light_face import LightFace
from triaffect.nets.light_voice import LightVoice
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
