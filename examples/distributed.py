"""Train a function of Values in two processes by DistributedDataParallel, and bring it back.

    python examples/distributed.py              with micrograd-native and torch

Each process has its half of the rows and its copy of the module that `to_torch` makes of a
recording. PyTorch takes the mean of their gradients at every step. On a cluster only the call of
`init_process_group` differs.
"""
import argparse
import math
import os
import random
import tempfile

import torch
from torch import distributed, multiprocessing
from torch.nn.parallel import DistributedDataParallel

from micrograd import MLP, record, state
from micrograd.pytorch import from_torch_parameters, to_torch

PROCESSES, ROWS = 2, 64


def problem():
    """The model, the loss of one sample, recorded, and the rows: is a point near the origin?"""
    random.seed(7)
    model = MLP(2, [16, 1], nonlin="tanh")

    @record
    def loss(x, t):
        return (1 - t * model(x)).relu() ** 2

    X = [[random.uniform(-1, 1), random.uniform(-1, 1)] for _ in range(ROWS)]
    y = [1.0 if math.hypot(*x) < 0.7 else -1.0 for x in X]
    return model, loss, X, y


def module_of(loss, X, y):
    loss(X[0], y[0])                        # recorded at its first call
    return to_torch(loss)


def train(module, X, y, steps):
    X, y = torch.tensor(X, dtype=torch.double), torch.tensor(y, dtype=torch.double)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9)
    for _ in range(steps):
        optimizer.zero_grad()
        module(X, y).mean().backward()
        optimizer.step()


def process(rank, folder, steps):
    """What each of the processes does."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank,
                                   world_size=PROCESSES)
    model, loss, X, y = problem()
    module = DistributedDataParallel(module_of(loss, X, y))
    train(module, X[rank::PROCESSES], y[rank::PROCESSES], steps)
    if rank == 0:
        from_torch_parameters(module, loss)     # the parameters of `loss` are those of the model
        state.save(model, os.path.join(folder, "model.json"))
    distributed.destroy_process_group()
    # DistributedDataParallel keeps gloo's threads, which may abort a Python that finalizes.
    os._exit(0)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--steps", type=int, default=100)
    steps = parser.parse_args().steps

    model, loss, X, y = problem()
    print(f"loss before: {loss.mean(X, y).data:.6f}")
    with tempfile.TemporaryDirectory() as folder:
        multiprocessing.spawn(process, (folder, steps), nprocs=PROCESSES)
        model.load_state_dict(state.load(os.path.join(folder, "model.json")))
    print(f"loss after {steps} steps in {PROCESSES} processes: {loss.mean(X, y).data:.6f}")

    alone, loss_alone, _, _ = problem()
    module = module_of(loss_alone, X, y)
    train(module, X, y, steps)
    from_torch_parameters(module, loss_alone)
    apart = max(abs(p.data - q.data) for p, q in zip(model.parameters(), alone.parameters()))
    print(f"the parameters differ from those of one process by at most {apart:.1e}")


if __name__ == "__main__":
    main()
