// The service, as functions. Addresses are relative, so that the page works below any path.

/** What the service says when it cannot: a problem document (RFC 9457). */
export class Problem extends Error {
  constructor(document) {
    super(document.detail.charAt(0).toUpperCase() + document.detail.slice(1));
    this.title = document.title;
    this.status = document.status;
    this.type = document.type;
  }
}

const listeners = new Set();
export const onSignIn = (listener) => listeners.add(listener);

async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem({ title: "No answer", status: 0,
      detail: "The service does not answer. Is it still running? Start it again with `tempme serve`." });
  }
  if (response.status === 204) return null;
  const told = await response.json().catch(() => ({
    title: response.statusText, status: response.status, detail: "The service gave an answer that cannot be read." }));
  if (response.status === 401) listeners.forEach((listener) => listener());
  if (!response.ok) throw new Problem(told);
  return told;
}

const send = (path, body, method = "POST", signal = undefined) => ask(path, {
  method, signal, headers: { "Content-Type": "application/json" }, body: body === undefined ? undefined : JSON.stringify(body) });

/** Hits for a request; with a file, by that too. */
export function search(request, { file, signal } = {}) {
  if (!file) return send("v1/search", request, "POST", signal);
  const form = new FormData();
  form.append("file", file, file.name || "pasted");
  form.append("request", JSON.stringify(request));
  return ask("v1/search", { method: "POST", body: form, signal });
}

export function similarity(videoId, parts, signal) {
  const query = new URLSearchParams({ parts: JSON.stringify(parts) });
  return ask(`v1/videos/${videoId}/similarity?${query}`, { signal });
}

export const status = () => ask("v1/status");
export const facets = () => ask("v1/facets");
export const videos = (options = {}) => ask(`v1/videos?${new URLSearchParams(options)}`);
export const video = (id) => ask(`v1/videos/${id}`);
export const moments = (id) => ask(`v1/videos/${id}/moments`);
export const jobs = () => ask("v1/jobs");
export const index = (body) => send("v1/index", body);
export const pause = (id) => send(`v1/jobs/${id}/pause`);
export const resume = (id) => send(`v1/jobs/${id}/resume`);
export const cancel = (id) => send(`v1/jobs/${id}`, undefined, "DELETE");
export const signIn = (token) => send("v1/session", { token });
export const events = (id) => new EventSource(`v1/jobs/${id}/events`);

export const thumbnail = (momentId, width) => `v1/moments/${momentId}/thumbnail?width=${width}`;
export const cover = (videoId, width) => `v1/videos/${videoId}/thumbnail?width=${width}`;
export const preview = (momentId) => `v1/moments/${momentId}/clip?height=240&sound=false`;
export const download = (momentId) => `v1/moments/${momentId}/clip?download=true&height=1080`;
export const stream = (videoId) => `v1/videos/${videoId}/stream`;
