// The rows of people lead to their clips, which are drawn when they are first looked at.

const sections = [...document.querySelectorAll("section.clip")], views = [];
const rows = [...document.querySelectorAll("#results tbody tr")];
const links = rows.map((row) => row.querySelector("a"));
let shown = -1;

const shownLinks = () => links.filter((_, k) => !rows[k].hidden);

// Marks the row of a tab of a clip, and what the buttons beside it lead to.
function mark(clip, tab) {
  const address = `#clip-${clip}-${tab}`;
  links.forEach((link, k) => {
    const isHere = link.getAttribute("href") === address;
    rows[k].classList.toggle("here", isHere);
    if (isHere) link.setAttribute("aria-current", "true"); else link.removeAttribute("aria-current");
  });
  drawStepper();
}

function drawStepper() {
  const stepper = document.getElementById("stepper"), there = shownLinks();
  const at = there.findIndex((link) => link.hasAttribute("aria-current"));
  stepper.hidden = links.length < 2;
  const step = (text, link) => {
    const made = element("a", { class: "button" }, text);
    if (link) made.setAttribute("href", link.getAttribute("href"));
    else made.setAttribute("aria-disabled", "true");
    return made;
  };
  const before = at > 0 ? there[at - 1] : null, after = there[at + 1];
  const place = at < 0 ? "" : `${at + 1} of ${there.length}`;
  stepper.replaceChildren(step("‹ Previous", before), element("span", {}, place), step("Next ›", after));
}

async function show(k, tab) {
  sections.forEach((section, n) => { section.hidden = n !== k; });
  document.documentElement.dataset.clip = "";
  shown = k;
  const data = () => JSON.parse(document.getElementById(`data-${k}`).textContent);
  const view = views[k] = views[k] || new ClipView(sections[k], data());
  view.chosen = null;
  if (tab !== undefined) view.tab = Math.min(tab, view.clip.people.length - 1);
  await view.show();
  view.chosen = (n) => mark(k, n);
  if (shown === k) mark(k, view.tab);
  document.documentElement.dataset.clip = k;
}

// What the address after # names: a clip, and which of its people.
function named() {
  const parts = location.hash.match(/^#clip-(\d+)(?:-(\d+))?$/);
  return parts && Number(parts[1]) < sections.length ? [Number(parts[1]), Number(parts[2] || 0)] : null;
}

async function follow() {
  const [k, tab] = named();
  await show(k, tab);
  document.getElementById(links.length > 1 ? "stepper" : `clip-${k}`).scrollIntoView();
  sections[k].querySelector(".tab.chosen .main").focus({ preventScroll: true });
}

function filter() {
  const words = document.getElementById("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  rows.forEach((row) => {
    const text = row.textContent.toLowerCase();
    row.hidden = !words.every((word) => text.includes(word));
  });
  const count = shownLinks().length, people = rows.length === 1 ? "person" : "people";
  const of = count === rows.length ? "" : `${count} of `;
  document.getElementById("count").textContent = `${of}${rows.length} ${people}`;
  drawStepper();
}

// Names that a reader types beside the rows become the file that `--people` reads.
function editPeople() {
  const named = rows.filter((row) => row.dataset.clip);
  const fields = named.map((row) => row.querySelector("input.name"));
  if (fields.some(Boolean)) {
    savePeople(named, fields.map((field) => field.value.trim()));
    return;
  }
  document.getElementById("name-people").textContent = "Save people.csv";
  document.getElementById("naming").hidden = false;
  for (const row of named) {
    const label = `Name of ${row.querySelector("b").textContent}, ${row.querySelector("small").textContent}`;
    row.querySelector(".who").append(element("input", { class: "name", "aria-label": label, placeholder: "name" }));
  }
  named[0].querySelector("input.name").focus();
}

function savePeople(named, names) {
  const quoted = (text) => `"${text.replaceAll('"', '""')}"`;
  const lines = named.map((row, k) => `${quoted(row.dataset.clip)},${row.dataset.face},${quoted(names[k])}`);
  const content = ["clip,face,participant", ...lines.filter((_, k) => names[k]), ""].join("\n");
  const address = URL.createObjectURL(new Blob([content], { type: "text/csv" }));
  element("a", { href: address, download: "people.csv" }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}

function press(event) {
  const field = document.getElementById("filter"), isTyping = event.target.matches("input, select, video, audio");
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const there = shownLinks(), at = there.indexOf(document.activeElement);
  const move = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (move && (at >= 0 || event.target === field)) {
    there[Math.min(Math.max(at + move, 0), there.length - 1)]?.focus();
  } else if (event.key === "/" && !isTyping) {
    field.focus();
  } else if ((event.key === "n" || event.key === "p") && !isTyping) {
    document.querySelector(`#stepper a:${event.key === "n" ? "last" : "first"}-child`).click();
  } else if (event.key === "Escape") {
    (links.find((link) => link.hasAttribute("aria-current")) || field).focus();
  } else {
    return;
  }
  event.preventDefault();
}

function start() {
  rows.forEach((row, k) => row.addEventListener("click", (event) => {
    if (!event.target.closest("a, input") && !String(getSelection())) links[k].click();
  }));
  links.forEach((link) => link.addEventListener("click", () => {
    if (location.hash === link.getAttribute("href")) follow();
  }));
  document.getElementById("filter").addEventListener("input", filter);
  document.getElementById("name-people")?.addEventListener("click", editPeople);
  document.addEventListener("keydown", press);
  window.addEventListener("hashchange", () => { if (named()) follow(); });
  window.addEventListener("beforeprint", () => views[shown]?.draw(true));
  window.addEventListener("afterprint", () => views[shown]?.draw());
  let width = window.innerWidth;
  window.addEventListener("resize", () => {
    if (window.innerWidth === width) return;
    width = window.innerWidth;
    if (shown >= 0) show(shown);
  });
  if (named()) follow();
  else if (sections.length) show(0, 0);
}

start();
