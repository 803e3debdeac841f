import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from triaffect.datasets.augmentation.augment import vary_crops, vary_logmel
from triaffect.datasets.batches import plan_epoch

SIZES = st.dictionaries(st.sampled_from(["MTL", "VA", "EXPR", "AU"]), st.integers(0, 700))


def _pools(sizes):
    return {kind: 1000 * place + np.arange(n) for place, (kind, n) in enumerate(sizes.items())}


@given(SIZES, st.integers(0, 5))
def test_every_pool_gives_as_many_batches_as_the_largest(sizes, epoch):
    pools = _pools(sizes)
    plan = plan_epoch(pools, 64, 2, (1, 0, epoch))
    largest = max(sizes.values(), default=0)
    assert plan.iterations == -(-largest // 64)
    for kind, rows in pools.items():
        if not len(rows):
            assert kind not in plan.rows
            continue
        drawn = plan.rows[kind]
        assert drawn.shape == (plan.iterations, max(2, len(rows) // plan.iterations))
        assert np.isin(drawn, rows).all()
        if drawn.size <= len(rows):
            assert len(np.unique(drawn)) == drawn.size


def test_the_papers_batches_at_full_scale():
    sizes = {"MTL": 52_154, "VA": 1_600_000, "EXPR": 585_317, "AU": 1_400_000}
    plan = plan_epoch(_pools(dict(sizes.items())), 256, 2, (0,))
    assert {kind: rows.shape[1] for kind, rows in plan.rows.items()} == {
        "MTL": 8,
        "VA": 256,
        "EXPR": 93,
        "AU": 224,
    }


def test_the_order_follows_from_the_seed_alone():
    pools = _pools({"VA": 300, "AU": 90})
    one, same, other = (plan_epoch(pools, 32, 2, (7, 0, e)) for e in (3, 3, 4))
    assert all(np.array_equal(one.rows[k], same.rows[k]) for k in pools)
    assert not np.array_equal(one.rows["VA"], other.rows["VA"])


def test_updates_can_start_in_the_middle():
    plan = plan_epoch(_pools({"VA": 300, "AU": 90}), 32, 2, (0,))
    every = list(plan.updates(["AU", "VA"]))
    assert [kind for _, kind, _ in every[:3]] == ["AU", "VA", "AU"]
    later = list(plan.updates(["AU", "VA"], 4))
    assert len(later) == len(every) - 8
    np.testing.assert_array_equal(later[0][2], every[8][2])


def test_variants_differ_from_the_original_and_repeat_with_the_seed():
    crops = torch.randint(0, 256, (5, 64, 64), dtype=torch.uint8)
    one, same, other = (vary_crops(crops, np.random.default_rng(s)) for s in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert one.shape == crops.shape
    logmel = torch.randn(5, 300, 64)
    one, same, other = (vary_logmel(logmel, np.random.default_rng(s)) for s in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert one.shape == logmel.shape
    assert torch.isfinite(one).all()
