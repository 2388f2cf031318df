// Adding pictures: a few at a time, each with its own bar and its own outcome.

import { thumbnailUrl, upload } from "./api.js";
import { $, icon, make, nameOf } from "./dom.js";
import { explain, label, t } from "./words.js";

const AT_ONCE = 3;
const waiting = [];
let running = 0;
let total = 0;
let done = 0; // settled without a fault
let known = 0; // of these, there already
let failed = 0;
let settled = () => {};

function outcome() {
  const counts = [["uploaded", done - known], ["known", known], ["lost", failed]];
  return counts.filter(([, n]) => n).map(([key, n]) => t(key, { n })).join(t("comma"));
}

function title() {
  const busy = done + failed < total;
  $("tray-title").textContent = busy
    ? t("uploading", { n: done + failed + 1, m: total }) : outcome();
  $("tray-progress").hidden = !busy;
  $("tray-progress").max = total || 1;
}

function progress() {
  const shares = [...$("tray-list").children].map((e) => Number(e.dataset.share || 0));
  $("tray-progress").value = shares.reduce((a, b) => a + b, 0);
}

function row(file) {
  const bar = make("progress", { max: 1, value: 0, "aria-label": file.name });
  const note = make("small", {}, t("waiting"));
  const item = make("li", {}, make("span", { class: "thumb" }),
    make("div", {}, make("b", {}, file.name), note, bar));
  return { item, bar, note };
}

function finish(r, result) {
  const record = result.image;
  r.item.classList.add("done");
  r.item.querySelector(".thumb").append(make("img", { src: thumbnailUrl(record), alt: "" }));
  r.item.querySelector("b").textContent = nameOf(record);
  const what = record.category ? `${label(record.category)}` : t("added");
  r.note.textContent = result.status === "duplicate" ? t("duplicate") : what;
}

async function one(file, r) {
  try {
    const result = await upload(file, (share) => {
      r.bar.value = share;
      r.item.dataset.share = share * 0.8; // the rest is the server's work
      r.note.textContent = "";
      progress();
    });
    done++;
    if (result.status === "duplicate")
      known++;
    finish(r, result);
  } catch (e) {
    failed++;
    r.item.classList.add("failed");
    r.note.textContent = explain(e);
  }
  r.bar.remove();
  r.item.dataset.share = 1;
  progress();
}

async function work() {
  running++;
  while (waiting.length) {
    const { file, r } = waiting.shift();
    await one(file, r);
    title();
  }
  if (--running === 0)
    settled(done);
}

export function add(files) {
  if (done + failed === total) {
    total = done = known = failed = 0;
    $("tray-list").replaceChildren();
  }
  for (const file of files) {
    const r = row(file);
    $("tray-list").append(r.item);
    waiting.push({ file, r });
    total++;
  }
  if (!total)
    return;
  $("tray").hidden = false;
  title();
  progress();
  for (let n = running; n < Math.min(AT_ONCE, running + waiting.length, AT_ONCE); n++)
    work();
}

export function start(onSettled) {
  settled = onSettled;
  $("tray-close").append(icon("close"));
  $("tray-close").onclick = () => {
    $("tray").hidden = true;
  };
}

export const retitle = () => {
  if (total)
    title();
};
