"""Pictures of graphs: DOT text, and what a notebook is shown."""
import copy
import os
import random
import re
import shutil
import sys
from xml.etree import ElementTree

import pytest

import processes
from micrograd import draw


@pytest.fixture
def no_graphviz(monkeypatch):
    monkeypatch.setitem(sys.modules, "graphviz", None)


pytestmark = pytest.mark.usefixtures("no_graphviz")

PICTURE = """\
digraph {
  rankdir=LR
  n0 [shape=record label="{ a | data 2.0000 | grad 3.0000 }"]
  n1 [shape=record label="{ data 3.0000 | grad 2.0000 }"]
  n2 [shape=record label="{ data 6.0000 | grad 1.0000 }"]
  n2_op [label="*"]
  n2_op -> n2
  n0 -> n2_op
  n1 -> n2_op
  n3 [shape=record label="{ data 6.0000 | grad 1.0000 }"]
  n3_op [label="ReLU"]
  n3_op -> n3
  n2 -> n3_op
}
"""


def expression(Value):
    a = Value(2.0)
    a.label = "a"
    y = (a * 3).relu()
    y.backward()
    return y


def test_the_picture(Value):
    text = draw.draw_dot(expression(Value))
    assert text == PICTURE and str(text) == PICTURE and isinstance(text, str)
    assert draw.draw_dot(expression(Value), rankdir="TB") == PICTURE.replace("LR", "TB")


def test_trace_is_the_notebooks(Value):
    a, b = Value(1.0), Value(2.0)
    c = a * b
    d = c + a
    assert draw.trace(d) == ({a, b, c, d}, {(a, c), (b, c), (a, d), (c, d)})
    assert draw.trace(a) == ({a}, set())


def test_deep_graphs(Value):
    y = Value(1.0)
    for _ in range(20_000):
        y = -y
    nodes, edges = draw.trace(y)
    assert len(nodes) == 40_001 and len(edges) == 40_000
    assert draw.draw_dot(y, limit=50_000).count("_op ->") == 20_000


def test_cycles(Value):
    """Made by hand."""
    a, b = Value(1.0), Value(2.0)
    c = a + b
    a._prev, a._op = {c, a}, "again"
    for root in (a, c):
        text = draw.draw_dot(root)
        assert text.count("record") == 3 and text.count("again") == 1
        assert len(re.findall(r"n\d -> n\d_op", text)) == 4
    a._prev = set()


def test_too_many_nodes(Value):
    y = sum((Value(i) for i in range(6)), Value(0))
    with pytest.raises(ValueError, match="more than 12 nodes: draw a smaller part of it, or"):
        draw.draw_dot(y, limit=12)
    for limit in (13, sys.maxsize, 10 ** 400):
        assert draw.draw_dot(y, limit=limit).count("record") == 13
    for bad in (0, -1, 2.5, "13", None):
        for call in (draw.draw_dot, draw.animate):
            with pytest.raises(ValueError, match="limit must be an int from 1, not "):
                call(y, limit=bad)


@pytest.mark.parametrize("root", [1.0, None, [1.0], "a"])
def test_what_is_no_graph(root):
    for picture in (draw.draw_dot, draw.trace):
        with pytest.raises(TypeError, match="a Value for its root, not "):
            picture(root)


def test_directions(Value):
    with pytest.raises(ValueError, match="rankdir must be one of LR, TB, RL, BT, not 'up'"):
        draw.draw_dot(Value(1.0), rankdir="up")


@pytest.mark.parametrize("label, shown", [
    ('a|b{c}<d>', r'a\|b\{c\}\<d\>'),
    ('say "hi"', r'say \"hi\"'), ("back\\slash\\", r"back\\slash\\"),
    ("two\nlines", r"two\nlines"), ("&lt;", "&amp;lt;"), (7, "7"), ("ünï", "ünï"),
    ("tab\there", "tab here"), ("\0\r\x1b[1m", "   [1m"), ("\ud800\uffff", "  ")])
def test_labels_are_escaped(Value, label, shown):
    v = Value(1.0)
    v.label = label
    assert f'"{{ {shown} | data 1.0000 | grad 0.0000 }}"' in draw.draw_dot(v)


@pytest.mark.parametrize("label", ["", None])
def test_no_label_no_cell(Value, label):
    v = Value(1.0)
    v.label = label
    assert '"{ data 1.0000 | grad 0.0000 }"' in draw.draw_dot(v)


def test_operations_are_escaped(Value):
    y = Value(1.0, (Value(2.0),), 'my "|" op')
    assert r'n1_op [label="my \"\|\" op"]' in draw.draw_dot(y)
    assert 'n1_op [label="a b"]' in draw.draw_dot(Value(1.0, (Value(2.0),), "a\x0bb"))
    assert 'n1_op [label="7"]' in draw.draw_dot(Value(1.0, (Value(2.0),), 7))
    bare = Value(1.0, (Value(2.0),))
    assert "  n0 -> n1\n" in draw.draw_dot(bare) and "_op" not in draw.draw_dot(bare)


@pytest.mark.parametrize("x, shown", [
    (2, "2.0000"), (True, "1.0000"), (1j, "1j"), (float("nan"), "nan"), (-float("inf"), "-inf"),
    (1e300, "1.0000e+300"), (10**400, "beyond the floats"), (None, "None"), ("a|b", r"a\|b"),
    ([1] * 50, "[" + "1, " * 12 + "..."), (3, "3.0000"), (0.0001, "0.0001"), (1e-7, "1e-07"),
    (-0.00001234, "-1.234e-05"), (-0.0, "-0.0000"), (5e-324, "4.941e-324")])
def test_data_of_every_kind(Value, x, shown):
    v = Value(x)
    assert f'"{{ data {shown} | grad 0.0000 }}"' in draw.draw_dot(v)
    v = Value(1.0)
    v.grad = x
    assert f'"{{ data 1.0000 | grad {shown} }}"' in draw.draw_dot(v)


def test_arrays(Value):
    np = pytest.importorskip("numpy")
    assert "data [1. 2.]" in draw.draw_dot(Value(np.array([1.0, 2.0])))
    assert r"data [[1.]\n [2.]]" in draw.draw_dot(Value(np.array([[1.0], [2.0]])))
    assert "data 1.5000" in draw.draw_dot(Value(np.float32(1.5)))


def network(nn):
    random.seed(1)
    return nn.MLP(2, [3, 1])([1.0, 2.0])


def test_the_same_text_in_every_process(Value):
    from micrograd import nn
    code = ("import sys; sys.modules['graphviz'] = None;"
            "import random; from micrograd import draw, nn; random.seed(1);"
            "print(draw.draw_dot(nn.MLP(2, [3, 1])([1.0, 2.0])), end='')")
    texts = {processes.run("-c", code, PYTHONHASHSEED=str(i)).stdout for i in range(3)}
    assert texts == {draw.draw_dot(network(nn))}


def test_one_picture_on_both_engines():
    import twins
    if twins.COMPILED is None:
        pytest.skip("needs both engines")
    assert draw.draw_dot(network(twins.COMPILED.nn)) == draw.draw_dot(network(twins.REFERENCE.nn))


def test_names_are_in_topological_order(Value):
    text = draw.draw_dot(network(__import__("micrograd.nn").nn))
    for a, b in re.findall(r"n(\d+) -> n(\d+)_op", text):
        assert int(a) < int(b)


def test_a_notebook_without_dot(Value, monkeypatch):
    monkeypatch.setenv("PATH", "")
    picture = draw.draw_dot(Value(1.0, (Value(2.0),), "<"))
    assert picture._repr_svg_() is None
    shown = picture._repr_html_()
    assert "install Graphviz" in shown and "apt install graphviz" in shown
    assert "<pre>digraph {" in shown and r"\&lt;" in shown and r"\<" not in shown


def test_a_picture_without_the_package(Value):
    picture = draw.draw_dot(Value(1.0))
    with pytest.raises(AttributeError, match="no attribute 'render'; .* pip install graphviz"):
        picture.render("x.png")
    assert not hasattr(picture, "_repr_png_") and copy.copy(picture) == picture


@pytest.mark.skipif(os.name == "nt", reason="needs a script for a program")
def test_a_notebook_with_dot(Value, monkeypatch, tmp_path):
    program = tmp_path / "dot"
    program.write_text(f"#!{sys.executable}\n"
                       "import sys\nprint(sys.argv[1:], sys.stdin.read(), end='')\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    text = draw.draw_dot(expression(Value))
    assert text._repr_svg_() == "['-Tsvg'] " + text
    assert text._repr_html_() is None


@pytest.mark.skipif(shutil.which("dot") is None, reason="needs Graphviz")
def test_the_real_dot_shows_every_label(Value):
    """In an image that is well-formed XML."""
    labels = ['a|b{c}<d>"e"\\', "&lt; & <b>", "ünï \U0001f642", "\\N\\G", "\x01\x0b\ufffe|"]
    for label in labels:
        v = Value(1.0, (Value(2.0),), label)
        v.label = label
        root = ElementTree.fromstring(draw.draw_dot(v)._repr_svg_())
        texts = [t.text.strip() for t in root.iter("{http://www.w3.org/2000/svg}text")]
        assert texts.count(label.translate(dict.fromkeys([1, 11, 0xfffe], " ")).strip()) == 2


def test_with_the_package(Value, monkeypatch):
    monkeypatch.delitem(sys.modules, "graphviz")
    graphviz = pytest.importorskip("graphviz")
    source = draw.draw_dot(expression(Value), format="png")
    assert isinstance(source, graphviz.Source)
    assert (source.source, source.format) == (PICTURE, "png")
