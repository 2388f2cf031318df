// The server's API, and nothing of the page.

export class ApiError extends Error {
  constructor(status, error) {
    super(error.message || `HTTP ${status}`);
    this.status = status;
    this.code = error.code || "http";
    this.field = error.field || "";
    this.column = error.column || 0;
  }
}

async function answer(response) {
  if (response.status === 204)
    return null;
  const body = await response.json().catch(() => ({}));
  if (!response.ok)
    throw new ApiError(response.status, body.error || {});
  return body;
}

const get = async (url, signal) => answer(await fetch(url, { signal }));

export const stats = () => get("/v1/stats");

export function list({ cursor = "", limit = 48, filter = "" }, signal) {
  const args = new URLSearchParams({ limit });
  if (cursor)
    args.set("cursor", cursor);
  if (filter)
    args.set("filter", filter);
  return get(`/v1/images?${args}`, signal);
}

export async function search(body, signal) {
  return answer(await fetch("/v1/search", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
    signal,
  }));
}

// A picture's vector: it is sent once, and every search after that is by vector.
export async function embed(file, signal) {
  const form = new FormData();
  form.append("file", file, file.name || "picture");
  return answer(await fetch("/v1/embed", { method: "POST", body: form, signal }));
}

export async function remove(id) {
  return answer(await fetch(imageUrl(id), { method: "DELETE" }));
}

// XMLHttpRequest, because fetch does not tell how much of a body is sent.
export function upload(file, onProgress) {
  return new Promise((resolve, reject) => {
    const form = new FormData();
    const request = new XMLHttpRequest();
    form.append("file", file, file.name || "picture");
    request.open("POST", "/v1/images");
    request.responseType = "json";
    request.upload.onprogress = (e) => onProgress(e.lengthComputable ? e.loaded / e.total : 0);
    request.onload = () => {
      const body = request.response || {};
      if (request.status >= 400 || !body.results)
        reject(new ApiError(request.status, body.error || {}));
      else
        resolve(body.results[0]);
    };
    request.onerror = () => reject(new ApiError(0, { code: "network", message: "no connection" }));
    request.send(form);
  });
}

export const imageUrl = (id) => `/v1/images/${encodeURIComponent(id)}`;

// The hash in the address lets the browser keep the picture for ever.
export function thumbnailUrl(record, size = 320) {
  const version = (record.sha256 || "").slice(0, 16);
  return `${imageUrl(record.id)}/thumbnail?size=${size}${version && `&v=${version}`}`;
}

export function originalUrl(record) {
  const version = (record.sha256 || "").slice(0, 16);
  return `${imageUrl(record.id)}/original${version && `?v=${version}`}`;
}
