// The grid of hits, and what is shown when there are none.

import * as api from "./api.js";
import { card, videoCard } from "./cards.js";
import { announce, counted, h, icon } from "./dom.js";
import { isSearch, requestOf, write } from "./state.js";

const PAGE = 24;
const LIBRARY_PAGE = 60;
/** What went wrong, for people, by the status of the answer. */
const HEADINGS = {
  0: "No answer", 401: "Sign in first", 404: "No longer there", 408: "Too slow", 413: "Too large", 415: "Not a picture or video",
  422: "This cannot be searched for", 429: "Too much at once", 503: "Not available now" };

export class Results {
  constructor(main, actions, player) {
    this.main = main;
    this.actions = actions;
    this.player = player;
    this.key = null;
    this.hits = [];
    this.observer = new IntersectionObserver((entries) => {
      if (entries.some((entry) => entry.isIntersecting)) this.more();
    }, { rootMargin: "600px" });
  }

  /** Search, unless what is shown is what is wanted. */
  show(state) {
    const key = write({ ...state, open: null });
    if (key === this.key) return;
    this.leave();
    this.key = key;
    if (isSearch(state)) this.search(state);
    else this.home();
  }

  leave() {
    this.abort?.abort();
    this.observer.disconnect();
    this.key = null;
    this.hits = [];
  }

  again() {
    this.key = null;
    this.show(this.actions.state());
  }

  async search(state, file = null) {
    this.abort?.abort();
    this.abort = new AbortController();
    this.skeleton(file ? `Looking at ${file.name || "the picture"} …` : "Searching …");
    try {
      const answer = await api.search(requestOf(state, PAGE), { file, signal: this.abort.signal });
      if (file && answer.upload) {
        const part = { kind: "upload", value: answer.upload.id, weight: 1 };
        this.key = write({ ...state, parts: [...state.parts, part], open: null });
        this.actions.go({ parts: [...state.parts, part], open: null });
      }
      this.draw(answer);
    } catch (problem) {
      if (problem.name !== "AbortError") this.failed(problem);
    }
  }

  byFile(file) {
    const state = { ...this.actions.state(), view: "search", q: "", parts: [], open: null };
    this.actions.go({ view: "search", q: "", parts: [], open: null }, { replace: true });
    this.key = "file";
    this.search(state, file);
  }

  draw(answer) {
    this.hits = answer.hits;
    this.token = answer.next_page_token;
    this.player.setHits(this.hits);
    const place = this.place();
    if (!answer.hits.length) {
      place.append(this.nothing(answer));
      announce("No hits");
      return;
    }
    this.grid = h("ul.grid", { "aria-label": "Hits" }, answer.hits.map((hit) => this.card(hit)));
    this.sentinel = h("div.more");
    place.append(this.summary(answer), ...this.banner(answer), this.grid, this.sentinel);
    this.drawMore();
    announce(`${counted(answer.hits.length, "hit")}, confidence ${answer.confidence}`);
  }

  card(hit) {
    return card(hit, { actions: this.actions, open: (moment) => this.actions.go({ open: moment.moment_id }), isGrouped: hit.moments.length > 0 });
  }

  summary(answer) {
    const many = this.token ? "Best hits" : counted(answer.hits.length, "hit");
    return h("p.summary", {}, `${many} in ${counted(answer.num_videos, "video")}`,
      h("span.quiet", {}, ` · ${answer.seconds < 0.995 ? `${Math.round(answer.seconds * 1000)} ms` : `${answer.seconds.toFixed(1)} s`}`));
  }

  banner(answer) {
    const notes = [];
    if (answer.note) notes.push(h("div.banner.warn", { role: "note" }, icon("note"), h("p", {}, `${answer.note[0].toUpperCase()}${answer.note.slice(1)}.`)));
    if (answer.confidence === "none") {
      notes.push(h("div.banner", { role: "note" }, icon("note"), h("div", {},
        h("p", {}, h("strong", {}, "Nothing matches well."), " These are the nearest moments, but a query about something that is not there would score as high."),
        h("p.quiet", {}, "Try other words, describe more of what can be seen, or drop a picture that looks like it."))));
    }
    return notes;
  }

  drawMore() {
    this.observer.disconnect();
    if (!this.token) {
      this.sentinel.replaceChildren(h("p.quiet", {}, this.hits.length > PAGE ? "That is all." : ""));
      return;
    }
    this.sentinel.replaceChildren(h("button.secondary", { type: "button", onclick: () => this.more() }, "Show more"));
    this.observer.observe(this.sentinel);
  }

  async more() {
    if (!this.token || this.isLoading) return;
    this.isLoading = true;
    const key = this.key;
    try {
      const answer = await api.search(requestOf(this.actions.state(), PAGE, this.token), { signal: this.abort?.signal });
      if (key !== this.key) return;
      this.token = answer.next_page_token;
      this.hits.push(...answer.hits);
      this.grid.append(...answer.hits.map((hit) => this.card(hit)));
      this.drawMore();
    } catch (problem) {
      if (problem.name === "AbortError") return;
      this.token = null;
      this.sentinel.replaceChildren(h("p.error-text", { role: "alert" }, problem.message));
    } finally {
      this.isLoading = false;
    }
  }

  place() {
    const place = h("div.page");
    this.main.replaceChildren(place);
    return place;
  }

  skeleton(said) {
    const place = this.place();
    place.append(h("p.summary", {}, said),
      h("ul.grid", { "aria-hidden": "true" }, Array.from({ length: 12 }, () => h("li.card.waiting", {}, h("div.shot"), h("div.line"), h("div.line.short")))));
    announce(said);
  }

  nothing(answer) {
    const state = this.actions.state();
    const isFiltered = Object.keys(state.filters).length > 0 || state.confidence !== "none";
    if (!answer.num_videos && !isFiltered) return this.noVideos();
    return h("div.state", {}, icon("search"), h("h1", {}, "No hits"),
      h("p", {}, isFiltered ? "Nothing passes these filters." : "The index holds nothing like this."),
      isFiltered ? h("button.primary", { type: "button", onclick: () => this.actions.go({ filters: {}, confidence: "none" }) }, "Clear filters") : null);
  }

  noVideos() {
    return h("div.state", {}, icon("library"), h("h1", {}, "No videos yet"),
      h("p", {}, "Add a folder, and its moments can be found as soon as the first video is done."),
      h("button.primary", { type: "button", onclick: () => this.actions.go({ view: "library" }) }, "Add a folder"));
  }

  failed(problem) {
    // What is wrong with the query itself is not mended by asking it again.
    const isAsked = problem.status === 422;
    const act = isAsked ? () => document.getElementById("query").select() : () => this.again();
    this.place().append(h("div.state.error", { role: "alert" }, icon("note"), h("h1", {}, HEADINGS[problem.status] ?? "That did not work"),
      h("p", {}, problem.message),
      h("button.primary", { type: "button", onclick: act }, isAsked ? "Change the search" : "Try again")));
  }

  drawVideos(found, key) {
    this.grid.append(...found.videos.map((video) => videoCard(video, this.actions)));
    if (!found.next_page_token) { this.sentinel.remove(); return; }
    const more = h("button.secondary", { type: "button", onclick: async () => {
      more.disabled = true;
      try {
        const next = await api.videos({ status: "ok", k: LIBRARY_PAGE, page_token: found.next_page_token });
        if (key === this.key) this.drawVideos(next, key);
      } catch (problem) {
        this.sentinel.replaceChildren(h("p.error-text", { role: "alert" }, problem.message));
      }
    } }, "Show more");
    this.sentinel.replaceChildren(more);
  }

  async home() {
    this.player.setHits([]);
    const place = this.place();
    place.append(h("section.hero", {}, h("h1", {}, "What do you remember?"),
      h("p", {}, "Describe it in your own words, drop a picture, or browse what is there.")));
    const key = this.key;
    try {
      const found = await api.videos({ status: "ok", k: LIBRARY_PAGE });
      if (key !== this.key) return;
      if (!found.total) {
        place.append(this.noVideos());
        return;
      }
      place.append(h("h2.shelf", {}, "In your library", h("span.quiet", {}, ` ${counted(found.total, "video")}`)),
        this.grid = h("ul.grid", { "aria-label": "Videos" }), this.sentinel = h("div.more"));
      this.drawVideos(found, key);
    } catch (problem) {
      if (key === this.key) this.failed(problem);
    }
  }
}
