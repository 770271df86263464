"""Train the MLP(2, [16, 16, 1]) of micrograd's own notebook on two moons, and draw what it learned.

    python3 run.py demo           from a checkout
    python examples/moons.py      with micrograd-native, numpy, scikit-learn, matplotlib and tqdm

The statements between the two lines of dashes are the notebook's, unchanged.
"""
import argparse
import os
import random
import subprocess
import sys
import time

import numpy as np
from sklearn.datasets import make_moons
from tqdm import tqdm

from micrograd import engine
from micrograd.engine import Value
from micrograd.nn import MLP

STEPS = 100


def problem():
    """The 100 points, their labels -1 and 1, and the fresh model."""
    np.random.seed(1337)
    random.seed(1337)
    X, y = make_moons(n_samples=100, noise=0.1)
    return X, y * 2 - 1, MLP(2, [16, 16, 1])


def loss(model, Xb, yb):
    # ---------------------------------------------------------------------------------------------
    inputs = [list(map(Value, xrow)) for xrow in Xb]
    scores = list(map(model, inputs))

    # svm "max-margin" loss
    losses = [(1 + -yi * scorei).relu() for yi, scorei in zip(yb, scores)]
    data_loss = sum(losses) * (1.0 / len(losses))
    # L2 regularization
    alpha = 1e-4
    reg_loss = alpha * sum((p * p for p in model.parameters()))
    total_loss = data_loss + reg_loss

    # also get accuracy
    accuracy = [(yi > 0) == (scorei.data > 0) for yi, scorei in zip(yb, scores)]
    return total_loss, sum(accuracy) / len(accuracy)


def step(model, X, y, k):
    total_loss, acc = loss(model, X, y)

    model.zero_grad()
    total_loss.backward()

    learning_rate = 1.0 - 0.9 * k / 100
    for p in model.parameters():
        p.data -= learning_rate * p.grad
    # ---------------------------------------------------------------------------------------------
    return total_loss.data, acc


def train(steps, show=lambda k, loss, accuracy: None):
    """Train for so many steps; the model, and the median seconds a step."""
    X, y, model = problem()
    seconds = []
    for k in range(steps):
        start = time.perf_counter()
        total_loss, accuracy = step(model, X, y, k)
        seconds.append(time.perf_counter() - start)
        show(k, total_loss, accuracy)
    return model, sorted(seconds)[len(seconds) // 2]


def reference_seconds(steps):
    """Median seconds a step of the pure-Python reference, in a process of its own."""
    run = subprocess.run([sys.executable, __file__, "--time", str(steps)], check=True, text=True,
                         stdout=subprocess.PIPE, env={**os.environ, "MICROGRAD_ENGINE": "python"})
    return float(run.stdout)


def draw(model, path):
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    X, y, _ = problem()
    h = 0.05
    xs = np.arange(X[:, 0].min() - 1, X[:, 0].max() + 1, h)
    ys = np.arange(X[:, 1].min() - 1, X[:, 1].max() + 1, h)
    Z = np.array([[model([float(a), float(b)]).data > 0 for a in xs] for b in ys])
    plt.figure(figsize=(6, 5))
    plt.contourf(xs, ys, Z, cmap=plt.cm.Spectral, alpha=0.8)
    plt.scatter(X[:, 0], X[:, 1], c=y, s=40, cmap=plt.cm.Spectral, edgecolors="k", linewidths=0.4)
    plt.title("what MLP(2, [16, 16, 1]) learned of two moons")
    plt.savefig(path, dpi=110, bbox_inches="tight")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--picture", default="moons.png",
                        help="where to save the decision boundary")
    parser.add_argument("--time", type=int, metavar="STEPS", help="only print the seconds a step")
    options = parser.parse_args()
    if options.time:
        print(train(options.time)[1])
        return
    bar = tqdm(total=STEPS, unit="step", file=sys.stdout)

    def show(k, total_loss, accuracy):
        if k % 10 == 0 or k == STEPS - 1:
            bar.write(f"step {k} loss {total_loss}, accuracy {accuracy * 100}%")
        bar.update()

    model, seconds = train(STEPS, show)
    bar.close()
    draw(model, options.picture)
    print(f"the decision boundary is in {options.picture}")
    print("timing the pure-Python reference ...", flush=True)
    reference = reference_seconds(3)
    print(f"{seconds * 1e3:.2f} ms a step (engine: {engine.__engine__}), "
          f"{reference * 1e3:.0f} ms on the pure-Python reference: "
          f"{reference / seconds:.0f} times faster.\n"
          "README's multiple is over micrograd 0.1.0, which is slower than the reference, and was "
          "measured on the machine named there.")


if __name__ == "__main__":
    main()
