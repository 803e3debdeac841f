// What stands beside the panels: the values at the cursor, and two values against each other.

const number = (value) => (value === null || value === undefined ? "–" : (value / 1000).toFixed(2).replace("-", "−"));

function nearestThumb(thumbs, time) {
  return thumbs.length ? thumbs[nearest(thumbs.map((thumb) => thumb.t), time)] : null;
}

// Plays the clip's file where it lies beside the page; without it there is none. The cursor goes with
// it while it plays, and it goes to the cursor while it stands.
class Player {
  constructor(clip, moved) {
    this.clip = clip;
    this.box = element("div", { class: "card player" });
    if (!clip.media || location.protocol !== "file:") return;
    const kind = clip.thumbs.length ? "video" : "audio";
    this.media = element(kind, { controls: "", preload: "metadata", playsinline: "", src: clip.media });
    this.media.addEventListener("loadedmetadata", () => { this.box.classList.add("ready"); moved(null); });
    this.media.addEventListener("error", () => { this.box.remove(); this.media = null; });
    const follow = () => {
      moved(nearest(clip.times, this.media.currentTime));
      if (!this.media.paused) requestAnimationFrame(follow);
    };
    this.media.addEventListener("play", follow);
    this.media.addEventListener("seeked", () => {
      if (this.media.paused && document.activeElement === this.media) follow();
    });
    this.box.append(this.media);
  }

  standIn(side) {
    if (this.media) side.prepend(this.box);
  }

  get isReady() { return this.box.classList.contains("ready"); }

  go(time) {
    if (this.isReady && this.media.paused) this.media.currentTime = time;
  }

  toggle() {
    if (!this.isReady) return false;
    if (this.media.paused) this.media.play().catch(() => {}); else this.media.pause();
    return true;
  }
}

// Returns what shows the values of one moment.
function readout(parent, clip, person, columns, most) {
  const box = element("div", { class: "card readout", "aria-live": "off" });
  parent.append(box);
  return (i) => {
    const time = clip.times[i];
    const isPlayed = parent.querySelector(".player.ready") !== null;
    box.replaceChildren(pictures(clip, person, time, isPlayed), element("div", { class: "moment" }));
    const told = box.querySelector(".moment");
    if (clip.times.length === 1) return;
    told.append(element("strong", {}, `${clock(time, 0.1)}${time >= 60 ? ` (${time.toFixed(1)} s)` : ""}`));
    told.append(element("div", { class: "note" }, presence(clip, person, i)));
    clip.panels.forEach((panel, p) => told.append(values(panel, columns(p), i, most)));
  };
}

function pictures(clip, person, time, isPlayed) {
  const made = element("div", { class: "pictures" });
  const frame = isPlayed ? null : nearestThumb(clip.thumbs, time);
  const taken = [["frame", frame], ["face", nearestThumb(person.thumbs, time)]];
  for (const [what, thumb] of taken) {
    if (!thumb) continue;
    const one = element("figure", {});
    const caption = clip.times.length === 1 ? what : `${what} at ${thumb.t.toFixed(1)} s`;
    one.append(element("img", { src: thumb.src, alt: caption }));
    one.append(element("figcaption", {}, caption));
    made.append(one);
  }
  return made;
}

function presence(clip, person, i) {
  const share = (value) => `${Math.round(value / 10)}\u00a0%`;
  const face = person.face ? `face seen ${share(person.seen[i])}, ` : "";
  const smoothed = person.smooth.length ? "; in brackets not smoothed" : "";
  return `${face}voice heard ${share(clip.voice[i])}${smoothed}`;
}

// All values of a panel; of classes the likeliest, and of any others the highest if only so many fit.
function values(panel, own, i, most = Infinity) {
  const made = element("div", { class: `values ${panel.kind}` });
  const fit = panel.kind === "classes" ? Math.min(most, 3) : most;
  let order = panel.titles.map((_, k) => k);
  if (order.length > fit) order = order.sort((a, b) => own.shown[b][i] - own.shown[a][i]).slice(0, fit);
  const [low, high] = panel.range.map((end) => 1000 * end);
  for (const k of order) {
    const value = own.shown[k][i], raw = own.raw.length ? ` (${number(own.raw[k][i])})` : "";
    const row = element("div", { class: isFaint(panel, k) ? "value faint" : "value" });
    row.append(element("span", {}, most === 2 ? panel.names[k] : panel.titles[k]));
    if (panel.kind !== "lines") row.append(bar(value, low, high));
    row.append(element("b", {}, number(value) + raw));
    made.append(row);
  }
  return made;
}

// From 0, or from the lowest value if that is higher, to a value.
function bar(value, low, high) {
  const made = element("span", { class: "bar" });
  const at = (place) => Math.min(100, Math.max(0, 100 * (place - low) / (high - low)));
  const ends = value === null ? [0, 0] : [at(Math.max(low, 0)), at(value)].sort((a, b) => a - b);
  const style = `margin-left:${ends[0]}%;width:${ends[1] - ends[0]}%`;
  made.append(element("i", { style }));
  return made;
}

// The plane of two values, such as valence and arousal, a square as each has its own range: every point, pale at first and dark at last.
function planePanel(parent, panel, own, clip, chosen) {
  const isStill = clip.times.length === 1;
  const holder = card(parent, panel.titles.join(" and "), isStill ? "" : "a dot is a point; pale is early, dark late");
  const side = 240, middle = side / 2, reach = 92, [low, high] = clip.scale(panel);
  const at = (value) => (value - low) / (high - low) * 2 - 1;
  const x = (value) => middle + reach * at(value), y = (value) => middle - reach * at(value);
  const svg = drawing(holder, side, side, `${panel.titles.join(" against ")}`);
  svg.classList.add("plane");
  shape(svg, "rect", { x: middle - reach, y: middle - reach, width: 2 * reach, height: 2 * reach,
    fill: "#fff", stroke: RULE });
  shape(svg, "path", { d: `M${middle - reach} ${middle}h${2 * reach}M${middle} ${middle - reach}v${2 * reach}`, stroke: RULE });
  planeWords(svg, panel, middle, reach);
  const isThere = (i) => own.shown[0][i] !== null && own.shown[1][i] !== null;
  const there = clip.times.map((_, i) => i).filter(isThere);
  there.forEach((i, rank) => shape(svg, "circle", { cx: x(own.shown[0][i]), cy: y(own.shown[1][i]),
    r: isStill ? 4 : 2.4, fill: shade(isStill ? 1 : 0.25 + 0.75 * rank / there.length), opacity: 0.75 }));
  const mark = shape(svg, "circle", { class: "cursor", r: 6, fill: "none", stroke: "#d55e00", "stroke-width": 2.5 });
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect(), scale = side / box.width;
    const [px, py] = [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
    const gap = (i) => Math.hypot(x(own.shown[0][i]) - px, y(own.shown[1][i]) - py);
    if (there.length) chosen(there.reduce((best, i) => (gap(i) < gap(best) ? i : best)));
  });
  return (i) => {
    const seen = isThere(i);
    mark.setAttribute("visibility", seen ? "inherit" : "hidden");
    mark.setAttribute("cx", seen ? x(own.shown[0][i]) : middle);
    mark.setAttribute("cy", seen ? y(own.shown[1][i]) : middle);
  };
}

function planeWords(svg, panel, middle, reach) {
  const [[left, right], [down, up]] = panel.poles.map((pair) => (pair.length ? pair : ["", ""]));
  const [one, other] = panel.titles, end = 2 * middle;
  write(svg, middle, 12, `${up} (${other} 1)`, { "text-anchor": "middle", "font-size": 10 });
  write(svg, middle, end - 4, `${down} (-1)`, { "text-anchor": "middle", "font-size": 10 });
  const turned = (x) => ({ "text-anchor": "middle", "font-size": 10, transform: `rotate(-90 ${x} ${middle})` });
  write(svg, 12, middle, `${left} (-1)`, turned(12));
  write(svg, end - 4, middle, `${right} (${one} 1)`, turned(end - 4));
}
