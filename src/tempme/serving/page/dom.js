// Elements, and the words that go into them.

/** An element: h("a.link", {href: "x", onclick: f}, "text", child, ...). */
export function h(tag, given = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const element = document.createElement(name || "div");
  if (classes.length) element.className = classes.join(" ");
  for (const [key, value] of Object.entries(given)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "vars") for (const [n, v] of Object.entries(value)) element.style.setProperty(n, v);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}

/** An icon for the eye alone. */
export const icon = (name) => h(`span.i.i-${name}`, { "aria-hidden": "true" });

/** A button with an icon, and its name for those who do not see it. */
export function iconButton(name, label, onclick, more = {}) {
  return h("button.icon-button", { type: "button", title: label, "aria-label": label, onclick, ...more }, icon(name));
}

/** 83.5 -> "1:23". */
export function clock(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (n) => String(n).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

/** A picture is a moment without length. */
export const isPicture = (moment) => moment.start_seconds === moment.end_seconds;

/** "1:23 – 1:35". */
export const span = (moment) => isPicture(moment) ? "picture" : `${clock(moment.start_seconds)} – ${clock(moment.end_seconds)}`;

/** 412 seconds -> "7 min", 4000 -> "1.1 h". */
export function length(seconds) {
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

/** 7340032 -> "7.3 MB". */
export function size(bytes) {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let place = 0;
  while (bytes >= 1000 && place < units.length - 1) { bytes /= 1000; place += 1; }
  return `${place ? bytes.toFixed(bytes < 10 ? 1 : 0) : bytes} ${units[place]}`;
}

/** A cosine: 0.8283 -> "0.828"; next to nothing is not less than nothing. */
export const cosine = (value) => value.toFixed(3).replace(/^-(0\.0+)$/, "$1");

/** 1, "video" -> "1 video". */
export const counted = (n, noun, nouns = `${noun}s`) => `${n.toLocaleString("en")} ${n === 1 ? noun : nouns}`;

/** Tell it to those who listen. */
export function announce(text) {
  document.getElementById("live").textContent = text;
}

/** A note that goes away by itself. */
export function toast(text, kind = "note") {
  const note = h(`p.toast.${kind}`, { role: kind === "error" ? "alert" : "status" }, text);
  document.getElementById("toasts").append(note);
  setTimeout(() => note.remove(), kind === "error" ? 8000 : 3500);
}

/** Put text where it can be pasted; a page that is not secure may only use the old way. */
export async function copy(text, said) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = h("textarea", {}, text);
    (document.querySelector("dialog[open]") ?? document.body).append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  toast(said);
}
