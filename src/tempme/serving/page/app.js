// Puts the parts together: the address says what is shown, and everything else changes the address.

import * as api from "./api.js";
import { h } from "./dom.js";
import { Filters } from "./filters.js";
import { bindKeys, openShortcuts } from "./keys.js";
import { Library } from "./library.js";
import { Player } from "./player.js";
import { Results } from "./results.js";
import { SearchBox } from "./searchbox.js";
import * as states from "./state.js";

const main = document.getElementById("main");
let state = states.read();

const actions = {
  state: () => state,
  /** Go to another state; with `replace` the history keeps no trace of this one. */
  go(change, { replace = false } = {}) {
    const next = { ...state, ...change };
    history[replace ? "replaceState" : "pushState"](null, "", states.write(next));
    show();
  },
  /** "More like this", or less: another part of the search. */
  add(part) {
    const parts = state.parts.filter((other) => other.value !== part.value);
    const isOnly = part.weight < 0 && !state.q && !parts.some((other) => other.weight > 0);
    if (isOnly) return false;
    actions.go({ view: "search", parts: [...parts, part], open: null });
    return true;
  },
  searchByFile(file) {
    player.close();
    results.byFile(file);
  },
};

const player = new Player(document.getElementById("player"), actions);
const results = new Results(main, actions, player);
const library = new Library(main, actions);
const filters = new Filters(document.getElementById("filters"), actions);
const box = new SearchBox(actions);

function show() {
  const before = state;
  state = states.read();
  box.show(state);
  document.title = state.view === "library" ? "Library · tempme" : state.q ? `${state.q} · tempme` : "tempme";
  document.body.dataset.view = state.view;
  const isLibrary = state.view === "library";
  for (const link of document.querySelectorAll("[data-route]")) {
    link.toggleAttribute("aria-current", link.dataset.route === "library" && isLibrary);
  }
  filters.show(state, { hidden: isLibrary || !states.isSearch(state) });
  if (isLibrary) {
    results.leave();
    library.show();
  } else {
    library.leave();
    results.show(state);
  }
  if (state.open !== before.open || !player.isOpen) player.show(state.open);
}

for (const link of document.querySelectorAll("[data-route]")) {
  link.addEventListener("click", (event) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    const view = link.dataset.route === "library" ? "library" : "search";
    actions.go({ view, q: "", parts: [], filters: {}, confidence: "none", open: null });
  });
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  try { localStorage.setItem("theme", theme); } catch { /* a browser that keeps nothing */ }
}

function otherTheme() {
  const isDark = matchMedia("(prefers-color-scheme: dark)").matches;
  const now = document.documentElement.dataset.theme ?? (isDark ? "dark" : "light");
  setTheme(now === "dark" ? "light" : "dark");
}

try {
  const kept = localStorage.getItem("theme");
  if (kept) setTheme(kept);
} catch { /* as above */ }

document.getElementById("theme").addEventListener("click", otherTheme);
document.getElementById("help").addEventListener("click", openShortcuts);
bindKeys({ actions, player, results, otherTheme });
addEventListener("popstate", show);

api.onSignIn(() => {
  const dialog = document.getElementById("signin");
  if (dialog.open) return;
  const field = h("input", { type: "password", id: "token", autocomplete: "current-password", required: true });
  const said = h("p.error-text", { role: "alert" });
  dialog.replaceChildren(
    h("h2", { id: "signin-title" }, "Sign in"),
    h("p", {}, "Enter the token that the service was started with."),
    h("form", { onsubmit: async (event) => {
      event.preventDefault();
      try {
        await api.signIn(field.value);
        dialog.close();
        location.reload();
      } catch (problem) {
        said.textContent = problem.message;
      }
    } }, h("label", { for: "token" }, "Token"), field, said, h("button.primary", {}, "Sign in")));
  dialog.showModal();
});

show();
