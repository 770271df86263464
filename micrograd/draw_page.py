"""The page that draw.animate fills: HTML, CSS and JavaScript, which load nothing from anywhere.

All texts of the graph are in its JSON and reach the page as text, never as HTML.
"""
import json
from typing import Any

TEMPLATE = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width">
<title>micrograd</title>
<style>
:root { color-scheme: light dark; --page: #fff; --box: #f4f4f6; --ink: #1b1b1f; --faint: #6a6a75;
  --line: #b4b4c0; --data: #1456b8; --grad: #a8380b; --now: #f0b429; }
@media (prefers-color-scheme: dark) { :root { --page: #16161a; --box: #24242b; --ink: #ececf1;
  --faint: #9c9ca8; --line: #565663; --data: #8ab8ff; --grad: #ffa07a; --now: #d99a0b; } }
html, body { height: 100%; margin: 0; }
body { display: flex; flex-direction: column; background: var(--page); color: var(--ink);
  font: 14px/1.45 system-ui, sans-serif; }
nav { display: flex; flex-wrap: wrap; gap: 6px; align-items: center; padding: 8px 12px; }
button { font: inherit; padding: 2px 10px; }
#at { flex: 1; min-width: 80px; }
#count { min-width: 150px; color: var(--faint); }
#stage { flex: 1; min-height: 0; display: flex; overflow: auto;
  border-block: 1px solid var(--line); }
#stage svg { flex: none; margin: auto; }
#said { height: 9.5em; overflow: auto; padding: 8px 12px; }
#said h1 { font-size: 15px; margin: 0 0 4px; }
#said pre { font: 13px/1.45 ui-monospace, monospace; margin: 0; }
rect { fill: var(--box); stroke: var(--line); }
text { fill: var(--ink); font: 13px ui-monospace, monospace; }
.name { font-weight: 600; }
.op { text-anchor: end; fill: var(--faint); }
.data { fill: var(--data); }
.grad { fill: var(--grad); }
path { fill: none; stroke: var(--line); stroke-width: 1.3; }
.to-come text { fill: var(--faint); opacity: .65; }
.near rect { stroke: var(--now); stroke-width: 2; }
.now rect { stroke: var(--now); stroke-width: 4; }
path.near { stroke: var(--now); stroke-width: 2.5; }
</style>
<nav>
<button id="first" title="Home">start</button>
<button id="back" title="left arrow">&#9664; back</button>
<button id="next" title="right arrow">next &#9654;</button>
<button id="last" title="End">end</button>
<input id="at" type="range" min="0" value="0" aria-label="step">
<span id="count"></span>
<button id="smaller" aria-label="smaller">&minus;</button>
<button id="larger" aria-label="larger">+</button>
<button id="fit">whole graph</button>
</nav>
<div id="stage"></div>
<div id="said" aria-live="polite"><h1></h1><pre></pre></div>
<script id="graph" type="application/json">@GRAPH@</script>
<script>
"use strict";
const { nodes, edges, steps, width, height, box } =
  JSON.parse(document.getElementById("graph").textContent);
const stage = document.getElementById("stage"), at = document.getElementById("at");

function element(tag, attributes, parent, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const name in attributes) made.setAttribute(name, attributes[name]);
  if (text !== undefined) made.textContent = text;
  return parent.appendChild(made);
}

function curve(points) {        // bends between the layers, and is level in them
  const [[x, y], ...rest] = points, half = box.width / 2;
  let path = `M${x + half},${y}`, before = [x, y];
  for (const [u, v] of rest) {
    const from = before[0] + half, to = u - half, middle = (from + to) / 2;
    path += `C${middle},${before[1]} ${middle},${v} ${to},${v}`;
    if (u !== points.at(-1)[0]) path += `H${u + half}`;
    before = [u, v];
  }
  return path;
}

const svg = element("svg", { viewBox: `0 0 ${width} ${height}` }, stage);
for (const edge of edges) edge.path = element("path", { d: curve(edge.points) }, svg);
for (const node of nodes) {
  const group = node.group = element("g", {}, svg), left = node.x - box.width / 2,
    top = node.y - box.height / 2;
  element("rect", { x: left, y: top, width: box.width, height: box.height, rx: 6 }, group);
  element("text", { x: left + 9, y: top + 19, class: "name" }, group, node.short);
  element("text", { x: left + box.width - 9, y: top + 19, class: "op" }, group, node.op);
  node.data = element("text", { x: left + 9, y: top + 38, class: "data" }, group);
  node.grad = element("text", { x: left + 9, y: top + 56, class: "grad" }, group);
  element("title", {}, group, node.name);
}

let step = 0, zoom = 1, whole = true;

function size() {
  const fits = Math.min((stage.clientWidth - 4) / width, (stage.clientHeight - 4) / height);
  if (whole) zoom = Math.min(1.4, fits);
  svg.setAttribute("width", width * zoom);
  svg.setAttribute("height", height * zoom);
  const { node } = steps[step];
  if (node !== null) stage.scrollTo(nodes[node].x * zoom - stage.clientWidth / 2,
                                    nodes[node].y * zoom - stage.clientHeight / 2);
}

function show(k) {
  step = at.value = Math.max(0, Math.min(steps.length - 1, k));
  const made = new Set(nodes.keys()), grads = new Map(), now = steps[step];
  for (const s of steps) if (s.phase === "forward") made.delete(s.node);
  for (const s of steps.slice(0, step + 1)) {
    if (s.phase === "forward") made.add(s.node);
    for (const [node, text] of s.grads) grads.set(node, text);
  }
  const near = new Set(now.lines.length ? nodes[now.node].operands : []);
  nodes.forEach((node, i) => {
    node.data.textContent = made.has(i) ? "data " + node.number : "";
    node.grad.textContent = made.has(i) ? "grad " + (grads.get(i) ?? "0") : "";
    node.group.setAttribute("class", i === now.node ? "now" : near.has(i) ? "near" :
                                     made.has(i) ? "" : "to-come");
  });
  for (const edge of edges) {
    const lit = edge.to === now.node && near.has(edge.from);
    edge.path.setAttribute("class", lit ? "near" : "");
    if (lit) svg.insertBefore(edge.path, nodes[0].group);       // over the other edges
  }
  document.getElementById("count").textContent =
    `step ${step} of ${steps.length - 1}, ${now.phase}`;
  document.querySelector("#said h1").textContent = now.title;
  document.querySelector("#said pre").textContent = now.lines.join("\\n");
  size();
}

function enlarge(factor) {
  zoom = Math.max(.05, Math.min(4, zoom * factor));
  whole = false;
  size();
}

const buttons = {
  first: () => show(0), back: () => show(step - 1),
  next: () => show(step + 1), last: () => show(steps.length - 1),
  smaller: () => enlarge(.8), larger: () => enlarge(1.25), fit: () => { whole = true; size(); },
};
for (const id in buttons) document.getElementById(id).onclick = buttons[id];
const keys = { ArrowRight: "next", ArrowDown: "next", ArrowLeft: "back", ArrowUp: "back",
  Home: "first", End: "last" };
addEventListener("keydown", event => {
  if (!(event.key in keys) || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  buttons[keys[event.key]]();
});
at.max = steps.length - 1;
at.oninput = () => show(Number(at.value));
addEventListener("resize", size);
size();
if (zoom < .7) { zoom = .85; whole = false; }    // too small to read: follow the steps instead
show(Number(location.hash.slice(1)) || 0);
</script>
</html>
"""


def page(graph: dict[str, Any]) -> str:
    """The page of {nodes, edges, steps, width, height, box}. Nothing in it can end its script."""
    text = json.dumps(graph, separators=(",", ":"))     # ASCII
    return TEMPLATE.replace("@GRAPH@", text.replace("<", "\\u003c").replace("&", "\\u0026"))
