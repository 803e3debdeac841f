"use strict";
// Live: the camera and the microphone over a WebSocket, and what comes back.

const live = {
  socket: null, stream: null, audio: null, head: null, startMs: 0, unanswered: 0, lastSentMs: 0,
  trail: [], answers: [], behind: [], isRecording: false, timer: null,
};
const FRAME = 1, SOUND = 2, MOST_UNANSWERED = 2, FRAME_MS = 1000 / 15, TRAIL_S = 10;
const WIDTH = 640;
const grabbed = document.createElement("canvas");

const nowS = () => (performance.now() - live.startMs) / 1000;

function message(kind, timeS, payload) {
  const bytes = new Uint8Array(9 + payload.byteLength);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, kind);
  view.setFloat64(1, timeS, true);
  bytes.set(new Uint8Array(payload), 9);
  return bytes;
}

async function startLive() {
  showProblem("");
  if (!navigator.mediaDevices) {
    showProblem("The browser gives no camera to this address: open the page on the machine itself, as 127.0.0.1, or over HTTPS.");
    return;
  }
  const video = { width: { ideal: WIDTH }, height: { ideal: 480 }, frameRate: { ideal: 30 } };
  try {
    live.stream = await navigator.mediaDevices.getUserMedia({ video, audio: true });
  } catch (error) {
    try {
      live.stream = await navigator.mediaDevices.getUserMedia({ video });
      showProblem("No microphone: arousal needs a voice, and stays blank.");
    } catch {
      showProblem(`No camera: ${error.message}`);
      return;
    }
  }
  byId("video").srcObject = live.stream;
  await byId("video").play();
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  live.socket = new WebSocket(`${scheme}://${location.host}/live`);
  live.socket.binaryType = "arraybuffer";
  live.startMs = performance.now();
  Object.assign(live, { unanswered: 0, trail: [], answers: [], behind: [], lastSentMs: 0 });
  live.socket.onmessage = (event) => takeMessage(JSON.parse(event.data));
  live.socket.onclose = () => stopLive();
  byId("start").textContent = "Stop the camera";
  byId("screen-note").hidden = true;
}

function stopLive() {
  clearInterval(live.timer);
  live.stream?.getTracks().forEach((track) => track.stop());
  live.audio?.close();
  if (live.socket) live.socket.onclose = null;
  live.socket?.close();
  Object.assign(live, { socket: null, stream: null, audio: null, isRecording: false });
  byId("video").srcObject = null;
  byId("overlay").getContext("2d").clearRect(0, 0, byId("overlay").width, byId("overlay").height);
  byId("start").textContent = "Start the camera";
  byId("record").textContent = "Record";
  byId("record").disabled = true;
  byId("screen-note").hidden = false;
  byId("pace").textContent = "";
}

function takeMessage(content) {
  if (content.type === "head") {
    live.head = content;
    drawMeters(content.panels);
    byId("record").disabled = false;
    live.timer = setInterval(sendFrame, 10);
    if (live.stream.getAudioTracks().length) startSound(content.rate);
  } else if (content.type === "answer") {
    live.unanswered = Math.max(0, live.unanswered - 1);
    takeAnswer(content);
  } else if (content.type === "recorded") {
    byId("live-note").textContent = `“${content.name}” is among the jobs.`;
    refresh();
  } else if (content.type === "error") {
    showProblem(content.message);
    stopLive();
  }
}

async function startSound(rate) {
  try {
    live.audio = new AudioContext();
    await live.audio.audioWorklet.addModule("/static/sound.js");
    const node = new AudioWorkletNode(live.audio, "sender", { processorOptions: { rate } });
    node.port.onmessage = (event) => {
      const piece = event.data;
      const startS = Math.max(0, nowS() - piece.length / rate);
      if (live.socket?.readyState === WebSocket.OPEN) live.socket.send(message(SOUND, startS, piece.buffer));
    };
    live.audio.createMediaStreamSource(live.stream).connect(node);
  } catch (error) {
    showProblem(`No sound: ${error.message}`);
  }
}

function sendFrame() {
  const video = byId("video");
  const early = performance.now() - live.lastSentMs < FRAME_MS - 2;
  if (early || live.unanswered >= MOST_UNANSWERED || !video.videoWidth) {
    // an answer that was lost must not end all
    if (performance.now() - live.lastSentMs > 2000) live.unanswered = 0;
    return;
  }
  live.lastSentMs = performance.now();
  const timeS = Math.round(nowS() * 1e4) / 1e4;
  const scale = Math.min(1, WIDTH / video.videoWidth);
  grabbed.width = Math.round(video.videoWidth * scale);
  grabbed.height = Math.round(video.videoHeight * scale);
  const context = grabbed.getContext("2d", { willReadFrequently: true });
  context.drawImage(video, 0, 0, grabbed.width, grabbed.height);
  // at once: toBlob waits until the browser has nothing else to do
  const coded = atob(grabbed.toDataURL("image/jpeg", 0.85).split(",")[1]);
  if (live.socket?.readyState !== WebSocket.OPEN) return;
  live.socket.send(message(FRAME, timeS, Uint8Array.from(coded, (each) => each.charCodeAt(0))));
  live.unanswered += 1;
}

function takeAnswer(answer) {
  const now = nowS();
  live.answers = [...live.answers.filter((at) => now - at < 3), now];
  live.behind = [...live.behind.slice(-29), now - answer.time];
  const rate = live.answers.length / Math.min(3, Math.max(0.5, now - live.answers[0]));
  const middle = [...live.behind].sort((a, b) => a - b)[live.behind.length >> 1];
  const voice = answer.voice ? ", a voice" : "";
  const recording = answer.recording_s === null ? "" : `; recording ${clock(answer.recording_s)}`;
  byId("pace").textContent = `${rate.toFixed(rate < 9.5 ? 1 : 0)} answers a second, ${Math.round(1000 * middle)} ms behind${voice}${recording}`;
  document.documentElement.dataset.rate = rate.toFixed(2);
  document.documentElement.dataset.behindMs = Math.round(1000 * middle);
  document.documentElement.dataset.answers = Number(document.documentElement.dataset.answers ?? 0) + 1;
  const faces = answer.faces.filter((face) => face.box);
  faces.sort((a, b) => b.box[2] * b.box[3] - a.box[2] * a.box[3]);
  const shown = faces[0] ?? answer.faces[0];
  drawBoxes(faces);
  fillMeters(shown);
  drawPlane(shown, answer.time);
}

function drawBoxes(faces) {
  const overlay = byId("overlay");
  overlay.width = grabbed.width;
  overlay.height = grabbed.height;
  const context = overlay.getContext("2d");
  context.lineWidth = 3;
  context.font = "600 16px system-ui, sans-serif";
  faces.forEach((face, order) => {
    const [x, y, width, height] = face.box;
    context.strokeStyle = order ? "#ffffffaa" : "#6db3ff";
    context.strokeRect(x, y, width, height);
    if (faces.length > 1) {
      context.fillStyle = context.strokeStyle;
      context.fillText(`Face ${face.id}`, x, Math.max(16, y - 6));
    }
  });
}

function drawMeters(panels) {
  const columns = panels.map((panel) => {
    const box = element("div");
    box.append(element("h3", panel.title));
    panel.titles.forEach((title, k) => {
      const row = element("div", undefined, "meter");
      const label = element("span", title, "label");
      label.title = title;
      if (panel.holds[k] === "not shown") {
        row.classList.add("doubtful");
        label.title = `${title}: not shown to hold on people`;
      }
      const track = element("span", undefined, "track");
      track.append(element("span", undefined, "fill"));
      row.append(label, track, element("span", "–", "value"));
      box.append(row);
    });
    return box;
  });
  byId("meters").replaceChildren(...columns);
  const plane = panels.find((panel) => panel.plane);
  byId("plane-figure").hidden = !plane;
  if (plane) byId("plane-caption").textContent = `${plane.titles[0]} to the right, ${plane.titles[1]} upward, hollow where it is blank; the last ${TRAIL_S} s`;
}

function fillMeters(face) {
  const boxes = [...byId("meters").children];
  live.head.panels.forEach((panel, p) => {
    const rows = [...boxes[p].querySelectorAll(".meter")];
    const values = face ? face.values[p] : panel.titles.map(() => null);
    const largest = Math.max(...values.map((value) => value ?? -Infinity));
    values.forEach((value, k) => {
      const [low, high] = panel.range;
      const fill = rows[k].querySelector(".fill");
      const zero = low < 0 ? -low / (high - low) : 0;
      const at = value === null ? zero : (value - low) / (high - low);
      fill.style.left = `${100 * Math.min(zero, at)}%`;
      fill.style.width = `${100 * Math.abs(at - zero)}%`;
      rows[k].querySelector(".value").textContent = value === null ? "–" : value.toFixed(2).replace("-", "−");
      const threshold = live.head.thresholds[panel.columns[k]] ?? 0.5;
      const isPresent = panel.kind === "classes" ? value === largest : panel.kind === "heat" && value >= threshold;
      rows[k].classList.toggle("present", value !== null && isPresent);
    });
  });
}

function drawPlane(face, timeS) {
  const p = live.head.panels.findIndex((panel) => panel.plane);
  if (p < 0) return;
  const values = face?.values[p];
  if (values && values[0] !== null) live.trail.push([timeS, values[0], values[1]]);
  live.trail = live.trail.filter(([at]) => timeS - at < TRAIL_S);
  const canvas = byId("plane"), context = canvas.getContext("2d"), side = canvas.width;
  const x = (value) => side / 2 + value * (side / 2 - 24), y = (value) => side / 2 - value * (side / 2 - 24);
  context.clearRect(0, 0, side, side);
  context.strokeStyle = "#dfe3e8";
  context.lineWidth = 1;
  context.strokeRect(24, 24, side - 48, side - 48);
  context.beginPath();
  context.moveTo(24, side / 2); context.lineTo(side - 24, side / 2);
  context.moveTo(side / 2, 24); context.lineTo(side / 2, side - 24);
  context.stroke();
  context.fillStyle = "#616e7c";
  context.font = "12px system-ui, sans-serif";
  context.textAlign = "center";
  const [valence, arousal] = live.head.panels[p].poles;
  if (arousal?.length) { context.fillText(arousal[1], side / 2, 16); context.fillText(arousal[0], side / 2, side - 8); }
  if (valence?.length) {
    for (const [text, at, turn] of [[valence[0], 14, -1], [valence[1], side - 14, 1]]) {
      context.save();
      context.translate(at, side / 2);
      context.rotate(turn * Math.PI / 2);
      context.fillText(text, 0, 4);
      context.restore();
    }
  }
  live.trail.forEach(([at, v, a], k) => {
    const age = (timeS - at) / TRAIL_S, isLast = k === live.trail.length - 1;
    context.globalAlpha = isLast ? 1 : 0.6 * (1 - age);
    context.fillStyle = context.strokeStyle = "#2f6fb5";
    context.lineWidth = 2;
    context.beginPath();
    context.arc(x(v), y(a ?? 0), isLast ? 7 : 3, 0, 7);
    if (a === null) context.stroke(); else context.fill(); // hollow: without a voice no arousal
  });
  context.globalAlpha = 1;
}

byId("start").addEventListener("click", () => (live.socket ? stopLive() : startLive()));
byId("record").addEventListener("click", () => {
  if (live.socket?.readyState !== WebSocket.OPEN) return;
  live.isRecording = !live.isRecording;
  live.socket.send(live.isRecording ? "record" : "stop");
  byId("record").textContent = live.isRecording ? "Stop recording" : "Record";
});
window.addEventListener("pagehide", () => live.socket?.close());
