// Panels along time. Each draws into a card and returns what moves its cursor.

const NARROW = 640;

function geometry(width, times) {
  const left = width < NARROW ? 84 : 158;
  return { width, left, narrow: width < NARROW, axis: timeAxis(times, left, width - 14) };
}

function card(parent, title, note = "") {
  const made = element("figure", { class: "card panel" });
  const head = element("figcaption", {}, title);
  if (note) head.append(element("span", { class: "note" }, note));
  made.append(head);
  parent.append(made);
  return made;
}

// The frame of a panel of a given height, with hatching behind, time below and a cursor on top.
function stage(parent, size, height, label) {
  const svg = drawing(parent, size.width, height + 22, label), { axis } = size;
  svg.classList.add("along-time");
  hatched(svg, axis.first, 2, axis.last - axis.first, height);
  timeTicks(svg, axis, 2, height + 2);
  return svg;
}

function cursor(svg, size, height) {
  const mark = shape(svg, "line", { class: "cursor", y1: 0, y2: height + 4, x1: 0, x2: 0,
    stroke: CURSOR, "stroke-width": 1.2, "stroke-dasharray": "3 2" });
  return (i) => {
    mark.setAttribute("x1", size.axis.middle[i]);
    mark.setAttribute("x2", size.axis.middle[i]);
  };
}

// White where there are values, in place of the hatching.
function covered(svg, axis, column, height) {
  const there = column.map((value) => (value === null ? null : 0));
  cells(svg, axis, [there], 2, height, 0, () => "#fff");
}

const level = (value, low, high) =>
  value === null ? null : Math.round(LEVELS * Math.min(1, Math.max(0, (value - low) / (high - low))));

function rowNames(svg, size, panel, top, height, swatches) {
  panel.titles.forEach((title, r) => {
    const y = top + (r + 0.5) * height + 4;
    if (swatches) shape(svg, "rect", { x: size.left - 16, y: y - 9, width: 10, height: 10,
      fill: swatches[panel.slots[r] % swatches.length] });
    const text = size.narrow ? panel.names[r] : title;
    write(svg, size.left - (swatches ? 20 : 6), y, text, { "text-anchor": "end", ...faint(panel, r) });
  });
}

// What is not shown to hold on people is gray, and a note says so once.
const isFaint = (panel, k) => panel.holds[k] === "not shown";
const faint = (panel, k) => (isFaint(panel, k) ? { fill: "#8a96a3", "font-style": "italic" } : {});

function faintNote(holder, panel) {
  if (!panel.holds.includes("not shown")) return;
  const note = "gray, in italics: not shown to hold on people";
  holder.querySelector("figcaption").append(element("span", { class: "note" }, note));
}

// Grays out the rows of what is not shown to hold.
function veil(svg, size, panel, top, lane) {
  panel.titles.forEach((_, r) => {
    if (isFaint(panel, r)) shape(svg, "rect", { x: size.axis.first, y: top + r * lane,
      width: size.axis.last - size.axis.first, height: lane, fill: "#fff", opacity: 0.6, class: "veil" });
  });
}

// Classes: the likeliest as a ribbon, named where there is room, and each one's probability.
function classesPanel(parent, size, panel, own, clip) {
  const holder = card(parent, panel.title, "the likeliest, and below it the probability of each");
  const lane = 13, top = 32, height = top + lane * panel.titles.length;
  const svg = stage(holder, size, height, `${panel.title} over time`), { axis } = size;
  covered(svg, axis, own[0], height);
  const best = clip.times.map((_, i) => likeliest(own, i));
  cells(svg, axis, [best], 2, 26, 0, (k) => classColour(panel, k));
  nameRuns(svg, axis, best, panel);
  write(svg, size.left - 6, 19, "likeliest", { "text-anchor": "end" });
  const rows = own.map((column) => column.map((value) => level(value, ...clip.scale(panel))));
  cells(svg, axis, rows, top, lane, 2, (k) => shade(k / LEVELS));
  veil(svg, size, panel, top, lane);
  rowNames(svg, size, panel, top, lane, CLASS_COLOURS);
  faintNote(holder, panel);
  return cursor(svg, size, height);
}

function likeliest(own, i) {
  if (own[0][i] === null) return null;
  return own.reduce((best, column, k) => (column[i] > own[best][i] ? k : best), 0);
}

const classColour = (panel, k) => CLASS_COLOURS[panel.slots[k] % CLASS_COLOURS.length];

function nameRuns(svg, axis, best, panel) {
  const { titles } = panel;
  for (let i = 0; i < best.length;) {
    let end = i + 1;
    while (end < best.length && best[end] === best[i] && axis.right[end - 1] === axis.left[end]) end++;
    const width = axis.right[end - 1] - axis.left[i];
    const title = best[i] === null ? "" : titles[best[i]];
    if (title && width > 7 * title.length + 6) {
      const dark = classColour(panel, best[i]) === "#0072b2";
      write(svg, axis.left[i] + width / 2, 19, title,
        { "text-anchor": "middle", fill: dark ? "#fff" : INK, class: "run" });
    }
    i = end;
  }
}

// Seconds of the raised cosine by which lines are smoothed where the table has no smoothed values.
const SMOOTH_S = 1;

// Mean of the values around each point, by a raised cosine; over gaps nothing is averaged.
function smoothed(values, times) {
  const reach = SMOOTH_S / 2;
  let from = 0;
  return values.map((value, i) => {
    if (value === null) return null;
    while (times[from] < times[i] - reach) from++;
    let sum = 0, weights = 0;
    for (let k = from; k < times.length && times[k] <= times[i] + reach; k++) {
      if (values[k] === null) continue;
      const weight = 1 + Math.cos(Math.PI * (times[k] - times[i]) / reach) + 1e-6;
      sum += weight * values[k];
      weights += weight;
    }
    return sum / weights;
  });
}

function linesPanel(parent, size, panel, own, clip, before) {
  const fine = (clip.times[clip.times.length - 1] - clip.times[0]) / clip.times.length < SMOOTH_S / 4;
  const raw = before.length ? before : fine ? own : [];
  const how = before.length ? "thick: smoothed" : `thick: smoothed over ${SMOOTH_S} s`;
  const holder = card(parent, panel.title, raw.length ? `${how}; faint: as predicted` : "");
  holder.querySelector("figcaption").append(lineLegend(panel, own));
  const drawn = before.length || !fine ? own : own.map((values) => smoothed(values, clip.times));
  const height = 150, [low, high] = clip.scale(panel), { axis } = size;
  const y = (value) => 6 + (high - value) / (high - low) * (height - 8);
  const svg = stage(holder, size, height, `${panel.title} over time`);
  covered(svg, axis, own[0], height);
  for (const value of [low, (low + high) / 2, high]) {
    shape(svg, "line", { x1: axis.first, x2: axis.last, y1: y(value), y2: y(value), stroke: RULE });
    write(svg, size.left - 6, y(value) + 4, `${value / 1000}`, { "text-anchor": "end" });
  }
  raw.forEach((values, k) => line(svg, axis, values, y,
    { stroke: LINE_COLOURS[k % 5], "stroke-width": 1, opacity: 0.4 }));
  drawn.forEach((values, k) => line(svg, axis, values, y,
    { stroke: LINE_COLOURS[k % 5], "stroke-dasharray": DASHES[k % 5],
      "stroke-width": isFaint(panel, k) ? 1 : 1.9, opacity: isFaint(panel, k) ? 0.4 : 1 }));
  return cursor(svg, size, height);
}

function lineLegend(panel, own) {
  const made = element("span", { class: "legend" });
  panel.titles.forEach((title, k) => {
    const entry = element("span", { class: "entry" });
    const sample = drawing(entry, 30, 8, "");
    sample.setAttribute("class", "sample");
    shape(sample, "line", { x1: 0, x2: 30, y1: 4, y2: 4, stroke: LINE_COLOURS[k % 5],
      "stroke-width": 2, "stroke-dasharray": DASHES[k % 5] });
    const poles = panel.poles[k].length ? `, -1 ${panel.poles[k][0]} to 1 ${panel.poles[k][1]}` : "";
    const isBlank = own[k].every((value) => value === null);
    const word = isBlank ? ", blank" : isFaint(panel, k) ? ", not shown to hold on people" : "";
    entry.append(element("span", word ? { class: "faint" } : {}, title + poles + word));
    made.append(entry);
  });
  return made;
}

function heatPanel(parent, size, panel, own, clip) {
  const holder = card(parent, panel.title);
  const [low, high] = clip.scale(panel);
  holder.querySelector("figcaption").append(scaleLegend(low / 1000, high / 1000));
  const lane = 16, height = lane * own.length;
  const svg = stage(holder, size, height + 2, `${panel.title} over time`);
  covered(svg, size.axis, own[0], height + 2);
  const rows = own.map((column) => column.map((value) => level(value, low, high)));
  cells(svg, size.axis, rows, 3, lane, 1, (k) => shade(k / LEVELS));
  veil(svg, size, panel, 3, lane);
  rowNames(svg, size, panel, 2, lane);
  faintNote(holder, panel);
  if (size.narrow) holder.append(element("p", { class: "note" }, panel.titles.join(", ")));
  return cursor(svg, size, height + 2);
}

function scaleLegend(low, high) {
  const made = element("span", { class: "legend" }, `${low} `);
  const sample = drawing(made, 84, 10, "");
  sample.setAttribute("class", "scale");
  for (let k = 0; k <= LEVELS; k++) {
    shape(sample, "rect", { x: 4 * k, y: 0, width: 4.2, height: 10, fill: shade(k / LEVELS) });
  }
  made.append(element("span", {}, `${high}`));
  return made;
}

// Where a face was seen and a voice heard: dark for all frames of a point, hatched for none.
function presencePanel(parent, size, person, clip) {
  const holder = card(parent, "seen and heard", "dark: all frames of a point; hatched: none");
  const rows = [["voice heard", clip.voice]];
  if (person.face) rows.unshift(["face seen", person.seen]);
  const lane = 16, height = lane * rows.length;
  const svg = stage(holder, size, height, "where a face was seen and a voice heard");
  const shares = rows.map(([, row]) => row.map((share) => (share ? Math.ceil(share / 250) : null)));
  cells(svg, size.axis, shares, 2, lane, 2, (k) => ["", "#b6c0cb", "#93a1b0", "#67788a", PRESENT][k]);
  rows.forEach(([name], r) => write(svg, size.left - 6, lane * r + 13, name, { "text-anchor": "end" }));
  return cursor(svg, size, height);
}

// Pictures along time, side by side; a tick shows the moment of each, nearest to its place. Where
// nobody was there all the while a picture would last, it is hatched.
function filmPanel(parent, size, thumbs, tallest, title, clip, there) {
  const holder = card(parent, title), { axis } = size, whole = axis.last - axis.first;
  const widest = Math.max(...thumbs.map((thumb) => thumb.ratio));
  const height = Math.min(tallest, whole / (size.narrow ? 4 : 6) / widest);
  const svg = drawing(holder, size.width, height + 10, title);
  svg.classList.add("along-time");
  const slots = Math.max(1, Math.floor(whole / (widest * height + 4))), slot = whole / slots;
  for (let k = 0; k < slots; k++) {
    const middle = axis.first + (k + 0.5) * slot, width = widest * height;
    const thumb = thumbs[nearest(thumbs.map((each) => axis.at(each.t)), middle)], x = axis.at(thumb.t);
    const from = axis.first + k * slot, to = from + slot;
    const isGone = there && !clip.times.some((_, i) => there[i] && axis.right[i] > from && axis.left[i] < to);
    if (isGone) { hatched(svg, middle - width / 2, 0, width, height); continue; }
    const own = thumb.ratio * height, left = middle - own / 2;
    shape(svg, "image", { href: thumb.src, x: left, y: 0, width: own, height });
    shape(svg, "path", { d: `M${x.toFixed(1)} ${height + 1}l4 7h-8z`, fill: SOFT });
  }
  return cursor(svg, size, height);
}
