"use strict";
// Drawing in SVG: elements, axes, rows of cells, lines with gaps.

const INK = "#1f2933", SOFT = "#52606d", RULE = "#d5dbe2", CURSOR = "#111827";

// Okabe and Ito's colours for the colour-blind, with a grey for the first.
const CLASS_COLOURS = ["#9aa5b1", "#d55e00", "#009e73", "#cc79a7",
  "#e69f00", "#0072b2", "#f0e442", "#56b4e9"];
const LINE_COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#333333"];
const DASHES = ["", "6 3", "2 2", "8 2 2 2", "1 3"];
const PRESENT = "#3b4a5a";
const LEVELS = 20;

const svgOf = "http://www.w3.org/2000/svg";

function element(tag, attributes = {}, text = "") {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text) made.textContent = text;
  return made;
}

function shape(parent, tag, attributes = {}, text = "") {
  const made = document.createElementNS(svgOf, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text) made.textContent = text;
  parent.append(made);
  return made;
}

function drawing(parent, width, height, label) {
  const box = { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label };
  return shape(parent, "svg", { ...box, width: "100%" });
}

function write(parent, x, y, text, more = {}) {
  return shape(parent, "text", { x, y, "font-size": 11, fill: SOFT, ...more }, text);
}

// White where a value is 0 to dark blue where it is 1; the lightness alone tells them apart.
function shade(part) {
  const mix = (from, to) => Math.round(from + (to - from) * part);
  return `rgb(${mix(241, 8)},${mix(245, 48)},${mix(250, 107)})`;
}

let patterns = 0;

// What has no value: hatched, so that it does not look like a value of 0.
function hatched(svg, x, y, width, height) {
  if (!svg.querySelector("pattern")) {
    const pattern = shape(shape(svg, "defs"), "pattern", {
      id: `hatch-${patterns++}`, width: 5, height: 5,
      patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" });
    shape(pattern, "rect", { width: 5, height: 5, fill: "#fff" });
    shape(pattern, "line", { x1: 0, y1: 0, x2: 0, y2: 5, stroke: "#c3cbd5", "stroke-width": 1.6 });
  }
  const fill = `url(#${svg.querySelector("pattern").id})`;
  return shape(svg, "rect", { x, y, width, height, fill, class: "missing" });
}

// Rows of cells: rows[r][i] is the level of a cell, null for none; equal neighbours are joined.
function cells(svg, axis, rows, top, height, gap, colour) {
  const paths = new Map();
  rows.forEach((row, r) => {
    for (let i = 0; i < row.length;) {
      let end = i + 1;
      while (end < row.length && row[end] === row[i] && axis.right[end - 1] === axis.left[end]) end++;
      if (row[i] !== null) {
        const x = axis.left[i].toFixed(2), width = (axis.right[end - 1] - axis.left[i]).toFixed(2);
        const d = `M${x} ${top + r * height}h${width}v${height - gap}h-${width}z`;
        const fill = colour(row[i], r);
        paths.set(fill, (paths.get(fill) || "") + d);
      }
      i = end;
    }
  });
  for (const [fill, d] of paths) shape(svg, "path", { d, fill, "shape-rendering": "crispEdges" });
}

// A line that is broken where there is no value, and where time is left out.
function line(svg, axis, values, y, attributes) {
  let d = "", open = false;
  values.forEach((value, i) => {
    const joined = open && axis.right[i - 1] === axis.left[i];
    if (value !== null) d += `${joined ? "L" : "M"}${axis.middle[i].toFixed(2)} ${y(value).toFixed(2)}${joined ? "" : "h.01"}`;
    open = value !== null;
  });
  return shape(svg, "path", { d, fill: "none", "stroke-linecap": "round",
    "stroke-linejoin": "round", ...attributes });
}

// Where each point begins and ends, in seconds: halfway to its neighbours, unless they are far.
function spans(times) {
  const steps = times.slice(1).map((time, i) => time - times[i]);
  const usual = steps.length ? [...steps].sort((a, b) => a - b)[Math.floor((steps.length - 1) / 2)] : 1;
  const half = (i) => (steps[i] > 3 * usual ? usual / 2 : steps[i] / 2);
  return {
    from: times.map((time, i) => time - (i ? half(i - 1) : usual / 2)),
    to: times.map((time, i) => time + (i < steps.length ? half(i) : usual / 2)),
  };
}

// From times to places between left and right. Neighbours that touch in time share their edge.
function timeAxis(times, left, right) {
  const { from, to } = spans(times), start = from[0], length = to[to.length - 1] - start;
  const at = (time) => left + (time - start) / length * (right - left);
  const lefts = [], rights = [];
  times.forEach((_, i) => {
    const touches = i && Math.abs(from[i] - to[i - 1]) < 1e-6;
    lefts.push(touches ? rights[i - 1] : at(from[i]));
    rights.push(at(to[i]));
  });
  const back = (x) => start + (x - left) / (right - left) * length;
  return { at, back, left: lefts, right: rights, middle: times.map(at), start, end: start + length,
    first: left, last: right };
}

function niceStep(length, most) {
  const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600];
  return steps.find((step) => length / step <= most) || 7200;
}

function clock(seconds, step = 1) {
  if (seconds < 60) return `${step < 1 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  const rounded = Math.round(seconds), hours = Math.floor(rounded / 3600);
  const minutes = Math.floor(rounded / 60) % 60, two = (n) => String(n).padStart(2, "0");
  return (hours ? `${hours}:${two(minutes)}` : `${minutes}`) + `:${two(rounded % 60)}`;
}

function timeTicks(svg, axis, top, bottom) {
  const step = niceStep(axis.end - axis.start, (axis.last - axis.first) / 62);
  for (let k = Math.ceil(axis.start / step - 1e-9); k * step <= axis.end; k++) {
    const x = axis.at(k * step);
    if (x < axis.first - 1) continue;
    shape(svg, "line", { x1: x, x2: x, y1: bottom, y2: bottom + 4, stroke: SOFT });
    write(svg, x, bottom + 15, clock(k * step, step), { "text-anchor": "middle", "font-size": 10 });
  }
}

function nearest(numbers, wanted) {
  let best = 0;
  numbers.forEach((number, i) => {
    if (Math.abs(number - wanted) < Math.abs(numbers[best] - wanted)) best = i;
  });
  return best;
}
