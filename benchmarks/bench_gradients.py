"""What hand-written gradients win in a training step of the paper's network, in processor time.

    python benchmarks/bench_gradients.py [PAIRS]

Three ways by turns in one process, A B C A B C …: both gradients by hand, the LSTM's alone, and
torch's own graph; single thread, batches of 8, 256, 93 and 224 rows as the paper draws them. Ratios
of processor time within a turn depend little on what else the machine does.
"""

import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle

import torch

from triaffect.models import keras_layers
from triaffect.models.paper import PaperNet

ROWS = {"MTL": 8, "VA": 256, "EXPR": 93, "AU": 224}
FACES, FACE, VOICE = 6, 512, 1000


@contextmanager
def by_hand(lstm: bool, dense: bool) -> Iterator[None]:
    """Choose which layers compute their gradients by hand."""
    former, forward = keras_layers.by_hand, keras_layers.LeadingDense.forward
    keras_layers.by_hand = lambda x: lstm and former(x)
    if not dense:
        keras_layers.LeadingDense.forward = torch.nn.Linear.forward
    elif not lstm:
        raise ValueError("the dense layer by hand is measured together with the LSTM")
    try:
        yield
    finally:
        keras_layers.by_hand, keras_layers.LeadingDense.forward = former, forward


WAYS = {"both": (True, True), "LSTM alone": (True, False), "autograd": (False, False)}


def main() -> None:
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 24
    torch.set_num_threads(1)
    torch.manual_seed(0)
    net = PaperNet().train()
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4, fused=True)
    batches = [
        {"face": torch.rand(rows, FACES, FACE), "voice": torch.rand(rows, VOICE)}
        for rows in ROWS.values()
    ]

    def iteration() -> float:
        started = time.process_time()
        for inputs in batches:
            outputs = net(inputs)
            loss = sum(raw.square().mean() for raw in outputs.raw.values())
            (loss + outputs.domain.square().mean()).backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return time.process_time() - started

    seconds = {name: [] for name in WAYS}
    for turn, name in enumerate(cycle(WAYS)):
        if turn == (pairs + 2) * len(WAYS):
            break
        with by_hand(*WAYS[name]):
            seconds[name].append(iteration())
    for name, own in seconds.items():
        ratios = [a / b for a, b in zip(own[2:], seconds["autograd"][2:], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        print(
            f"{name:12} {statistics.median(own[2:]):.3f} s an iteration, "
            f"{middle:.3f} of autograd's (quartiles {low:.3f} to {high:.3f}, {len(ratios)} pairs)"
        )


if __name__ == "__main__":
    main()
