// Small helpers over the DOM. Text only ever goes in as text.

export const $ = (id) => document.getElementById(id);

export function make(tag, props = {}, ...kids) {
  const e = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (key === "class")
      e.className = value;
    else if (key.startsWith("on"))
      e.addEventListener(key.slice(2), value);
    else if (key in e)
      e[key] = value;
    else
      e.setAttribute(key, value);
  }
  e.append(...kids.filter((k) => k !== null && k !== undefined));
  return e;
}

const shapes = {
  search: "M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14Zm5 12 4.5 4.5",
  camera: "M4 8h3l1.6-2.5h6.8L17 8h3v11H4ZM12 10a3.4 3.4 0 1 0 0 6.8 3.4 3.4 0 0 0 0-6.8Z",
  close: "M6 6l12 12M18 6 6 18",
  left: "M14.5 5l-7 7 7 7",
  right: "M9.5 5l7 7-7 7",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8ZM12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2M5.3 5.3l1.4 1.4M17.3 17.3l1.4 1.4M5.3 18.7l1.4-1.4M17.3 6.7l1.4-1.4",
  moon: "M19.5 14.5A8 8 0 0 1 9.5 4.5a8 8 0 1 0 10 10Z",
  like: "M9 6.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11ZM15 6.5a5.5 5.5 0 0 1 0 11",
};

export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  path.setAttribute("d", shapes[name]);
  svg.append(path);
  return svg;
}

export const nameOf = (record) => record.filename || record.id;

export function colourOf(record) {
  const first = record.dominant_colors?.[0]?.rgb;
  return Array.isArray(first) ? `rgb(${first.join(" ")})` : "";
}
