// Filters with counts, and how hits are grouped.

import * as api from "./api.js";
import { h, icon } from "./dom.js";

const GROUPS = [
  ["folders", "Folder", ["folder"]],
  ["durations", "Length", ["min_duration_seconds", "max_duration_seconds"]],
  ["resolutions", "Resolution", ["min_resolution", "max_resolution"]],
  ["dates", "Date", ["changed_after", "changed_before"]],
];
const LEVELS = [["none", "Confidence: any"], ["low", "Confidence: low or better"], ["medium", "Confidence: medium or better"], ["high", "Confidence: high"]];

export class Filters {
  constructor(place, actions) {
    this.place = place;
    this.actions = actions;
    this.facets = null;
  }

  async show(state, { hidden }) {
    this.place.hidden = hidden;
    if (hidden) return;
    this.draw(state);
    try {
      this.facets = await api.facets();
      if (this.actions.state() === state) this.draw(state);
    } catch { /* the results say what is wrong */ }
  }

  draw(state) {
    const menus = this.facets ? GROUPS.map((group) => this.menu(state, ...group)) : [];
    const clear = Object.keys(state.filters).length || state.confidence !== "none"
      ? h("button.link", { type: "button", onclick: () => this.actions.go({ filters: {}, confidence: "none" }) }, "Clear filters") : null;
    this.place.replaceChildren(h("div.filters-in", {},
      this.grouping(state), ...menus.filter(Boolean), this.levels(state), clear));
  }

  grouping(state) {
    const choice = (value, text) => h("button", {
      type: "button", "aria-pressed": String(state.group === value), onclick: () => this.actions.go({ group: value }) }, text);
    return h("div.segments", { role: "group", "aria-label": "Group hits by" }, choice("video", "Videos"), choice("moment", "Moments"));
  }

  menu(state, key, label, names) {
    const counts = this.facets[key];
    const isSet = names.some((name) => name in state.filters);
    if (counts.length < 2 && !isSet) return null;
    const isChosen = (count) => names.every((name) => state.filters[name] === count.filters[name]);
    const rest = Object.fromEntries(Object.entries(state.filters).filter(([name]) => !names.includes(name)));
    const select = h("select", {
      "aria-label": label,
      onchange: () => {
        const count = counts[select.selectedIndex - 1];
        this.actions.go({ filters: count ? { ...rest, ...count.filters } : rest });
      },
    }, h("option", {}, `${label}: any`), counts.map((count) => h("option", { selected: isChosen(count) }, `${count.label} (${count.count})`)));
    if (isSet && !counts.some(isChosen)) select.append(h("option", { selected: true }, `${label}: other`));
    return h(`label.menu${isSet ? ".set" : ""}`, {}, select, icon("down"));
  }

  levels(state) {
    const select = h("select", {
      "aria-label": "Confidence", onchange: () => this.actions.go({ confidence: LEVELS[select.selectedIndex][0] }),
    }, LEVELS.map(([level, text]) => h("option", { selected: level === state.confidence }, text)));
    return h(`label.menu${state.confidence === "none" ? "" : ".set"}`, {}, select, icon("down"));
  }
}
