// The page: what is asked for, and what is shown. The state is one object; every change of it that
// matters runs one search, and a newer search cancels the one before.

import * as api from "./api.js";
import { $, icon, make, nameOf } from "./dom.js";
import * as grid from "./grid.js";
import * as upload from "./upload.js";
import * as view from "./view.js";
import { apply, explain, label, locale, store, switchLanguage, t } from "./words.js";

const PAGE = 48;
const SCHEMES = ["warm", "cool", "neutral"];

const state = {
  words: "",
  picture: null, // {url, vector, name}
  like: null,    // {id, name}
  weight: 0.5,   // of the words beside a picture
  scheme: "",
  categories: new Set(),
  expression: "",
};
let stats = null;
let running = null; // the search under way
let next = null;    // how to get more: {cursor} or {offset}

/* ---- what is asked for ---- */

// JSON's quoting is the filter language's as well.
function filter() {
  const terms = [];
  if (state.scheme)
    terms.push(`color_scheme == ${JSON.stringify(state.scheme)}`);
  if (state.categories.size)
    terms.push(`category in ${JSON.stringify([...state.categories])}`);
  if (state.expression.trim())
    terms.push(terms.length ? `(${state.expression.trim()})` : state.expression.trim());
  return terms.join(" and ");
}

// How far the person's own filter is moved to the right inside the whole one.
function filterOffset() {
  const own = state.expression.trim();
  return own ? filter().lastIndexOf(own) : 0;
}

function query() {
  const parts = [];
  const words = state.words.trim();
  const both = words && (state.picture || state.like);
  if (words)
    parts.push({ text: words, weight: both ? state.weight : 1 });
  if (state.picture)
    parts.push({ vector: state.picture.vector, weight: both ? 1 - state.weight : 1 });
  if (state.like)
    parts.push({ id: state.like.id, weight: both ? 1 - state.weight : 1 });
  return parts;
}

/* ---- what is shown ---- */

function say(text) {
  $("status").textContent = text;
}

function showEmpty(title, hint) {
  $("empty").replaceChildren(make("h2", {}, title), make("p", {}, hint));
  $("empty").hidden = false;
}

function showFault(e) {
  const fault = $("expression-fault");
  if (e.field === "filter" && state.expression.trim()) {
    $("expression-row").hidden = false;
    $("more-filters").setAttribute("aria-expanded", "true");
    const column = e.column - filterOffset();
    fault.textContent = column > 0 ? `${column}: ${e.message}` : e.message;
    $("expression").setAttribute("aria-invalid", "true");
    say("");
    return;
  }
  grid.show([]);
  $("more").hidden = true;
  if (e.code === "no_known_word") {
    showEmpty(t("noWord"), t("noWordHint"));
    say("");
  } else {
    say(t("failed", { why: explain(e) }));
  }
}

function ready() {
  $("expression-fault").textContent = "";
  $("expression").removeAttribute("aria-invalid");
  $("empty").hidden = true;
}

async function fetchPage(signal) {
  const parts = query();
  if (!parts.length) {
    const page = await api.list({ cursor: next?.cursor, limit: PAGE, filter: filter() }, signal);
    return {
      hits: page.images.map((record) => ({ id: record.id, record })),
      next: page.next ? { cursor: page.next } : null,
      note: t("newest"),
    };
  }
  const offset = next?.offset || 0;
  const body = { query: parts, top_k: PAGE, offset, filter: filter() };
  const found = await api.search(body, signal);
  const hits = found.results.map((h) => ({ id: h.id, score: h.score, record: h.image }));
  const rest = state.like && !state.words.trim()
    ? hits.filter((h) => h.id !== state.like.id) : hits;
  const number = new Intl.NumberFormat(locale());
  return {
    hits: rest,
    next: found.results.length === PAGE ? { offset: offset + PAGE } : null,
    note: t("found", {
      n: number.format(offset + rest.length), m: number.format(found.matched),
      ms: number.format(Math.round(found.took_ms * 10) / 10),
    }),
  };
}

async function run({ append = false } = {}) {
  running?.abort();
  const mine = running = new AbortController();
  if (!append)
    next = null;
  $("grid").setAttribute("aria-busy", "true");
  try {
    const page = await fetchPage(mine.signal);
    if (mine !== running)
      return;
    ready();
    grid.show(page.hits, append);
    next = page.next;
    $("more").hidden = !next;
    say(page.hits.length || append ? page.note : "");
    if (!grid.all().length)
      showEmpty(...(stats?.images ? [t("nothing"), t("nothingHint")] : [t("none"), t("noneHint")]));
  } catch (e) {
    if (e.name !== "AbortError" && mine === running)
      showFault(e);
  } finally {
    if (mine === running)
      $("grid").removeAttribute("aria-busy");
  }
}

function showQuery() {
  const seed = state.picture || state.like;
  $("picked").hidden = !seed;
  if (seed) {
    $("picked-image").src = seed.url;
    $("picked-image").alt = seed.name;
  }
  $("mix").hidden = !(seed && state.words.trim());
  $("weight").value = Math.round(state.weight * 100);
  $("weight-value").textContent = `${Math.round((1 - state.weight) * 100)} : ${Math.round(state.weight * 100)}`;
  $("words").value = state.words;
}

/* The address holds what can be held, so that Back works and a search can be shared. */
function remember() {
  const args = new URLSearchParams();
  if (state.words.trim())
    args.set("q", state.words.trim());
  if (state.like)
    args.set("like", state.like.id);
  if (state.scheme)
    args.set("colour", state.scheme);
  for (const c of state.categories)
    args.append("category", c);
  if (state.expression.trim())
    args.set("filter", state.expression.trim());
  const hash = args.size === 0 ? location.pathname : `#${args}`;
  if (location.hash.slice(1) !== args.toString())
    history.pushState(null, "", hash);
}

function recall() {
  const args = new URLSearchParams(location.hash.slice(1));
  const like = args.get("like");
  state.words = args.get("q") || "";
  state.like = like ? { id: like, name: like, url: api.thumbnailUrl({ id: like }) } : null;
  state.picture = null;
  state.scheme = args.get("colour") || "";
  state.categories = new Set(args.getAll("category"));
  state.expression = args.get("filter") || "";
  $("expression").value = state.expression;
  showQuery();
  showFilters();
}

function search() {
  remember();
  showQuery();
  return run();
}

/* ---- filters ---- */

function toggle(name, on, count, click, extra = {}) {
  return make("button", {
    type: "button", class: `pill ${extra.class || ""}`, "aria-pressed": String(on), onclick: click,
  }, label(name), count === undefined ? null : make("small", {}, String(count)));
}

function showFilters() {
  const schemes = SCHEMES.filter((s) => !stats || stats.color_schemes[s] || s === state.scheme);
  const counts = Object.entries(stats?.categories || {})
    .sort((a, b) => (a[0] === "other") - (b[0] === "other") || b[1] - a[1]);
  for (const c of state.categories)
    if (!counts.some(([name]) => name === c))
      counts.push([c, 0]);
  const fill = (id, buttons) => {
    const legend = $(id).querySelector("legend");
    $(id).replaceChildren(legend, ...buttons);
    $(id).hidden = buttons.length === 0;
  };
  fill("colours", schemes.map((s) => toggle(s, state.scheme === s, stats?.color_schemes[s], () => {
    state.scheme = state.scheme === s ? "" : s;
    showFilters();
    search();
  }, { class: s })));
  fill("categories", counts.map(([name, n]) => toggle(name, state.categories.has(name), n, () => {
    if (!state.categories.delete(name))
      state.categories.add(name);
    showFilters();
    search();
  })));
}

async function refreshStats() {
  try {
    stats = await api.stats();
  } catch (e) {
    say(t("failed", { why: explain(e) }));
    return;
  }
  showCount();
  showFilters();
}

function showCount() {
  if (stats)
    $("count").textContent = stats.images === 1 ? t("image")
      : t("images", { n: new Intl.NumberFormat(locale()).format(stats.images) });
}

/* ---- pictures to search with ---- */

function forgetPicture() {
  if (state.picture)
    URL.revokeObjectURL(state.picture.url);
  state.picture = null;
}

async function searchWith(file) {
  running?.abort();
  const mine = running = new AbortController();
  say(t("reading"));
  try {
    const { vector } = await api.embed(file, mine.signal);
    if (mine !== running)
      return;
    forgetPicture();
    state.like = null;
    state.picture = { url: URL.createObjectURL(file), vector, name: file.name || "" };
    search();
  } catch (e) {
    if (e.name !== "AbortError")
      say(t("badPicture", { why: explain(e) }));
  }
}

function similar(hit) {
  forgetPicture();
  state.words = "";
  state.like = {
    id: hit.record.id, name: nameOf(hit.record), url: api.thumbnailUrl(hit.record),
  };
  window.scrollTo({ top: 0, behavior: "smooth" });
  search();
}

async function remove(hit) {
  $("confirm-text").textContent = t("confirm", { name: nameOf(hit.record) });
  $("confirm").returnValue = "no";
  $("confirm").showModal();
  await new Promise((resolve) => $("confirm").addEventListener("close", resolve, { once: true }));
  if ($("confirm").returnValue !== "yes")
    return;
  try {
    await api.remove(hit.record.id);
  } catch (e) {
    view.close();
    say(t("failed", { why: explain(e) }));
    return;
  }
  view.close();
  grid.drop(hit.record.id);
  say(t("deleted"));
  refreshStats();
}

/* ---- dropping and pasting ---- */

const pictures = (list) => [...list].filter((f) => f.type.startsWith("image/") || f.type === "");

function startDrop() {
  let depth = 0;
  const overlay = $("drop");
  const end = () => {
    depth = 0;
    overlay.hidden = true;
  };
  const holdsFiles = (e) => e.dataTransfer && [...e.dataTransfer.types].includes("Files");
  addEventListener("dragenter", (e) => {
    if (!holdsFiles(e))
      return;
    e.preventDefault();
    depth++;
    overlay.hidden = false;
  });
  addEventListener("dragleave", () => {
    if (depth > 0 && --depth === 0)
      end();
  });
  addEventListener("dragover", (e) => {
    if (!holdsFiles(e))
      return;
    e.preventDefault();
    for (const zone of overlay.children)
      zone.classList.toggle("over", zone.contains(e.target));
  });
  addEventListener("drop", (e) => {
    if (!holdsFiles(e))
      return;
    e.preventDefault();
    const files = pictures(e.dataTransfer.files);
    const zone = e.target.closest?.("[data-zone]")?.dataset.zone;
    end();
    if (!files.length)
      return;
    if (zone === "add" || files.length > 1)
      upload.add(files);
    else
      searchWith(files[0]);
  });
  addEventListener("paste", (e) => {
    const [file] = pictures(e.clipboardData?.files || []);
    if (file) {
      e.preventDefault();
      searchWith(file);
    }
  });
}

/* ---- the rest of the controls ---- */

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function showTheme() {
  $("theme").replaceChildren(icon(isDark() ? "sun" : "moon"));
}

function startTools() {
  $("theme").onclick = () => {
    const theme = isDark() ? "light" : "dark";
    document.documentElement.dataset.theme = theme;
    store("theme", theme);
    showTheme();
  };
  $("language").onclick = () => {
    switchLanguage();
    showLanguage();
    showCount();
    showFilters();
    upload.retitle();
    run();
  };
  $("add").onclick = () => $("add-files").click();
  $("add-files").onchange = () => {
    upload.add([...$("add-files").files]);
    $("add-files").value = "";
  };
  $("home").onclick = (e) => {
    e.preventDefault();
    history.pushState(null, "", location.pathname);
    forgetPicture();
    recall();
    run();
  };
}

function showLanguage() {
  $("language").textContent = t("other");
  $("language").lang = locale() === "en" ? "zh-CN" : "en";
}

function startSearch() {
  $("choose").append(icon("camera"));
  $("go").append(icon("search"));
  $("unpick").append(icon("close"));
  $("choose").onclick = () => $("choose-file").click();
  $("choose-file").onchange = () => {
    const [file] = $("choose-file").files;
    $("choose-file").value = "";
    if (file)
      searchWith(file);
  };
  $("unpick").onclick = () => {
    forgetPicture();
    state.like = null;
    search();
    $("words").focus();
  };
  $("search").onsubmit = (e) => {
    e.preventDefault();
    state.words = $("words").value;
    state.expression = $("expression").value;
    search();
  };
  $("words").addEventListener("search", () => {
    if (!$("words").value && state.words) {
      state.words = "";
      search();
    }
  });
  $("weight").oninput = () => {
    state.weight = Number($("weight").value) / 100;
    showQuery();
  };
  $("weight").onchange = () => run();
  $("more-filters").onclick = () => {
    const row = $("expression-row");
    row.hidden = !row.hidden;
    $("more-filters").setAttribute("aria-expanded", String(!row.hidden));
    if (!row.hidden)
      $("expression").focus();
  };
  $("expression").onchange = () => {
    state.expression = $("expression").value;
    search();
  };
  $("more").onclick = () => run({ append: true });
  addEventListener("keydown", (e) => {
    const typing = e.target.closest?.("input, textarea, dialog");
    if (e.key === "/" && !typing && !e.ctrlKey && !e.metaKey) {
      e.preventDefault();
      $("words").focus();
    }
  });
}

async function start() {
  apply();
  showLanguage();
  showTheme();
  grid.start({ open: view.open, similar });
  view.start({ similar, remove });
  upload.start((added) => {
    refreshStats();
    if (added && !query().length)
      run();
  });
  startTools();
  startSearch();
  startDrop();
  addEventListener("popstate", () => {
    recall();
    run();
  });
  recall();
  await refreshStats();
  await run();
  document.documentElement.dataset.ready = "yes";
}

start();
