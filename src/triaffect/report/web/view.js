// Puts clips, tabs and panels together, and keeps all cursors at one moment.

// Width of panels that are drawn to be printed, so that a tab fits on a page.
const PRINTED = 1240;

// Width of what stands beside the panels.
const SIDE = 290;

class ClipView {
  constructor(section, content) {
    this.root = section.querySelector(".view");
    this.clip = content;
    this.clip.scale = (panel) => panel.range.map((end) => 1000 * end);
    this.tab = 0;
    this.at = Math.max(0, content.people[0].seen.findIndex((share) => share > 0));
    this.player = new Player(content, (i) => this.move(i ?? this.at, i !== null));
  }

  async show() {
    await sizes([...this.clip.thumbs, ...this.clip.people.flatMap((person) => person.thumbs)]);
    this.draw();
  }

  // On paper nothing tells how wide the page is, so there the width is always the same.
  draw(onPaper = false) {
    const { people } = this.clip, summary = this.root.parentNode.querySelector("details");
    if (onPaper) summary.open = true; else if (this.isOnPaper) summary.open = false;
    this.isOnPaper = onPaper;
    this.root.replaceChildren();
    this.movers = [];
    this.tabs = element("div", { class: "tabs", role: "tablist" });
    this.bodies = people.map((person, k) => {
      const button = element("button", { role: "tab", type: "button" });
      const face = person.thumbs[person.thumbs.length >> 1];
      if (face) button.append(element("img", { src: face.src, alt: "" }));
      const share = this.clip.times.length > 1 ? `, ${Math.round(100 * person.share)}\u00a0%` : "";
      button.append(`${person.label}${share}`);
      if (share) button.title = "with the share of the time";
      button.addEventListener("click", () => this.choose(k));
      this.tabs.append(button);
      return element("div", { class: "tab", role: "tabpanel", "aria-label": person.label });
    });
    this.root.append(this.tabs, ...this.bodies);
    this.root.style.setProperty("--side", `${SIDE}px`);
    people.forEach((person, k) => { this.movers[k] = this.fill(this.bodies[k], person, onPaper); });
    this.choose(this.tab);
  }

  // The columns of a panel: what is shown, and what it was before smoothing.
  columns(person) {
    let start = 0;
    const parts = this.clip.panels.map((panel) => {
      const from = start, to = start += panel.titles.length;
      const plain = person.values.slice(from, to), smooth = person.smooth.slice(from, to);
      return smooth.length ? { shown: smooth, raw: plain } : { shown: plain, raw: [] };
    });
    return (p) => parts[p];
  }

  fill(body, person, onPaper) {
    const main = element("div", { class: "main" }), side = element("div", { class: "side" });
    body.append(element("h3", {}, person.label), main, side);
    const columns = this.columns(person), room = this.root.clientWidth, wide = room >= 860;
    const width = onPaper ? PRINTED : wide ? room - SIDE - 42 : room - 26;
    const movers = this.clip.times.length > 1
      ? this.along(main, person, columns, width) : still(main, this.clip, columns);
    const pictured = this.clip.thumbs.length > 0;
    if (this.clip.times.length > 1 || pictured) movers.push(readout(side, this.clip, person, columns, wide ? Infinity : 2));
    this.clip.panels.forEach((panel, p) => {
      const own = columns(p).shown, isThere = (_, i) => own[0][i] !== null && own[1][i] !== null;
      if (panel.plane && this.clip.times.some(isThere)) movers.push(planePanel(side, panel, columns(p), this.clip, (i) => this.move(i)));
    });
    return movers;
  }

  along(main, person, columns, width) {
    const { clip } = this, size = geometry(width, clip.times), movers = [];
    if (clip.thumbs.length) movers.push(filmPanel(main, size, clip.thumbs, 64, "frames", clip));
    if (person.thumbs.length) movers.push(filmPanel(main, size, person.thumbs, 54, person.label === "No face" ? "frames" : "this face", clip, person.seen));
    movers.push(presencePanel(main, size, person, clip));
    clip.panels.forEach((panel, p) => {
      const { shown, raw } = columns(p);
      const draw = { classes: classesPanel, lines: linesPanel, heat: heatPanel }[panel.kind];
      movers.push(draw(main, size, panel, shown, clip, raw));
    });
    main.setAttribute("tabindex", "0");
    const point = (event) => {
      const svg = event.target.closest(".along-time");
      if (!svg) return;
      const box = svg.getBoundingClientRect();
      const time = size.axis.back((event.clientX - box.left) * size.width / box.width);
      this.move(nearest(clip.times, time));
    };
    main.addEventListener("pointermove", point);
    main.addEventListener("pointerdown", point);
    main.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (step) { this.move(this.at + step); event.preventDefault(); }
      if (event.key === " " && this.player.toggle()) event.preventDefault();
    });
    return movers;
  }

  choose(k) {
    this.tab = k;
    [...this.tabs.children].forEach((button, n) => button.setAttribute("aria-selected", n === k));
    this.bodies.forEach((body, n) => body.classList.toggle("chosen", n === k));
    this.player.standIn(this.bodies[k].querySelector(".side"));
    this.move(this.at);
    if (this.chosen) this.chosen(k);
  }

  move(i, isPlaying = false) {
    this.at = Math.min(Math.max(i, 0), this.clip.times.length - 1);
    (this.movers?.[this.tab] || []).forEach((mover) => mover(this.at));
    if (!isPlaying) this.player.go(this.clip.times[this.at]);
  }
}

// A single moment: bars instead of panels along time.
function still(main, clip, columns) {
  clip.panels.forEach((panel, p) => {
    const holder = card(main, panel.title);
    holder.append(values({ ...panel, kind: "heat" }, columns(p), 0));
  });
  return [];
}

// Width over height of each picture.
function sizes(thumbs) {
  return Promise.all(thumbs.map(async (thumb) => {
    const image = new Image();
    image.src = thumb.src;
    await image.decode().catch(() => {});
    thumb.ratio = image.naturalHeight ? image.naturalWidth / image.naturalHeight : 1;
  }));
}
