"""Several networks as one: the mean of what they say, of each task by those that know it."""

import torch

from triaffect.models.base import Ensemble
from triaffect.models.light_face import LightFace
from triaffect.tasks.registry import TASKS
from triaffect.tasks.registry import task as task_by_key


def face(seed, *keys):
    """A random face network of some tasks."""
    torch.manual_seed(seed)
    tasks = [task_by_key(key) for key in keys] or TASKS
    return LightFace(tasks, (8, 8), (1, 1), 6).eval()


def crops(rows=5):
    return {"crop": torch.rand(rows, 64, 64, generator=torch.Generator().manual_seed(9)) * 255}


def test_it_says_the_mean_of_raw_outputs():
    members = [face(0), face(1), face(2)]
    said = Ensemble(members)(crops())
    each = [member(crops()).raw for member in members]
    assert said.domain is None
    assert list(said.raw) == [task.key for task in TASKS]
    for key, value in said.raw.items():
        wanted = sum(one[key] for one in each) / 3
        torch.testing.assert_close(value, wanted, rtol=0, atol=1e-6)
        assert not torch.allclose(value, each[0][key], atol=1e-3)


def test_a_member_alone_says_what_it_would():
    member = face(3)
    said = Ensemble([member])(crops())
    for key, value in member(crops()).raw.items():
        assert torch.equal(said.raw[key], value)


def test_only_those_who_know_a_task_are_asked():
    several, one = face(0, "EXPR", "AU"), face(1, "EXPR")
    said = Ensemble([several, one])(crops()).raw
    assert set(said) == {"EXPR", "AU"}
    assert torch.equal(said["AU"], several(crops()).raw["AU"])
    mean = (several(crops()).raw["EXPR"] + one(crops()).raw["EXPR"]) / 2
    torch.testing.assert_close(said["EXPR"], mean, rtol=0, atol=1e-6)


def test_order_of_members_does_not_matter():
    members = [face(0), face(1, "VA"), face(2, "AU", "EXPR")]
    one, other = Ensemble(members)(crops()).raw, Ensemble(members[::-1])(crops()).raw
    assert one.keys() == other.keys()
    for key, value in one.items():
        torch.testing.assert_close(value, other[key], rtol=0, atol=1e-6)


def test_distributions_are_averaged_geometrically():
    task = task_by_key("EXPR")
    members = [face(0, "EXPR"), face(1, "EXPR")]
    said = task.activate(Ensemble(members)(crops()).raw["EXPR"])
    product = torch.stack([task.activate(m(crops()).raw["EXPR"]) for m in members]).prod(0).sqrt()
    torch.testing.assert_close(said, product / product.sum(1, keepdim=True))


def test_means_are_in_single_precision():
    members = [face(0).bfloat16(), face(1).bfloat16()]
    said = Ensemble(members)
    for member in members:
        member.encode = lambda x, net=member: torch.relu(
            net.embed(torch.ones(len(x), 8).bfloat16())
        )
    assert said(crops()).raw["VA"].dtype == torch.float32
