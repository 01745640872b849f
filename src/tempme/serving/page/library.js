// What is indexed, what is being indexed, what failed or was lost, and what the model costs.

import * as api from "./api.js";
import { counted, h, icon, length, size, toast } from "./dom.js";

const OVER = ["done", "failed", "cancelled"];

export class Library {
  constructor(main, actions) {
    this.main = main;
    this.actions = actions;
    this.isShown = false;
    this.sources = new Map();
  }

  async show() {
    if (this.isShown) return;
    this.isShown = true;
    this.page = h("div.page.library", {}, h("h1", {}, "Library"), h("p.quiet", {}, "Loading …"));
    this.main.replaceChildren(this.page);
    await this.refresh();
  }

  leave() {
    this.isShown = false;
    for (const source of this.sources.values()) source.close();
    this.sources.clear();
  }

  async refresh() {
    try {
      const [status, jobs] = await Promise.all([api.status(), api.jobs()]);
      if (!this.isShown) return;
      this.draw(status, jobs.jobs);
    } catch (problem) {
      if (this.isShown) this.page.replaceChildren(h("h1", {}, "Library"), h("div.state.error", { role: "alert" }, h("p", {}, problem.message),
        h("button.primary", { type: "button", onclick: () => this.refresh() }, "Try again")));
    }
  }

  draw(status, jobs) {
    this.status = status;
    this.jobList = h("div.jobs");
    this.page.replaceChildren(
      h("h1", {}, "Library"),
      h("dl.figures", {}, figure("Videos", status.num_videos.toLocaleString("en")), figure("Length", length(status.duration_seconds)),
        figure("Moments", status.num_moments.toLocaleString("en")), figure("On disk", size(status.size_bytes)),
        figure("Failed", status.num_failed.toLocaleString("en"), status.num_failed ? "bad" : "")),
      h("div.columns", {},
        h("section.panel", {}, h("h2", {}, "Folders"), this.folders(status), this.jobList),
        h("section.panel", {}, h("h2", {}, "Model"), this.model(status))),
      ...(status.failed.length ? [h("section.panel", {}, this.failed(status))] : []),
      ...(status.damaged.length ? [h("section.panel", {}, this.damaged(status))] : []),
      ...(status.notes.length ? [h("section.panel.notes", {}, h("h2", {}, "Read in part"), files(status.notes))] : []));
    jobs.slice(0, 5).forEach((job) => this.jobList.append(this.job(job)));
  }

  folders(status) {
    const field = h("input", { type: "text", id: "folder", required: true, placeholder: status.roots[0] ?? "/videos", spellcheck: "false", dir: "auto" });
    const said = h("p.error-text", { role: "alert" });
    const start = async (body) => {
      said.textContent = "";
      try {
        const job = await api.index(body);
        this.jobList.prepend(this.job(job));
        field.value = "";
      } catch (problem) {
        said.textContent = problem.message;
      }
    };
    this.start = start;
    const again = (root) => h("button.secondary", { type: "button", "aria-label": `Look for changes in ${root}`,
      onclick: () => start({ paths: [root], prune: true }) }, icon("again"), h("span", {}, "Look for changes"));
    return h("div", {},
      status.roots.length ? h("ul.roots", {}, status.roots.map((root) => h("li", {}, icon("folder"), h("span.path", { dir: "auto", title: root }, root), again(root))))
        : h("p.quiet", {}, "No folder may be indexed from here: start the service with --root FOLDER."),
      status.watching ? h("p.quiet", {}, icon("watch"), " New, changed and removed files are picked up automatically.") : null,
      h("form.add", { onsubmit: (event) => { event.preventDefault(); start({ paths: [field.value.trim()] }); } },
        h("label", { for: "folder" }, "Add a folder"), h("div.row", {}, field, h("button.primary", {}, "Index it")), said));
  }

  model(status) {
    const least = Math.min(...Object.values(status.levels));
    const rates = Object.entries(status.levels).map(([level, rate]) => `${Math.round(rate * 100)}\u00a0% get ${level}${rate === least ? "" : " or better"}`).join(", ");
    return h("dl.facts-list", {},
      fact("Name", status.model), fact("Weights", status.origin), fact("Fingerprint", status.fingerprint),
      fact("Looks at", `${status.frames} frames per moment, one every ${status.every_seconds} s`),
      status.gflops === null ? null : fact("Costs", `${status.gflops.toFixed(1)} GFLOPs per moment`),
      fact("Codecs", Object.entries(status.codecs).map(([name, n]) => `${name} ${n}`).join(", ") || "none yet"),
      fact("Confidence", `Of queries that nothing matches, at most ${rates}`), fact("Index", status.path));
  }

  failed(status) {
    const all = () => this.start({ paths: status.failed.map((file) => file.path).slice(0, 1000), retry_failed: true });
    return h("div", {}, h("div.panel-head", {}, h("h2", {}, `${counted(status.num_failed, "file")} could not be read`),
      h("button.secondary", { type: "button", onclick: all }, icon("again"), h("span", {}, "Try again"))),
    files(status.failed, (file) => status.failed.length > 1 ? h("button.link", { type: "button", "aria-label": `Try ${file.path} again`,
      onclick: () => this.start({ paths: [file.path], retry_failed: true }) }, "Try again") : null));
  }

  damaged(status) {
    const all = () => this.start({ paths: status.damaged.map((file) => file.path).slice(0, 1000) });
    return h("div", {}, h("div.panel-head", {}, h("h2", {}, `${counted(status.num_damaged, "file")} lost to damage in the index`),
      h("button.secondary", { type: "button", onclick: all }, icon("again"), h("span", {}, "Index again"))),
    h("p.quiet", {}, "Searches do not find them until they are indexed again. The files themselves are as they were."), files(status.damaged));
  }

  job(job) {
    const place = h("article.job", { "aria-label": "Indexing" });
    const draw = (now) => place.replaceChildren(...this.jobParts(now));
    draw(job);
    if (!OVER.includes(job.state)) this.follow(job.id, draw);
    return place;
  }

  follow(id, draw) {
    this.sources.get(id)?.close();
    const source = api.events(id);
    this.sources.set(id, source);
    source.addEventListener("job", (event) => {
      const job = JSON.parse(event.data);
      draw(job);
      if (!OVER.includes(job.state)) return;
      source.close();
      this.sources.delete(id);
      if (this.isShown) this.refresh();
    });
  }

  jobParts(job) {
    const { progress } = job;
    const isOver = OVER.includes(job.state);
    const share = isOver ? 1 : progress?.total_bytes ? progress.done_bytes / progress.total_bytes : 0;
    const act = (does, text, name) => h("button.link", { type: "button", onclick: () => does(job.id).catch((problem) => toast(problem.message, "error")) }, text, h("span.hidden", {}, ` ${name}`));
    const buttons = isOver ? [] : [
      job.state === "paused" ? act(api.resume, "Resume", "indexing") : act(api.pause, "Pause", "indexing"), act(api.cancel, "Cancel", "indexing")];
    return [
      h("div.job-head", {}, h("strong", {}, WORDS[job.state]), h("span.path.quiet", { dir: "auto", title: job.paths.join(", ") }, job.paths.join(", ")), ...buttons),
      isOver ? null : h("progress", { max: "1", value: String(share), "aria-label": "Share of bytes read" }),
      h("p.quiet", {}, isOver ? outcome(job) : running(progress)),
    ].filter(Boolean);
  }
}

const WORDS = { waiting: "Waiting", running: "Indexing", paused: "Paused", done: "Indexed", failed: "Failed", cancelled: "Cancelled" };

function running(progress) {
  if (!progress) return "Looking for videos …";
  const eta = progress.eta_seconds === null ? null : `about ${length(progress.eta_seconds)} left`;
  return [`${progress.done} of ${counted(progress.total, "video")}`, progress.failed ? `${progress.failed} failed` : null,
    `${progress.videos_per_second.toFixed(1)} videos/s`, eta, progress.bottleneck].filter(Boolean).join(" · ");
}

function outcome(job) {
  if (job.error) return job.error;
  if (!job.report) return "What was finished is kept.";
  const told = Object.entries(job.report.videos).filter(([, n]) => n).map(([kind, n]) => `${n} ${kind}`).join(", ");
  const unseen = job.report.unreadable.length ? ` · ${counted(job.report.unreadable.length, "folder")} could not be read` : "";
  return `${told || "no videos found"} · ${length(job.report.seconds)}${unseen}`;
}

const figure = (name, value, kind = "") => h(`div.figure${kind ? `.${kind}` : ""}`, {}, h("dt", {}, name), h("dd", {}, value));
const fact = (name, value) => h("div", {}, h("dt", {}, name), h("dd", {}, value));

function files(list, button = () => null) {
  return h("ul.files", {}, list.map((file) => h("li", {}, h("div", {}, h("p.path", { dir: "auto", title: file.path }, file.path), h("p.reason", {}, file.status === "interrupted" ? `${file.reason} (the next run tries again)` : file.reason)), ...[button(file)].filter(Boolean))));
}
