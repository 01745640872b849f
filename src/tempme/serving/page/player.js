// The player: a video at its moment, and where else in it the same can be seen; or a picture.

import * as api from "./api.js";
import { confidence, likeButtons } from "./cards.js";
import { clock, copy, cosine, h, icon, iconButton, isPicture, span } from "./dom.js";
import { HeatStrip } from "./heatstrip.js";
import { isSearch, partsOf } from "./state.js";

export class Player {
  constructor(dialog, actions) {
    this.dialog = dialog;
    this.actions = actions;
    this.hits = [];
    this.id = null;
    dialog.addEventListener("close", () => this.closed());
    dialog.addEventListener("click", (event) => { if (event.target === dialog) this.close(); });
  }

  get isOpen() { return this.dialog.open; }

  setHits(hits) { this.hits = hits; }

  /** Show the moment with this id; null closes. */
  show(id) {
    if (id === null) { this.close(); return; }
    const known = /^([0-9a-f]{32})-(\d+)-(\d+)$/.exec(id);
    if (!known || (id === this.id && this.isOpen)) return;
    const [, videoId, start, end] = known;
    this.moment = { moment_id: id, video_id: videoId, start_seconds: start / 1000, end_seconds: end / 1000 };
    this.id = id;
    if (this.videoId === videoId && this.isOpen) {
      this.jump();
    } else {
      this.videoId = videoId;
      this.draw();
    }
    this.about();
    if (!this.isOpen) this.dialog.showModal();
  }

  close() { if (this.dialog.open) this.dialog.close(); }

  closed() {
    this.abort?.abort();
    this.video?.pause();
    this.video?.removeAttribute("src");
    this.video?.load();
    this.dialog.replaceChildren();
    const was = this.id;
    this.id = this.videoId = null;
    if (this.actions.state().open) this.actions.go({ open: null });
    document.querySelector(`[data-moment="${was}"] .card-open`)?.focus();
  }

  draw() {
    const isStill = isPicture(this.moment);
    this.video = h("video", { controls: true, playsinline: true, preload: "auto", src: isStill ? null : api.stream(this.videoId), tabindex: "0" });
    this.stage = h("div.stage", {}, isStill ? h("img", { src: api.thumbnail(this.id, 1280), alt: "" }) : this.video);
    this.strip = new HeatStrip(this.video, (seconds) => this.seek(seconds));
    this.strip.element.hidden = isStill;
    this.title = h("h2", { dir: "auto" });
    this.path = h("div.paths");
    this.facts = h("div.facts");
    this.tools = h("div.player-tools");
    this.best = h("div.best");
    this.dialog.replaceChildren(
      h("div.player-head", {}, h("div.player-title", {}, this.title, this.path),
        this.stepper(), iconButton("close", "Close (Esc)", () => this.close(), { class: "icon-button close" })),
      this.stage, this.strip.element,
      h("div.player-foot", {}, this.facts, this.tools), this.best);
    this.video.addEventListener("loadedmetadata", () => this.jump(), { once: true });
    this.video.addEventListener("error", () => this.failed());
    this.load();
  }

  stepper() {
    this.before = iconButton("before", "Previous hit (k)", () => this.step(-1));
    this.after = iconButton("after", "Next hit (j)", () => this.step(1));
    return h("div.stepper", {}, this.before, this.after);
  }

  async load() {
    this.abort?.abort();
    this.abort = new AbortController();
    const id = this.videoId;
    try {
      const about = await api.video(id);
      if (id !== this.videoId) return;
      this.title.textContent = about.video.name;
      this.path.replaceChildren(...about.paths.map((path) => h("p.path", { dir: "auto", title: path }, path)));
      this.where = about.video.path;
      this.strip.setDuration(about.video.duration_seconds);
      const state = this.actions.state();
      if (!isSearch(state)) return;
      const heat = await api.similarity(id, partsOf(state), this.abort.signal);
      if (id !== this.videoId) return;
      this.strip.setHeat(heat);
      this.heat = heat;
      this.about();
      this.drawBest(heat);
    } catch (problem) {
      if (problem.name !== "AbortError") this.stage.append(h("p.stage-note", { role: "alert" }, problem.message));
    }
  }

  about() {
    const scored = this.heat?.video_id === this.videoId ? bestWithin(this.heat.moments, this.moment) : null;
    this.strip?.mark(this.moment);
    this.facts.replaceChildren(h("strong", {}, span(this.moment)), ...(scored ? [confidence(scored.confidence), h("span.quiet", {}, cosine(scored.score))] : []));
    const link = isPicture(this.moment) ? null : h("a.secondary", { href: api.download(this.id), download: "", title: "Download the clip (d)" }, icon("download"), h("span", {}, "Clip"));
    this.tools.replaceChildren(...likeButtons(() => this.moment, this.actions),
      h("button.secondary", { type: "button", onclick: () => this.copyLink(), title: "Copy a link to this (c)" }, icon("link"), h("span", {}, "Link")),
      h("button.secondary", { type: "button", onclick: () => this.copyPath(), title: "Copy the path of the file (p)" }, icon("folder"), h("span", {}, "Path")),
      ...(link ? [link] : []));
    this.link = link;
    const place = this.place();
    this.before.disabled = place <= 0;
    this.after.disabled = place < 0 || place >= this.hits.length - 1;
  }

  drawBest(heat) {
    this.strip.setBest(heat.best);
    if (heat.best.length < 2) return;
    this.best.replaceChildren(h("h3", {}, "Best moments of this video"),
      h("ul", {}, heat.best.map((moment) => h("li", {}, h("button.best-moment", { type: "button", onclick: () => this.open(moment) },
        h("img", { src: api.thumbnail(moment.moment_id, 160), alt: "", loading: "lazy" }),
        h("span", {}, clock(moment.start_seconds)), confidence(moment.confidence))))));
  }

  open(moment) { this.actions.go({ open: moment.moment_id }, { replace: true }); }

  place() { return this.hits.findIndex((hit) => hit.video_id === this.videoId && (hit.moments.length || hit.moment_id === this.id)); }

  step(by) {
    const place = this.place();
    const next = this.hits[place + by];
    if (place >= 0 && next) this.open(next);
  }

  seek(seconds) {
    this.video.currentTime = seconds;
    this.video.play().catch(() => {});
  }

  jump() { if (!isPicture(this.moment)) this.seek(this.moment.start_seconds); }

  toggle() {
    if (this.video.paused) this.video.play().catch(() => {});
    else this.video.pause();
  }

  nudge(by) { this.video.currentTime = Math.max(0, this.video.currentTime + by); }

  download() { this.link?.click(); }

  copyLink() { copy(location.href, "Link copied"); }

  copyPath() { copy(this.where ?? "", "Path copied"); }

  failed() {
    if (!this.video.getAttribute("src")) return;
    this.stage.append(h("div.stage-note", { role: "alert" }, h("p", {}, "This browser cannot play the video. It may still play a clip of the moment."),
      h("button.secondary", { type: "button", onclick: () => {
        this.stage.querySelector(".stage-note")?.remove();
        this.video.src = `${api.download(this.id)}&pad_seconds=2`;
      } }, "Play the clip")));
  }
}

/** The best of the moments that a longer one is made of; the moment itself, if it is one of them. */
function bestWithin(moments, whole) {
  const within = moments.filter((m) => m.start_seconds >= whole.start_seconds - 0.001 && m.end_seconds <= whole.end_seconds + 0.001);
  return within.sort((a, b) => b.score - a.score)[0];
}
