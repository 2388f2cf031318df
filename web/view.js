// One picture, large, with what is known about it.

import { originalUrl, thumbnailUrl } from "./api.js";
import { $, icon, make, nameOf } from "./dom.js";
import * as grid from "./grid.js";
import { label, locale, t } from "./words.js";

let at = -1;
let on = {}; // similar(hit), remove(hit)

function bytes(n) {
  const units = ["byte", "kilobyte", "megabyte"];
  const i = n >= 1e6 ? 2 : n >= 1e3 ? 1 : 0;
  return new Intl.NumberFormat(locale(), {
    style: "unit", unit: units[i], unitDisplay: "short", maximumFractionDigits: i,
  }).format(n / 1000 ** i);
}

const date = (ms) => new Intl.DateTimeFormat(locale(), { dateStyle: "medium", timeStyle: "short" })
  .format(new Date(ms));
const percent = (v) => new Intl.NumberFormat(locale(), { style: "percent" }).format(v);

function facts(hit) {
  const r = hit.record;
  const rows = [];
  const row = (key, value) => {
    if (value !== undefined && value !== null && value !== "")
      rows.push([key, String(value)]);
  };
  row(t("score"), hit.score?.toFixed(4));
  row(t("category"), r.category &&
    `${label(r.category)}${r.confidence ? ` · ${percent(r.confidence)}` : ""}`);
  row(t("size"), r.width && t("of", { a: r.width, b: r.height }));
  row(t("format"), r.format && `${r.format}${r.bytes ? ` · ${bytes(r.bytes)}` : ""}`);
  row(t("date"), r.created_at && date(r.created_at));
  row(t("camera"), r.exif?.camera);
  row(t("scheme"), r.color_scheme && label(r.color_scheme));
  row(t("file"), r.path);
  for (const [key, value] of Object.entries(r.metadata || {}))
    row(key, value);
  row(t("id"), r.id);
  return rows.flatMap(([key, value]) => [make("dt", {}, key), make("dd", {}, value)]);
}

function bar(name, value) {
  const fill = make("i");
  fill.style.setProperty("--value", Math.min(1, Math.max(0, value)));
  return make("p", { class: "meter" }, make("span", {}, name), fill,
    make("b", {}, percent(value)));
}

function swatches(r) {
  return (r.dominant_colors || []).map((c) => {
    const e = make("i", { title: `${percent(c.share)} rgb(${c.rgb.join(", ")})` });
    e.style.setProperty("--colour", `rgb(${c.rgb.join(" ")})`);
    e.style.setProperty("--share", c.share);
    return e;
  });
}

function fill() {
  const hit = grid.all()[at];
  if (!hit)
    return;
  const r = hit.record;
  const image = $("view-image");
  image.src = thumbnailUrl(r, 1024);
  image.alt = nameOf(r);
  image.width = r.width || 0;
  image.height = r.height || 0;
  $("view-title").textContent = nameOf(r);
  $("view-original").href = originalUrl(r);
  $("view-colours").replaceChildren(...swatches(r));
  $("view-facts").replaceChildren(...facts(hit));
  const bars = [];
  if (r.brightness !== undefined)
    bars.push(bar(t("brightness"), r.brightness));
  if (r.saturation !== undefined)
    bars.push(bar(t("saturation"), r.saturation));
  $("view-bars").replaceChildren(...bars);
  $("view-previous").hidden = at === 0;
  $("view-next").hidden = at === grid.all().length - 1;
}

function step(by) {
  const to = at + by;
  if (to < 0 || to >= grid.all().length)
    return;
  at = to;
  fill();
}

export function open(index) {
  at = index;
  fill();
  if (!$("view").open)
    $("view").showModal();
}

export const close = () => $("view").close();

export function start(handlers) {
  const view = $("view");
  on = handlers;
  $("view-close").append(icon("close"));
  $("view-previous").append(icon("left"));
  $("view-next").append(icon("right"));
  $("view-close").onclick = close;
  $("view-previous").onclick = () => step(-1);
  $("view-next").onclick = () => step(1);
  $("view-similar").onclick = () => {
    close();
    on.similar(grid.all()[at]);
  };
  $("view-delete").onclick = () => on.remove(grid.all()[at]);
  view.addEventListener("keydown", (e) => {
    if (e.key === "ArrowLeft")
      step(-1);
    else if (e.key === "ArrowRight")
      step(1);
  });
  view.addEventListener("click", (e) => {
    if (e.target === view)
      close();
  });
  // Back to where one came from, for those who use the keyboard.
  view.addEventListener("close", () => {
    const card = [...$("grid").children][at];
    card?.querySelector(".open").focus({ preventScroll: true });
  });
}
