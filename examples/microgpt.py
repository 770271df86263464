"""Train a small GPT on names, then let it invent some: Values and Python loops.

    python examples/microgpt.py              recorded: a graph made once for each length of a name
    python examples/microgpt.py --eager      the function as it is written, a new graph every step
    python examples/microgpt.py --compare    both, and how many steps a second each makes

After Karpathy's microgpt: embeddings of token and position, rmsnorm, one block of causal attention
with four heads and of a two-layer network, and the logits of the next token.
"""
import argparse
import random
import sys
import time

from micrograd import Value, record
from micrograd.losses import cross_entropy, softmax
from micrograd.optim import Adam, linear
from micrograd.recording import pick

LETTERS = "abcdefghijklmnopqrstuvwxyz"
BOS = len(LETTERS)                          # the token before the first letter, and after the last
VOCABULARY, WIDTH, HEADS, LONGEST = len(LETTERS) + 1, 16, 4, 9
HEAD = WIDTH // HEADS


def names(count):
    """Names of 4 to 9 letters, made of syllables."""
    starts, vowels, ends = ("b d f g j k l m n r s t v ch th".split(), "aeiou",
                            ["", "", "n", "l", "r", "s"])
    found = {}                              # a set that keeps its order
    while len(found) < count:
        syllables = [random.choice(starts) + random.choice(vowels)
                     for _ in range(random.randint(2, 3))]
        name = "".join(syllables) + random.choice(ends)
        if len(name) <= LONGEST:
            found[name] = True
    return list(found)


def tokens_of(name):
    return [BOS, *map(LETTERS.index, name), BOS]


def matrix(rows, columns):
    return [[Value(random.gauss(0, 0.08)) for _ in range(columns)] for _ in range(rows)]


class GPT:
    def __init__(self):
        self.token, self.position = matrix(VOCABULARY, WIDTH), matrix(LONGEST + 1, WIDTH)
        self.query, self.key, self.value, self.mix = (matrix(WIDTH, WIDTH) for _ in range(4))
        self.up, self.down = matrix(4 * WIDTH, WIDTH), matrix(WIDTH, 4 * WIDTH)
        self.head = matrix(VOCABULARY, WIDTH)

    def parameters(self):
        return [p for rows in vars(self).values() for row in rows for p in row]

    def logits(self, token, keys, values):
        """Of the token after this one. keys and values are of those before, and get its own."""
        x = rmsnorm(add(pick(self.token, token), self.position[len(keys)]))
        x = add(x, self.attention(rmsnorm(x), keys, values))
        x = add(x, multiply(self.down, [h.relu() for h in multiply(self.up, rmsnorm(x))]))
        return multiply(self.head, x)

    def attention(self, x, keys, values):
        query = multiply(self.query, x)
        keys.append(multiply(self.key, x))
        values.append(multiply(self.value, x))
        parts = [slice(i, i + HEAD) for i in range(0, WIDTH, HEAD)]
        heads = [attend(query[part], [k[part] for k in keys], [v[part] for v in values])
                 for part in parts]
        return multiply(self.mix, [y for head in heads for y in head])

    def loss(self, tokens):
        """How surprised it is by each token after the first: the mean cross-entropy."""
        keys, values = [], []
        return cross_entropy([self.logits(token, keys, values) for token in tokens[:-1]],
                             tokens[1:])

    def name(self, temperature=0.5):
        """A new name, letter by letter, each drawn by its chance."""
        keys, values, token, name = [], [], BOS, ""
        while len(name) < LONGEST:
            chances = softmax([z / temperature for z in self.logits(token, keys, values)])
            token, = random.choices(range(VOCABULARY), [p.data for p in chances])
            if token == BOS:
                break
            name += LETTERS[token]
        return name


def dot(u, v):
    return sum(a * b for a, b in zip(u, v))


def multiply(rows, x):
    return [dot(row, x) for row in rows]


def add(u, v):
    return [a + b for a, b in zip(u, v)]


def rmsnorm(x):
    scale = (dot(x, x) / len(x) + 1e-5) ** -0.5
    return [a * scale for a in x]


def attend(query, keys, values):
    """The mean of the values, weighted by how well their keys fit the query."""
    weights = softmax([dot(query, key) * HEAD ** -0.5 for key in keys])
    return [dot(weights, column) for column in zip(*values)]


def train(steps, seed, eager):
    """The trained model, its losses, and the steps a second."""
    random.seed(seed)
    texts, model = [tokens_of(name) for name in names(300)], GPT()
    loss = model.loss if eager else record(model.loss)      # the one switch
    optimizer, losses, start = Adam(model.parameters(), betas=(0.85, 0.99)), [], time.perf_counter()
    for k in range(steps):
        out = loss(texts[k % len(texts)])
        optimizer.zero_grad()
        out.backward()
        optimizer.lr = linear(k, steps, 0.01, 0.0)
        optimizer.step()
        losses.append(out.data)
        show(k + 1, steps, out.data)
    return model, losses, steps / (time.perf_counter() - start)


def show(k, steps, loss):
    """A bar that grows on one line, in a terminal."""
    if sys.stdout.isatty():
        bar = "=" * (40 * k // steps)
        print(f"\r[{bar:40}] {k}/{steps} loss {loss:.4f} ", end="\n" if k == steps else "",
              flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--eager", action="store_true", help="run the function as it is written")
    parser.add_argument("--compare", action="store_true",
                        help="train both ways, from the same numbers")
    options = parser.parse_args()
    for eager in [True, False] if options.compare else [options.eager]:
        model, losses, speed = train(options.steps, options.seed, eager)
        last = losses[-100:]
        print(f"{'eager' if eager else 'recorded'}: {speed:.1f} steps a second, "
              f"mean of the last {len(last)} losses {sum(last) / max(1, len(last)):.4f}")
    print(*[model.name() for _ in range(20)])


if __name__ == "__main__":
    main()
