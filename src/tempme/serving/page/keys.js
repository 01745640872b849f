// The whole page by keyboard.

import { h, iconButton } from "./dom.js";

const SHORTCUTS = [
  ["Everywhere", [["/", "Search"], ["h", "Start page"], ["l", "Library"], ["t", "Dark or light"], ["?", "This list"]]],
  ["Hits", [["← → ↑ ↓", "Move between hits"], ["Enter", "Play"], ["m", "More like this"], ["x", "Less like this"]]],
  ["Player", [["Space", "Play or pause"], ["← →", "5 seconds back or forward"], ["j  k", "Next or previous hit"], ["m  x", "More or less like this"],
    ["d", "Download the clip"], ["c", "Copy a link"], ["p", "Copy the path"], ["f", "Full screen"], ["Esc", "Close"]]],
  ["Writing a query", [["a dog -snow", "A dog, but not in snow"], ["Backspace", "Remove the last item beside the words"]]],
];

export function openShortcuts() {
  const dialog = document.getElementById("shortcuts");
  dialog.replaceChildren(
    h("div.sheet-head", {}, h("h2", { id: "shortcuts-title" }, "Keyboard shortcuts"), iconButton("close", "Close", () => dialog.close())),
    h("div.shortcuts", {}, SHORTCUTS.map(([title, keys]) => h("section", {}, h("h3", {}, title),
      h("dl", {}, keys.map(([key, does]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, does)]))))));
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); }, { once: true });
  dialog.showModal();
}

export function bindKeys({ actions, player, otherTheme }) {
  const inPlayer = {
    " ": () => player.toggle(), ArrowLeft: () => player.nudge(-5), ArrowRight: () => player.nudge(5),
    j: () => player.step(1), k: () => player.step(-1), d: () => player.download(), c: () => player.copyLink(),
    p: () => player.copyPath(), f: () => player.video.requestFullscreen?.(), m: () => press("m", player.dialog), x: () => press("x", player.dialog),
  };
  const onPage = {
    "/": () => { const field = document.getElementById("query"); field.focus(); field.select(); },
    h: () => actions.go({ view: "search", q: "", parts: [], filters: {}, confidence: "none", open: null }),
    l: () => actions.go({ view: "library", open: null }),
    t: otherTheme, "?": openShortcuts,
    ArrowRight: () => move(1, 0), ArrowLeft: () => move(-1, 0), ArrowDown: () => move(0, 1), ArrowUp: () => move(0, -1),
    m: () => press("m", focused()), x: () => press("x", focused()),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const isOther = document.querySelector("dialog[open]:not(#player)");
    const target = event.target;
    if (isOther || isWriting(target)) return;
    const does = (player.isOpen ? { t: otherTheme, "?": openShortcuts, ...inPlayer } : onPage)[event.key];
    const isPressing = target.closest("button, a, summary") && (event.key === " " || event.key === "Enter");
    const isVideo = target.tagName === "VIDEO" && event.key === " ";
    if (!does || isPressing || isVideo) return;
    if (does() !== false) event.preventDefault();
  });
}

const isWriting = (element) => element.matches?.("input:not([type=file]), textarea, select") || element.isContentEditable;
const focused = () => document.activeElement?.closest(".card");
const press = (key, inside) => { const button = inside?.querySelector(`[data-key=${key}]`); button?.click(); return Boolean(button); };

/** From card to card, as they lie. */
function move(across, down) {
  const cards = [...document.querySelectorAll("#main .grid .card-open")];
  if (!cards.length) return false;
  const place = cards.indexOf(document.activeElement);
  if (place < 0) {
    if (down < 0 || across < 0) return false;
    cards[0].focus();
    return true;
  }
  const top = cards[0].getBoundingClientRect().top;
  const columns = cards.filter((card) => Math.abs(card.getBoundingClientRect().top - top) < 2).length || 1;
  const next = place + across + down * columns;
  if (next < 0) { document.getElementById("query").focus(); return true; }
  cards[Math.min(next, cards.length - 1)].focus();
  return true;
}
