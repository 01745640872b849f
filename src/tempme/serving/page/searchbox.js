// The search box: words, and things beside them that came by dropping, pasting or "more like this".

import * as api from "./api.js";
import { clock, h, icon, iconButton, toast } from "./dom.js";

const RECENT = "recent";
const MOST_RECENT = 8;

export class SearchBox {
  constructor(actions) {
    this.actions = actions;
    this.form = document.getElementById("search");
    this.input = document.getElementById("query");
    this.parts = document.getElementById("parts");
    this.recent = document.getElementById("recent");
    this.file = document.getElementById("file");
    this.form.addEventListener("submit", (event) => { event.preventDefault(); this.submit(); });
    this.input.addEventListener("focus", () => this.showRecent());
    this.input.addEventListener("input", () => this.showRecent());
    this.input.addEventListener("keydown", (event) => this.key(event));
    document.addEventListener("pointerdown", (event) => {
      if (!this.recent.contains(event.target) && !this.form.contains(event.target)) this.hideRecent();
    });
    this.file.addEventListener("change", () => {
      if (this.file.files[0]) this.take(this.file.files[0]);
      this.file.value = "";
    });
    this.bindDrop();
  }

  show(state) {
    if (document.activeElement !== this.input || this.input.value.trim() === "") this.input.value = state.q;
    this.parts.replaceChildren(...state.parts.map((part) => this.chip(part, state)));
    this.parts.hidden = !state.parts.length;
  }

  chip(part, state) {
    const without = () => this.actions.go({ parts: state.parts.filter((other) => other !== part) });
    const turned = () => this.actions.go({
      parts: state.parts.map((other) => (other === part ? { ...part, weight: part.weight < 0 ? 1 : -0.5 } : other)) });
    const isLess = part.weight < 0;
    const name = part.kind === "moment" ? clock(Number(part.value.split("-")[1]) / 1000) : part.kind === "upload" ? "your file" : part.value;
    const said = `${isLess ? "Less" : "More"} like ${part.kind === "moment" ? `the moment at ${name}` : name}`;
    const picture = part.kind === "moment" ? h("img", { src: api.thumbnail(part.value, 160), alt: "" })
      : icon(part.kind === "upload" ? "image" : "minus");
    return h(`li.part${isLess ? ".less" : ""}`, {},
      h("button.part-sign", { type: "button", title: `${said}; press to switch`, "aria-label": `${said}; press to switch between more and less`, onclick: turned },
        h("b", { "aria-hidden": "true" }, isLess ? "−" : "+"), picture, h("span", {}, name)),
      iconButton("close", `Remove: ${said}`, without));
  }

  submit() {
    const q = this.input.value.trim();
    const state = this.actions.state();
    this.hideRecent();
    if (!q && !state.parts.length) {
      this.input.focus();
      return;
    }
    if (q) this.remember(q);
    this.input.blur();
    this.actions.go({ view: "search", q, open: null });
  }

  take(file) {
    if (!/^(image|video)\//.test(file.type) && file.type !== "") {
      toast(`${file.name} is not a picture or video`, "error");
      return;
    }
    this.actions.searchByFile(file);
  }

  bindDrop() {
    const zone = document.getElementById("drop");
    let depth = 0;
    const hasFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
    addEventListener("dragenter", (event) => { if (hasFiles(event)) { depth += 1; zone.hidden = false; } });
    addEventListener("dragleave", () => { depth = Math.max(0, depth - 1); if (!depth) zone.hidden = true; });
    addEventListener("dragover", (event) => { if (hasFiles(event)) event.preventDefault(); });
    addEventListener("drop", (event) => {
      depth = 0;
      zone.hidden = true;
      if (!hasFiles(event)) return;
      event.preventDefault();
      if (event.dataTransfer.files[0]) this.take(event.dataTransfer.files[0]);
    });
    addEventListener("paste", (event) => {
      const file = event.clipboardData?.files[0];
      if (file) { event.preventDefault(); this.take(file); }
    });
  }

  remembered() {
    try { return JSON.parse(localStorage.getItem(RECENT) ?? "[]"); } catch { return []; }
  }

  remember(q) {
    const kept = [q, ...this.remembered().filter((other) => other !== q)].slice(0, MOST_RECENT);
    try { localStorage.setItem(RECENT, JSON.stringify(kept)); } catch { /* a browser that keeps nothing */ }
  }

  showRecent() {
    const typed = this.input.value.trim().toLowerCase();
    const found = this.remembered().filter((q) => q.toLowerCase().includes(typed) && q.toLowerCase() !== typed);
    if (!found.length) { this.hideRecent(); return; }
    const pick = (q) => { this.input.value = q; this.submit(); };
    this.recent.replaceChildren(
      h("div.recent-head", {}, h("span", {}, "Recent searches"),
        h("button.link", { type: "button", onclick: () => { localStorage.removeItem(RECENT); this.hideRecent(); } }, "Clear")),
      h("ul", { "aria-label": "Recent searches" }, found.map((q) => h("li", {},
        h("button.recent-item", { type: "button", dir: "auto", onclick: () => pick(q) }, icon("recent"), h("span", {}, q))))));
    this.recent.hidden = false;
  }

  hideRecent() { this.recent.hidden = true; }

  key(event) {
    if (event.key === "Escape") { this.hideRecent(); this.input.blur(); }
    if (event.key === "ArrowDown") {
      event.preventDefault();
      const first = (this.recent.hidden ? document.getElementById("main") : this.recent).querySelector("li button, .card-open");
      this.hideRecentUnless(first);
      first?.focus();
    }
    if (event.key === "Backspace" && this.input.selectionStart === 0 && this.input.selectionEnd === 0) {
      const { parts } = this.actions.state();
      if (parts.length) this.actions.go({ parts: parts.slice(0, -1) });
    }
  }

  hideRecentUnless(element) {
    if (!element || !this.recent.contains(element)) this.hideRecent();
  }
}
