"""PyTorch with batched tensors: what a user would write who gives up the single numbers."""
import torch
from torch import nn

from workloads import digest

torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)


def weight_rows(layers):
    """Each layer's parameters as micrograd orders them: a neuron's weights, then its bias."""
    return [torch.cat([layer.weight, layer.bias[:, None]], 1) for layer in layers]


def sequential(model):
    """The same network as an MLP of micrograd, with the same parameters."""
    parts = []
    for layer in model.layers:
        rows = torch.tensor([[float(p.data) for p in n.parameters()] for n in layer.neurons])
        linear = nn.Linear(rows.shape[1] - 1, rows.shape[0])
        linear.weight.data, linear.bias.data = rows[:, :-1].contiguous(), rows[:, -1].contiguous()
        parts += [linear, nn.ReLU()]
    return nn.Sequential(*parts[:-1])


class Batched:
    """What the workloads here share: run() sets `out`."""

    def __init__(self, workload):
        self.workload = workload

    def reset(self):
        self.workload.reset()

    def run(self):
        self.forward()
        self.backward()

    def backward(self):
        self.out.backward()


class Tree(Batched):
    def forward(self):
        self.x = torch.tensor(self.workload.inputs, requires_grad=True)
        self.out = (self.x * self.x).sum()

    def result(self):
        return [self.out.item(), *digest(self.x.grad.tolist())]


class Network(Batched):
    def reset(self):
        self.model = sequential(self.workload.model)
        self.linears = [part for part in self.model if isinstance(part, nn.Linear)]

    def forward(self):
        self.out = self.model(torch.tensor(self.workload.inputs)).sum()

    def backward(self):
        self.model.zero_grad()
        self.out.backward()

    def result(self):
        rows = [torch.cat([part.weight.grad, part.bias.grad[:, None]], 1) for part in self.linears]
        return [self.out.item(), *digest(torch.cat([r.flatten() for r in rows]).tolist())]


class Moons(Batched):
    """The whole batch at once, with the demo's loss, accuracy and learning rate."""

    def reset(self):
        super().reset()
        self.model, self.steps = sequential(self.workload.model), 0
        self.X = torch.tensor(self.workload.X)
        self.y = torch.tensor(self.workload.y, dtype=torch.float64)
        self.alpha = 1e-4

    def forward(self):
        scores = self.model(self.X).squeeze(1)
        data_loss = (1 - self.y * scores).relu().mean()
        reg_loss = self.alpha * sum((p * p).sum() for p in self.model.parameters())
        self.out = data_loss + reg_loss
        self.accuracy = ((self.y > 0) == (scores > 0)).double().mean().item()

    def run(self):
        self.forward()
        self.model.zero_grad()
        self.out.backward()
        rate = 1.0 - 0.9 * (self.steps % self.workload.moons.STEPS) / 100
        self.steps += 1
        with torch.no_grad():
            for p in self.model.parameters():
                p -= rate * p.grad

    def result(self):
        rows = weight_rows(part for part in self.model if isinstance(part, nn.Linear))
        return [self.out.item(), *digest(torch.cat([r.flatten() for r in rows]).tolist())]


KINDS = {"tree": Tree, "mlp": Network, "moons": Moons}
