"""The page of draw.animate: what it says of a graph, where it puts the nodes, and in a browser."""
import html
import json
import math
import os
import random
import re
import shutil
import subprocess

import pytest

from micrograd import draw, draw_layout, nn
from micrograd.draw_page import TEMPLATE
from micrograd.engine import Value as AnyValue

CHROMIUM = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])),
                None)
NASTY = ["</script><script>window.hacked = 1</script>", "<!--<script>", "\"&quot;'`${1}",
         "\u2028\ud800\0", "@GRAPH@", "</title><img src=x onerror='window.hacked = 1'>"]

STEPS = [
    ("start", "The leaves have their numbers", []),
    ("forward", "p = a * b", ["= 2.0000 * -3.0000", "= -6.0000"]),
    ("forward", "s = c + p", ["= 10.0000 + -6.0000", "= 4.0000"]),
    ("forward", "y = a * s", ["= 2.0000 * 4.0000", "= 8.0000"]),
    ("backward", "y.grad = 1", []),
    ("backward", "backward through y = a * s", [
        "a.grad += y.grad · ∂y/∂a    where ∂y/∂a = s",
        "       += 1.0000 · 4.0000 = 4.0000",
        "s.grad += y.grad · ∂y/∂s    where ∂y/∂s = a",
        "       += 1.0000 · 2.0000 = 2.0000"]),
    ("backward", "backward through s = c + p", [
        "c.grad += s.grad · ∂s/∂c    where ∂s/∂c = 1",
        "       += 2.0000 · 1.0000 = 2.0000",
        "p.grad += s.grad · ∂s/∂p    where ∂s/∂p = 1",
        "       += 2.0000 · 1.0000 = 2.0000"]),
    ("backward", "backward through p = a * b", [
        "a.grad += p.grad · ∂p/∂a    where ∂p/∂a = b",
        "       += 2.0000 · -3.0000 = -6.0000    in all -2.0000",
        "b.grad += p.grad · ∂p/∂b    where ∂p/∂b = a",
        "       += 2.0000 · 2.0000 = 4.0000"]),
]


def labelled(v, label):
    v.label = label
    return v


def expression(Value):
    a, b, c = [labelled(Value(x), name) for name, x in (("a", 2.0), ("b", -3.0), ("c", 10.0))]
    s = labelled(labelled(a * b, "p") + c, "s")
    return labelled(s * a, "y")


def data(animation):
    text = re.search(r'<script id="graph" .*?>(.*?)</script>', animation.page, re.S)
    return json.loads(text[1])


def titles(root):
    return [step["title"] for step in data(draw.animate(root))["steps"]]


def lines(root):
    return [line for step in data(draw.animate(root))["steps"] for line in step["lines"]]


def test_the_steps(Value):
    page = data(draw.animate(expression(Value)))
    assert [(s["phase"], s["title"], s["lines"]) for s in page["steps"]] == STEPS
    assert [n["name"] for n in page["nodes"]] == ["c", "b", "a", "p", "s", "y"]
    assert [n["number"] for n in page["nodes"]] == [
        "10.0000", "-3.0000", "2.0000", "-6.0000", "4.0000", "8.0000"]
    assert [n["op"] for n in page["nodes"]] == ["", "", "", "*", "+", "*"]


@pytest.mark.parametrize("nonlin", [True, "tanh", "sigmoid", "softplus"])
def test_the_gradients_are_those_of_the_sweep(nonlin):
    random.seed(3)
    y = (nn.MLP(2, [3, 2, 1], nonlin=nonlin)([1.0, -2.0]) - 1) ** 2 * 3.0
    for node in draw.trace(y)[0]:
        node.grad = 5
    order = draw.topological_order(y)
    page = data(draw.animate(y))
    assert [node.grad for node in order] == [5] * len(order)     # as they were
    shown = {i: text for step in page["steps"] for i, text in step["grads"]}
    for node in order:
        node.grad = 0
    y.backward()
    assert shown == {i: draw.shown(node.grad) for i, node in enumerate(order)}


def test_an_operation_of_ones_own(Value):
    x = labelled(Value(3.0), "x")
    y = labelled(Value(9.0, (x,), "square"), "y")
    y._backward = lambda: setattr(x, "grad", x.grad + 2 * x.data * y.grad)
    assert titles(y)[1:] == ["y = square(x)", "y.grad = 1", "backward through y = square(x)"]
    assert lines(y) == ["= square(3.0000)", "= 9.0000", "x.grad += y.grad · ∂y/∂x",
                        "       += 1.0000 · 6.0000 = 6.0000"]
    y._backward = None


def test_formulas(Value):
    a, b = labelled(Value(0.5), "a"), labelled(Value(3.0), "b")
    for y, title, formula in [
            (a + a, "y = a + a", "1 + 1"), (a * a, "y = a * a", "a + a"), (a ** 3, "y = a ** 3",
            "3 · a ** (3 - 1)"), (a.relu(), "y = ReLU(a)", "(1 if y > 0 else 0)"),
            (a.tanh(), "y = tanh(a)", "1 - y²"), (a.log(), "y = log(a)", "1/a")]:
        y.label = "y"
        assert titles(y)[1] == title
        assert f"a.grad += y.grad · ∂y/∂a    where ∂y/∂a = {formula}" in lines(y)
    for y, title in ((a ** b, "y = a ** b"), (b ** a, "y = b ** a"), (b ** b, "y = b ** b")):
        y.label = "y"
        assert titles(y)[1] == title
    assert titles(Value(1.0, (a,)))[1] == "v1 = f(a)"


def test_what_hides_a_slope(Value):
    """A gradient of 0, which it is multiplied with."""
    a = labelled(Value(2.0), "a")
    y = labelled(labelled(a * 3, "t") * 0, "y")
    assert "       += 0.0000 · … = 0.0000" in lines(y)


@pytest.mark.parametrize("x", [1j, math.inf, math.nan, 10**400, 1e-200], ids=range(5))
def test_numbers_of_every_kind(Value, x):
    y = (labelled(Value(x), "x") * 2) ** 2
    one, two = draw.shown(x), draw.shown(2 * x)
    assert lines(y)[:3] == [f"= {one} * 2.0000", f"= {two}", f"= {two} ** 2"]


def test_cycles(Value):
    a, b = Value(1.0), Value(2.0)
    c = a + b
    a._prev, a._op = {c, a}, "again"
    page = data(draw.animate(c))
    assert len(page["nodes"]) == 3 and page["steps"][-1]["phase"] == "backward"
    a._prev = set()


def test_a_leaf(Value):
    assert titles(Value(2.0)) == ["The leaves have their numbers", "v0.grad = 1"]
    assert data(draw.animate(Value(2.0)))["edges"] == []


def test_a_sweep_that_fails(Value):
    x = Value(0.0)
    x.grad = 5.0
    with pytest.raises(ZeroDivisionError):
        draw.animate(x ** 0.5)
    assert x.grad == 5.0


def test_errors(Value, tmp_path):
    y = sum((Value(i) for i in range(6)), Value(0))
    with pytest.raises(ValueError, match="more than 12 nodes"):
        draw.animate(y, tmp_path / "x.html", limit=12)
    with pytest.raises(TypeError, match="a Value for its root, not float"):
        draw.animate(1.0, tmp_path / "x.html")
    assert not (tmp_path / "x.html").exists()


@pytest.mark.parametrize("text", NASTY)
def test_any_text_is_safe(Value, text):
    y = labelled(Value(1.0, (labelled(Value(2.0), text),), text), text)
    animation = draw.animate(y)
    assert animation.page.lower().count("<script") == TEMPLATE.lower().count("<script")
    assert animation.page.count("</script>") == 2 and "<!--" not in animation.page
    assert data(animation)["nodes"][0]["name"] == named(text)
    animation.page.encode("ascii")      # so no encoding can change it


def named(text):
    text = text.replace("\ud800\0", "  ")
    return text if len(text) <= 24 else text[:23] + "…"


def test_it_loads_nothing(Value, tmp_path):
    draw.animate(expression(Value), tmp_path / "x.html")
    page = (tmp_path / "x.html").read_text(encoding="ascii")
    assert "default-src 'none'" in page
    assert re.findall(r"\b(?:src|href|url|import|fetch)\b\s*[=(:]", page) == []
    assert set(re.findall(r"https?://[^\"]*", page)) == {"http://www.w3.org/2000/svg"}     # a name


def test_a_notebook(Value):
    animation = draw.animate(expression(Value))
    shown = animation._repr_html_()
    assert html.unescape(re.search(r'srcdoc="(.*?)"', shown, re.S)[1]) == animation.page
    assert shown.startswith("<iframe") and 'sandbox="allow-scripts"' in shown


@pytest.mark.parametrize("seed", range(20))
def test_no_node_lies_on_another(seed):
    rng = random.Random(seed)
    operands = [sorted(rng.sample(range(i), min(i, rng.choice([0, 1, 2, 2, 3]))))
                for i in range(60)]
    centres, edges = draw_layout.layout(operands)
    assert len(edges) == sum(map(len, operands))
    for i, (x, y) in enumerate(centres):
        assert x >= draw_layout.WIDTH / 2 and y >= draw_layout.HEIGHT / 2
        for u, v in centres[:i]:
            assert abs(x - u) > draw_layout.WIDTH or abs(y - v) > draw_layout.HEIGHT
    for (k, i), points in edges.items():
        assert (points[0], points[-1]) == (centres[k], centres[i])
        left, right = centres[k][0], centres[i][0]
        assert [x for x, y in points] == list(range(left, right + 1, draw_layout.ACROSS))
        for x, y in points[1:-1]:
            assert all(x != u or abs(y - v) > draw_layout.HEIGHT / 2 for u, v in centres)


# Takes the steps of DRIVE in the page, and says in its title what the page showed after each.
DRIVER = """<script>
const look = () => [document.getElementById("count").textContent,
  document.querySelector("#said h1").textContent, document.querySelector("#said pre").textContent,
  nodes.map(n => n.data.textContent + "|" + n.grad.textContent),
  [...document.querySelectorAll("g.now text.name")].map(t => t.textContent),
  [...document.querySelectorAll("g.near text.name")].map(t => t.textContent),
  document.querySelectorAll("path.near").length];
const seen = [look()];
for (const way of @DRIVE@) {
  if (way.startsWith("#")) document.querySelector(way).click();
  else document.body.dispatchEvent(new KeyboardEvent("keydown", { key: way, bubbles: true }));
  seen.push(look());
}
document.title = JSON.stringify({ seen, hacked: window.hacked ?? null,
  loaded: performance.getEntriesByType("resource").length,
  scheme: getComputedStyle(document.body).color,
  names: [...document.querySelectorAll("g title")].map(t => t.textContent) });
</script>"""


def browse(animation, drive, folder, *options):
    """What a page shows at first and after each of these keys and clicks."""
    page = folder / "page.html"
    driver = DRIVER.replace("@DRIVE@", json.dumps(drive))
    page.write_text(animation.page.replace("</html>", driver + "</html>"))
    ran = subprocess.run([
        CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu",
        "--disable-background-networking", f"--user-data-dir={folder / 'profile'}",
        "--window-size=1200,800", "--virtual-time-budget=2000", *options, "--dump-dom",
        page.as_uri()], capture_output=True, timeout=120,
        env={name: x for name, x in os.environ.items() if name != "LD_PRELOAD"})    # sanitizers'
    title = re.search(r"<title>(.*?)</title>", ran.stdout.decode(), re.S)
    return json.loads(html.unescape(title[1]))


in_a_browser = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")


@in_a_browser
def test_the_steps_in_a_browser(tmp_path):
    drive = ["ArrowRight"] * 8 + [
        "ArrowLeft", "#back", "#next", "Home", "ArrowLeft", "#last", "#first", "End", "ArrowUp",
        "ArrowDown", "#next", "#larger", "#fit", "a"]
    shown = browse(draw.animate(expression(AnyValue)), drive, tmp_path)
    at = [0, 1, 2, 3, 4, 5, 6, 7, 7, 6, 5, 6, 0, 0, 7, 0, 7, 6, 7, 7, 7, 7, 7]
    assert [(count, title, text) for count, title, text, *_ in shown["seen"]] == [
        (f"step {k} of 7, {STEPS[k][0]}", STEPS[k][1], "\n".join(STEPS[k][2])) for k in at]
    assert shown["loaded"] == 0
    boxes = [boxes for _, _, _, boxes, *_ in shown["seen"]]
    assert boxes[0] == ["data 10.0000|grad 0", "data -3.0000|grad 0", "data 2.0000|grad 0",
                        "|", "|", "|"]
    assert boxes[7] == [
        "data 10.0000|grad 2.0000", "data -3.0000|grad 4.0000", "data 2.0000|grad -2.0000",
        "data -6.0000|grad 2.0000", "data 4.0000|grad 2.0000", "data 8.0000|grad 1.0000"]
    assert boxes[12] == boxes[0] and boxes[9] == boxes[6]       # backwards too
    assert [seen[4:] for seen in shown["seen"]][4:7] == [
        [["y"], [], 0], [["y"], ["a", "s"], 2], [["s"], ["c", "p"], 2]]


@in_a_browser
def test_any_text_is_safe_in_a_browser(tmp_path):
    y = sum(labelled(AnyValue(1.0, (labelled(AnyValue(2.0), text),), text), text) for text in NASTY)
    shown = browse(draw.animate(y), ["End"], tmp_path)
    assert shown["hacked"] is None and shown["loaded"] == 0
    assert {named(NASTY[0]), named(NASTY[5]), "@GRAPH@"} <= set(shown["names"])


@in_a_browser
def test_light_and_dark_in_a_browser(tmp_path):
    page, option = draw.animate(expression(AnyValue)), "--blink-settings=preferredColorScheme="
    inks = [browse(page, [], tmp_path, option + dark_or_light)["scheme"] for dark_or_light in "01"]
    assert inks == ["rgb(236, 236, 241)", "rgb(27, 27, 31)"]
