"use strict";
// The files: uploads, the list of jobs, their results. Texts become nodes, never markup.

const byId = (id) => document.getElementById(id);
const uploads = new Map(); // what this page is sending, by a number of its own
const waitingFiles = [];
let nextUpload = 1;
let taskTitles = [];
let mediaEndings = new Set();
const MOST_UPLOADS = 2;
const POLL_MS = 700;

function element(tag, text, classes) {
  const node = document.createElement(tag);
  if (text !== undefined) node.textContent = text;
  if (classes) node.className = classes;
  return node;
}

function showProblem(text) {
  byId("problem").textContent = text;
  byId("problem").hidden = !text;
}

function clock(seconds) {
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

async function call(address, method = "GET") {
  const answer = await fetch(address, { method });
  if (answer.status === 204) return null;
  const content = await answer.json();
  if (!answer.ok) throw new Error(content.error.message);
  return content;
}

// Choosing and sending ----------------------------------------------------------------------

function chosenOptions() {
  const options = new URLSearchParams();
  for (const name of ["stride_s", "max_faces"]) {
    if (byId(name).value) options.set(name, byId(name).value);
  }
  for (const name of ["sound", "smooth", "pictures", "annotate"]) {
    options.set(name, byId(name).checked);
  }
  return options;
}

// Of a folder only media are taken, by their endings, and the others named; a file that was chosen
// by itself is what it is.
function addFiles(files, isFolder) {
  showProblem("");
  const options = chosenOptions().toString();
  const passedOver = [];
  for (const file of files) {
    if (isFolder && file.name.startsWith(".")) continue;
    if (isFolder && !mediaEndings.has(file.name.slice(file.name.lastIndexOf(".")).toLowerCase())) {
      passedOver.push(file.name);
      continue;
    }
    const upload = { id: nextUpload++, file, options, share: 0, request: null };
    uploads.set(upload.id, upload);
    waitingFiles.push(upload);
  }
  if (passedOver.length) {
    const named = passedOver.slice(0, 5).join(", ") + (passedOver.length > 5 ? ", …" : "");
    showProblem(`Passed over, no media by their endings: ${passedOver.length} of the folder (${named}).`);
  }
  sendNext();
  drawJobs(lastJobs);
}

function sendNext() {
  const busy = [...uploads.values()].filter((each) => each.request).length;
  for (let room = MOST_UPLOADS - busy; room > 0 && waitingFiles.length; room--) {
    send(waitingFiles.shift());
  }
}

function send(upload) {
  const request = new XMLHttpRequest();
  upload.request = request;
  const name = encodeURIComponent(upload.file.name);
  request.open("POST", `/api/jobs?name=${name}&${upload.options}`);
  request.setRequestHeader("Content-Type", "application/octet-stream");
  request.upload.onprogress = (event) => {
    upload.share = event.loaded / Math.max(1, event.total);
    drawJobs(lastJobs);
  };
  request.onload = () => {
    upload.request = null;
    if (request.status === 503) { // the queue is full: later
      waitingFiles.unshift(upload);
      setTimeout(sendNext, 2000);
      return;
    }
    uploads.delete(upload.id);
    if (request.status !== 201) {
      let message = `${request.status}`;
      try { message = JSON.parse(request.responseText).error.message; } catch { /* no JSON */ }
      showProblem(`${upload.file.name}: ${message}`);
    }
    sendNext();
    refresh();
  };
  request.onerror = () => {
    uploads.delete(upload.id);
    showProblem(`${upload.file.name}: it could not be sent; is triaffect app still running?`);
    sendNext();
    drawJobs(lastJobs);
  };
  request.send(upload.file);
}

function stopUpload(upload) {
  const at = waitingFiles.indexOf(upload);
  if (at >= 0) waitingFiles.splice(at, 1);
  uploads.delete(upload.id);
  if (upload.request) upload.request.abort();
  sendNext();
  drawJobs(lastJobs);
}

async function filesOf(entry) {
  if (entry.isFile) return [await new Promise((done, failed) => entry.file(done, failed))];
  const reader = entry.createReader();
  const files = [];
  for (;;) { // a reader gives some hundred at a time
    const some = await new Promise((done, failed) => reader.readEntries(done, failed));
    if (!some.length) return files;
    for (const each of some) files.push(...(await filesOf(each)));
  }
}

async function takeDrop(event) {
  event.preventDefault();
  byId("drop").classList.remove("over");
  const items = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.());
  const plain = [...event.dataTransfer.files];
  if (!items.length || items.some((item) => !item)) { addFiles(plain); return; }
  const files = [];
  for (const item of items) files.push(...(await filesOf(item)));
  addFiles(files, items.some((item) => item.isDirectory));
}

// The list ----------------------------------------------------------------------------------

let lastJobs = [];
let lastVersion = "";
const drawn = new Map(); // of each item in the list: what it shows, as text, and its node

async function refresh() {
  try {
    const news = await call(`/api/jobs?version=${lastVersion}`);
    if (news) ({ version: lastVersion, jobs: lastJobs } = news);
    if (byId("problem").dataset.lost) { showProblem(""); delete byId("problem").dataset.lost; }
  } catch (error) {
    byId("problem").dataset.lost = "yes";
    showProblem(`No answer from triaffect app: ${error.message}`);
    return;
  }
  drawJobs(lastJobs);
}

function drawJobs(jobs) {
  const sending = [...uploads.values()];
  const items = [
    ...sending.map((each) => [`upload ${each.id}`, `${!each.request} ${Math.round(100 * each.share)}`, () => uploadItem(each)]),
    ...jobs.map((job) => [job.id, JSON.stringify(job), () => jobItem(job)]),
  ];
  drawItems(items);
  byId("nothing").hidden = sending.length + jobs.length > 0;
  byId("delete-all").hidden = jobs.length < 2;
  const waiting = jobs.filter((job) => !job.ended).length + sending.length;
  const counts = [[waiting, "to do"]];
  for (const state of ["done", "failed", "cancelled"]) counts.push([jobs.filter((job) => job.state === state).length, state]);
  byId("counts").textContent = counts.filter(([count]) => count).map(([count, word]) => `${count} ${word}`).join(", ");
}

// Replaces what has changed, and nothing else: a link stays while it is clicked, and has the focus.
function drawItems(items) {
  const list = byId("jobs");
  const there = new Set(items.map(([key]) => key));
  for (const [key, { node }] of drawn) {
    if (!there.has(key)) { node.remove(); drawn.delete(key); }
  }
  let before = null;
  for (const [key, state, make] of items) {
    let item = drawn.get(key);
    if (item?.state !== state) {
      const node = make();
      item?.node.replaceWith(node);
      item = { state, node };
      drawn.set(key, item);
    }
    const next = before ? before.nextSibling : list.firstChild;
    if (next !== item.node) list.insertBefore(item.node, next);
    before = item.node;
  }
}

function listItem(name, state, classes) {
  const item = element("li", undefined, `job ${classes}`);
  const top = element("div", undefined, "top");
  top.append(element("span", name, "name"), element("span", state, "state"));
  item.append(top);
  return item;
}

function bar(share) {
  const progress = element("progress");
  progress.max = 1;
  progress.value = share;
  return progress;
}

function action(text, run, classes) {
  const button = element("button", text, classes);
  button.addEventListener("click", run);
  return button;
}

function uploadItem(upload) {
  const state = upload.request ? `sending, ${Math.round(100 * upload.share)} %` : "to be sent";
  const item = listItem(upload.file.name, state, "sending");
  item.querySelector(".top").append(action("Cancel", () => stopUpload(upload), "quiet"));
  if (upload.request) item.append(bar(upload.share));
  return item;
}

const STATES = { waiting: "waiting", running: "running", done: "done", failed: "failed", cancelled: "cancelled" };
const DOWNLOADS = {
  "table.csv": "Table, CSV", "table.xlsx": "Excel", "table.parquet": "Parquet",
  "summary.csv": "Summary", "annotated.mp4": "Annotated copy", "annotated.png": "Annotated copy",
  "recording.mp4": "Recording",
};

function stateText(job) {
  if (job.state === "running") {
    return job.message && job.message !== "waiting" ? job.message : "running";
  }
  if (job.state === "done") {
    const length = job.duration_s ? `${clock(job.duration_s)}, ` : "";
    return `${length}${job.rows} ${job.rows === 1 ? "row" : "rows"}`;
  }
  return STATES[job.state];
}

function jobItem(job) {
  const item = listItem(job.name, stateText(job), job.state);
  item.dataset.id = job.id;
  if (job.state === "running") item.append(bar(job.progress));
  if (job.error) item.append(element("p", job.error.message, "error"));
  if (job.state === "done" && job.message) item.append(element("p", job.message, "soft"));
  if (job.results.length) item.append(faceTable(job.results));
  const actions = element("div", undefined, "actions");
  const own = `/api/jobs/${job.id}`;
  if (job.files.includes("page.html")) actions.append(link("Look at it", `${own}/page.html`, "first", true));
  for (const [name, text] of Object.entries(DOWNLOADS)) {
    if (job.files.includes(name)) actions.append(link(text, `${own}/${name}`));
  }
  if (job.files.includes("page.html")) actions.append(link("Page, HTML", `${own}/page.html?save`));
  const act = (method, address) => () => call(address, method).catch((error) => showProblem(error.message)).then(refresh);
  const top = item.querySelector(".top");
  if (job.ended) {
    const when = { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" };
    const date = element("span", new Date(1000 * job.created).toLocaleString("en-GB", when), "date");
    top.insertBefore(date, item.querySelector(".state"));
    top.append(action("Delete", act("DELETE", own), "quiet"));
  } else {
    top.append(action("Cancel", act("POST", `${own}/cancel`), "quiet"));
  }
  if (actions.children.length) item.append(actions);
  return item;
}

function link(text, address, classes, isShown) {
  const node = element("a", text, classes);
  node.href = address;
  if (isShown) { node.target = "_blank"; node.rel = "noopener"; } else node.download = "";
  return node;
}

function faceTable(results) {
  const table = element("table", undefined, "faces");
  const titles = ["", "seen", ...taskTitles];
  const head = table.createTHead().insertRow();
  for (const title of titles) head.append(element("th", title));
  const body = table.createTBody();
  for (const face of results) {
    const row = body.insertRow();
    const texts = [face.label, `${Math.round(100 * face.share)} %`, ...face.texts];
    texts.forEach((text, k) => {
      const cell = row.insertCell();
      cell.textContent = text;
      cell.dataset.label = titles[k]; // a narrow screen has no header
    });
  }
  return table;
}

// Begin -------------------------------------------------------------------------------------

function choose(name) {
  for (const each of ["files", "live"]) {
    byId(each).hidden = each !== name;
    byId(`tab-${each}`).setAttribute("aria-selected", each === name);
  }
}

async function begin() {
  for (const each of ["files", "live"]) byId(`tab-${each}`).addEventListener("click", () => choose(each));
  for (const id of ["choose-files", "choose-folder"]) {
    byId(id).addEventListener("change", (event) => {
      addFiles([...event.target.files], id === "choose-folder");
      event.target.value = "";
    });
  }
  const drop = document.documentElement; // a file dropped beside the box would replace the page
  drop.addEventListener("dragover", (event) => { event.preventDefault(); byId("drop").classList.add("over"); });
  drop.addEventListener("dragleave", (event) => { if (!event.relatedTarget) byId("drop").classList.remove("over"); });
  drop.addEventListener("drop", takeDrop);
  byId("delete-all").addEventListener("click", async () => {
    if (!confirm("Delete all jobs and their results from the disk?")) return;
    await call("/api/jobs", "DELETE").catch((error) => showProblem(error.message));
    refresh();
  });
  const state = await call("/api/state");
  taskTitles = state.tasks;
  mediaEndings = new Set(state.endings);
  byId("meaning").textContent = state.meaning;
  byId("about").textContent = `triaffect ${state.version}; model ${state.model}, licence: ${state.licence}. All is computed on the machine that shows this page.`;
  const stays = state.is_stored ? "results stay in the history until you delete them" : "results are gone when the program ends (start it with --folder to keep them)";
  byId("storing").textContent = `Files are removed once they are predicted; ${stays}.`;
  await refresh();
  setInterval(() => { if (!document.hidden) refresh(); }, POLL_MS);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
  document.documentElement.dataset.ready = "yes";
}

begin().catch((error) => showProblem(`The page could not begin: ${error.message}`));
