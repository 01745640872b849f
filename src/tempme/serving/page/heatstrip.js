// How well each part of a video fits, from its start to its end; a click jumps there.

import { clock, h } from "./dom.js";

const COLUMNS = 160;

export class HeatStrip {
  constructor(video, seek) {
    this.video = video;
    this.duration = 0;
    this.columns = h("div.heat", { "aria-hidden": "true" });
    this.marks = h("div.marks", { "aria-hidden": "true" });
    this.head = h("div.playhead", { "aria-hidden": "true" });
    this.tip = h("div.tip", { "aria-hidden": "true" });
    this.element = h("div.strip", { role: "slider", tabindex: "0", "aria-label": "Position in the video", "aria-valuemin": "0" },
      this.columns, this.marks, this.head, this.tip);
    this.element.addEventListener("click", (event) => seek(this.secondsAt(event)));
    this.element.addEventListener("pointermove", (event) => this.showTip(event));
    this.element.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -1, ArrowRight: 1, PageDown: -10, PageUp: 10 }[event.key];
      const to = { Home: 0, End: this.duration }[event.key];
      if (by === undefined && to === undefined) return;
      event.preventDefault();
      event.stopPropagation();
      seek(Math.min(this.duration, Math.max(0, to ?? video.currentTime + by)));
    });
    video.addEventListener("timeupdate", () => this.move());
    video.addEventListener("seeking", () => this.move());
  }

  setDuration(seconds) {
    this.duration = seconds;
    this.element.setAttribute("aria-valuemax", String(Math.round(seconds)));
    if (this.marked) this.mark(this.marked);
    this.move();
  }

  /** A column's height is the mean score of the moments that cover it; the best moment of the video is full height. */
  setHeat({ moments }) {
    if (!moments.length) return;
    const scores = moments.map((moment) => moment.score);
    const best = Math.max(...scores);
    const range = Math.max(best - Math.min(...scores), 0.05);
    const width = this.duration / COLUMNS;
    const heat = Array.from({ length: COLUMNS }, (_, column) => {
      const at = (column + 0.5) * width;
      const here = moments.filter((m) => m.start_seconds <= at && at < m.end_seconds).map((m) => m.score);
      return here.length ? 1 - (best - here.reduce((a, b) => a + b) / here.length) / range : 0;
    });
    this.columns.replaceChildren(...heat.map((value) => h("i", { vars: { "--heat": value.toFixed(3) } })));
  }

  setBest(moments) {
    this.best = moments;
    this.drawMarks();
  }

  mark(moment) {
    this.marked = moment;
    this.drawMarks();
  }

  drawMarks() {
    if (!this.duration) return;
    const share = (seconds) => `${(100 * Math.min(1, seconds / this.duration)).toFixed(2)}%`;
    const dots = (this.best ?? []).map((m) => h("b", { vars: { left: share((m.start_seconds + m.end_seconds) / 2) } }));
    const now = this.marked ? [h("span", { vars: {
      left: share(this.marked.start_seconds), width: share(this.marked.end_seconds - this.marked.start_seconds) } })] : [];
    this.marks.replaceChildren(...now, ...dots);
  }

  move() {
    if (!this.duration) return;
    const seconds = this.video.currentTime || 0;
    this.head.style.setProperty("left", `${(100 * Math.min(1, seconds / this.duration)).toFixed(2)}%`);
    this.element.setAttribute("aria-valuenow", String(Math.round(seconds)));
    this.element.setAttribute("aria-valuetext", `${clock(seconds)} of ${clock(this.duration)}`);
  }

  secondsAt(event) {
    const box = this.element.getBoundingClientRect();
    return this.duration * Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
  }

  showTip(event) {
    this.tip.textContent = clock(this.secondsAt(event));
    const box = this.element.getBoundingClientRect();
    this.tip.style.setProperty("left", `${event.clientX - box.left}px`);
  }
}
