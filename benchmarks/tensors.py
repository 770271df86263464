"""PyTorch with batched tensors: what a user would write who gives up the single numbers."""
import torch
from torch import nn

import microgpt
from workloads import digest

torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)


def flattened(pairs):
    """Weights and biases of the layers as micrograd orders them: a neuron's weights, its bias."""
    rows = [torch.cat([weight, bias[:, None]], 1) for weight, bias in pairs]
    return torch.cat([r.flatten() for r in rows]).tolist()


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
        pairs = [(part.weight.grad, part.bias.grad) for part in self.linears]
        return [self.out.item(), *digest(flattened(pairs))]


class Moons(Batched):
    """The whole batch at once, with the demo's loss, accuracy and learning rate."""

    def reset(self):
        super().reset()
        self.model, self.steps = sequential(self.workload.model), 0
        self.X = torch.tensor(self.workload.X)
        self.y = torch.tensor(self.workload.y, dtype=torch.float64)

    def forward(self):
        scores = self.model(self.X).squeeze(1)
        data_loss = (1 - self.y * scores).relu().mean()
        reg_loss = 1e-4 * sum((p * p).sum() for p in self.model.parameters())
        self.out = data_loss + reg_loss
        self.accuracy = ((self.y > 0) == (scores > 0)).double().mean().item()   # as the demo

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
        linears = [part for part in self.model if isinstance(part, nn.Linear)]
        pairs = [(part.weight.detach(), part.bias.detach()) for part in linears]
        return [self.out.item(), *digest(flattened(pairs))]


class MicroGPT(Batched):
    """All positions and heads at once, behind a causal mask; Adam as in microgpt.py."""

    def reset(self):
        super().reset()
        flat = torch.tensor(self.workload.numbers()).split(
            [rows * columns for rows, columns in microgpt.SHAPES.values()])
        self.w = {name: part.clone().reshape(shape).requires_grad_()
                  for (name, shape), part in zip(microgpt.SHAPES.items(), flat)}
        self.text = torch.tensor(self.workload.text)
        self.mask = torch.full((microgpt.LENGTH,) * 2, -torch.inf).triu(1)
        self.adam = torch.optim.Adam(self.w.values(), lr=microgpt.RATE, eps=microgpt.EPSILON,
                                     betas=(microgpt.BETA1, microgpt.BETA2))

    def heads(self, x, name):
        return (x @ self.w[name].T).reshape(microgpt.LENGTH, microgpt.HEADS, -1).transpose(0, 1)

    def attention(self, x):
        query, key, value = (self.heads(x, name) for name in ("query", "key", "value"))
        scores = query @ key.transpose(1, 2) * microgpt.HEAD ** -0.5 + self.mask
        mixed = (scores.softmax(2) @ value).transpose(0, 1).reshape(microgpt.LENGTH, -1)
        return mixed @ self.w["mix"].T

    def forward(self):
        x = self.w["token"][self.text[:-1]] + self.w["position"]
        x = x + self.attention(rmsnorm(x))
        x = x + (rmsnorm(x) @ self.w["up"].T).relu() @ self.w["down"].T
        logits = rmsnorm(x) @ self.w["logits"].T
        self.out = nn.functional.cross_entropy(logits, self.text[1:])

    def run(self):
        self.forward()
        self.adam.zero_grad()
        self.out.backward()
        self.adam.step()

    def result(self):
        flat = torch.cat([matrix.flatten() for matrix in self.w.values()])
        return [self.out.item(), *digest(flat.tolist())]


def rmsnorm(x):
    return x * ((x * x).mean(1, keepdim=True) + 1e-5) ** -0.5


KINDS = {"tree": Tree, "mlp": Network, "moons": Moons, "microgpt": MicroGPT}
