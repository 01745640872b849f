// What is shown is a function of the address: every state can be copied, bookmarked and gone back to.

/**
 * {view, q, parts: [{kind, value, weight}], group, filters, confidence, open}
 * kind is text, moment or upload; open is the id of the moment in the player.
 */
const FILTERS = ["folder", "min_duration_seconds", "max_duration_seconds", "changed_after", "changed_before",
  "min_resolution", "max_resolution"];
const LETTER = { text: "t", moment: "m", upload: "u" };
const KIND = { t: "text", m: "moment", u: "upload" };

export function read(search = location.search) {
  const given = new URLSearchParams(search);
  const filters = {};
  for (const name of FILTERS) {
    const value = given.get(name);
    if (value !== null && value !== "") filters[name] = name === "folder" ? value : Number(value);
  }
  return {
    view: given.get("view") ?? "search",
    q: given.get("q") ?? "",
    parts: given.getAll("part").map(partFrom).filter(Boolean),
    group: given.get("group") === "moment" ? "moment" : "video",
    filters,
    confidence: given.get("confidence") ?? "none",
    open: given.get("open"),
  };
}

function partFrom(text) {
  const found = /^([tmu])(-?[\d.]+):(.*)$/su.exec(text);
  if (!found || !Number.isFinite(Number(found[2]))) return null;
  return { kind: KIND[found[1]], weight: Number(found[2]), value: found[3] };
}

export function write(state) {
  const made = new URLSearchParams();
  if (state.view !== "search") made.set("view", state.view);
  if (state.q) made.set("q", state.q);
  for (const part of state.parts) made.append("part", `${LETTER[part.kind]}${part.weight}:${part.value}`);
  if (state.group !== "video") made.set("group", state.group);
  for (const [name, value] of Object.entries(state.filters)) made.set(name, value);
  if (state.confidence !== "none") made.set("confidence", state.confidence);
  if (state.open) made.set("open", state.open);
  const text = made.toString();
  return text ? `?${text}` : location.pathname;
}

export const isSearch = (state) => state.view === "search" && (state.q.trim() !== "" || state.parts.length > 0);

/** Words that begin with "-" are what is not wanted: "a dog -snow". */
function textParts(q) {
  const unwanted = [];
  const wanted = q.replace(/(^|\s)-(\p{L}[\p{L}\p{N}]*)/gu, (_, before, word) => { unwanted.push(word); return before; }).trim();
  if (!wanted) return q.trim() ? [{ text: q.trim(), weight: 1 }] : [];
  return [{ text: wanted, weight: 1 }, ...unwanted.map((text) => ({ text, weight: -0.5 }))];
}

/** The parts of a search as the service takes them. */
export const partsOf = (state) => [
  ...textParts(state.q), ...state.parts.map((part) => ({ [part.kind]: part.value, weight: part.weight }))];

export const requestOf = (state, k, token) => ({
  parts: partsOf(state), k, group_by: state.group, filters: state.filters,
  min_confidence: state.confidence, ...(token ? { page_token: token } : {}) });
