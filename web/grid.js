// The results: rows that fill the width, each picture in its own shape.

import { thumbnailUrl } from "./api.js";
import { $, colourOf, icon, make, nameOf } from "./dom.js";
import { t } from "./words.js";

let hits = []; // {id, score?, record}
let on = {};   // open(index), similar(hit)

export const all = () => hits;

function card(hit, index) {
  const { record } = hit;
  const shape = Math.min(2.4, Math.max(0.55, (record.width || 4) / (record.height || 3)));
  const image = make("img", {
    src: thumbnailUrl(record), alt: "", loading: index < 12 ? "eager" : "lazy", decoding: "async",
  });
  const item = make("li", { class: "card" },
    make("button", {
      type: "button", class: "open", "aria-label": t("pictureOf", { name: nameOf(record) }),
      onclick: () => on.open(hits.indexOf(hit)),
    }, image),
    hit.score === undefined ? null : make("span", { class: "score" }, hit.score.toFixed(2)),
    make("button", {
      type: "button", class: "icon like", title: t("similar"),
      "aria-label": `${t("similar")}: ${nameOf(record)}`, onclick: () => on.similar(hit),
    }, icon("like")));
  // The style object is allowed by the page's content policy; style attributes are not.
  item.style.setProperty("--shape", shape.toFixed(3));
  item.style.setProperty("--colour", colourOf(record));
  item.dataset.id = record.id;
  image.addEventListener("load", () => item.classList.add("loaded"), { once: true });
  image.addEventListener("error", () => item.classList.add("broken"), { once: true });
  return item;
}

export function show(list, append = false) {
  const first = append ? hits.length : 0;
  hits = append ? hits.concat(list) : list;
  const cards = list.map((hit, i) => card(hit, first + i));
  if (append)
    $("grid").append(...cards);
  else
    $("grid").replaceChildren(...cards);
  $("grid").removeAttribute("aria-busy");
}

export function drop(id) {
  hits = hits.filter((h) => h.record.id !== id);
  for (const e of [...$("grid").children])
    if (e.dataset.id === id)
      e.remove();
}

// Arrow keys walk the pictures; up and down go to the nearest one of the next row.
function walk(event) {
  const opens = [...$("grid").querySelectorAll(".open")];
  const at = opens.indexOf(event.target.closest(".card")?.querySelector(".open"));
  if (at < 0)
    return;
  let to = -1;
  if (event.key === "ArrowRight" || event.key === "ArrowLeft") {
    to = at + (event.key === "ArrowRight" ? 1 : -1);
  } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    const down = event.key === "ArrowDown";
    const here = opens[at].getBoundingClientRect();
    const middle = here.left + here.width / 2;
    let best = Infinity;
    opens.forEach((e, i) => {
      const r = e.getBoundingClientRect();
      const rows = down ? r.top - here.top : here.top - r.top;
      const far = rows * 10 + Math.abs(r.left + r.width / 2 - middle);
      if (rows > here.height / 2 && far < best) {
        best = far;
        to = i;
      }
    });
  } else if (event.key === "Home" || event.key === "End") {
    to = event.key === "Home" ? 0 : opens.length - 1;
  } else {
    return;
  }
  event.preventDefault();
  opens[to]?.focus();
}

export function start(handlers) {
  on = handlers;
  $("grid").addEventListener("keydown", walk);
}
