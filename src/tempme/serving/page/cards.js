// One hit: a picture that plays while it is pointed at, where it is, and how sure it is.

import * as api from "./api.js";
import { clock, cosine, counted, h, iconButton, isPicture, length, span, toast } from "./dom.js";

const HOVER_MS = 120;
const SURE = { high: "High", medium: "Medium", low: "Low", none: "Unsure" };
const MEANING = {
  high: "of queries that nothing matches, 1 in 100 gets a hit this sure",
  medium: "of queries that nothing matches, 1 in 20 gets a hit this sure",
  low: "of queries that nothing matches, 1 in 5 gets a hit this sure",
  none: "a query that nothing matches would score as high",
};

/** Three bars and a word. */
export function confidence(level) {
  return h(`span.sure.${level}`, { title: `${SURE[level]} confidence: ${MEANING[level]}` },
    h("span.bars", { "aria-hidden": "true" }, h("i"), h("i"), h("i")), h("span", {}, SURE[level]),
    h("span.hidden", {}, " confidence"));
}

/** The same picture, blurred, behind one that does not fill its frame. */
const backdrop = (src) => h("img.backdrop", { src, alt: "", loading: "lazy", "aria-hidden": "true" });

/** A picture of a moment; plays without sound while it is pointed at or has the focus. */
function shot(moment, badge) {
  const picture = h("img", { src: api.thumbnail(moment.moment_id, 480), alt: "", loading: "lazy", decoding: "async" });
  const frame = h("div.shot", {}, backdrop(api.thumbnail(moment.moment_id, 480)), picture, badge);
  picture.addEventListener("error", () => frame.classList.add("broken"));
  return frame;
}

function playWhilePointedAt(element, frame, moment) {
  let timer = null;
  let video = null;
  const stop = () => {
    clearTimeout(timer);
    video?.remove();
    video = null;
    frame.classList.remove("playing");
  };
  const start = () => {
    stop();
    if (isPicture(moment()) || matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    timer = setTimeout(() => {
      video = h("video", { src: api.preview(moment().moment_id), loop: true, playsinline: true, "aria-hidden": "true", tabindex: "-1" });
      video.muted = true;
      video.addEventListener("playing", () => frame.classList.add("playing"));
      frame.append(video);
      video.play().catch(() => {});
    }, HOVER_MS);
  };
  element.addEventListener("pointerenter", (event) => { if (event.pointerType !== "touch") start(); });
  element.addEventListener("pointerleave", stop);
  element.addEventListener("focusin", start);
  element.addEventListener("focusout", stop);
}

/** "More like this" and "less like this". */
export function likeButtons(moment, actions) {
  const like = (weight) => () => {
    const isDone = actions.add({ kind: "moment", value: moment().moment_id, weight });
    if (!isDone) toast("First say what to look for: words, or more like something", "error");
  };
  return [iconButton("more", "More like this", like(1), { "data-key": "m" }), iconButton("less", "Less like this", like(-0.5), { "data-key": "x" })];
}

/** Other files with the same content. */
function copies(paths) {
  if (paths.length < 2) return null;
  const more = paths.length > 2 ? ` and ${counted(paths.length - 2, "more copy", "more copies")}` : "";
  return h("p.same.quiet", { dir: "auto", title: paths.slice(1).join("\n") }, `Same content: ${paths[1].split(/[\\/]/).pop()}${more}`);
}

export function card(hit, { actions, open, isGrouped }) {
  let shown = hit;
  const frame = shot(hit, h("span.time", {}, span(hit)));
  const button = h("button.card-open", { type: "button", "aria-label": `${isPicture(hit) ? "Show" : "Play"} ${hit.name}, ${span(hit)}`, onclick: () => open(shown) }, frame);
  const others = isGrouped ? hit.moments.filter((moment) => moment.moment_id !== hit.moment_id).slice(0, 5) : [];
  const made = h("li.card", { "data-moment": hit.moment_id }, button,
    h("div.about", {}, h("p.name", { dir: "auto", title: hit.path }, hit.name),
      h("div.facts", {}, confidence(hit.confidence), h("span.quiet", { title: "cosine" }, cosine(hit.score)),
        isGrouped && !isPicture(hit) ? h("span.quiet", {}, `of ${length(hit.duration_seconds)}`) : null),
      copies(hit.paths)),
    h("div.card-tools", {}, likeButtons(() => shown, actions)),
    others.length ? h("ul.times", { "aria-label": `More moments of ${hit.name}` }, others.map((moment) => h("li", {},
      h(`button.time-pill.${moment.confidence}`, {
        type: "button", title: `${span(moment)}, ${SURE[moment.confidence].toLowerCase()} confidence`,
        "aria-label": `Play ${hit.name} at ${clock(moment.start_seconds)}`, onclick: () => open(moment) }, clock(moment.start_seconds))))) : null);
  playWhilePointedAt(button, frame, () => shown);
  return made;
}

/** A video of the library, before anything is searched. */
export function videoCard(video, actions) {
  const picture = h("img", { src: api.cover(video.video_id, 480), alt: "", loading: "lazy", decoding: "async" });
  const frame = h("div.shot", {}, backdrop(api.cover(video.video_id, 480)), picture, h("span.time", {}, video.duration_seconds ? clock(video.duration_seconds) : "picture"));
  picture.addEventListener("error", () => frame.classList.add("broken"));
  const open = async () => {
    const found = await api.moments(video.video_id);
    if (found.moments.length) actions.go({ open: found.moments[0].moment_id });
  };
  return h("li.card", {}, h("button.card-open", { type: "button", "aria-label": `Play ${video.name}`, onclick: open }, frame),
    h("div.about", {}, h("p.name", { dir: "auto", title: video.path }, video.name),
      h("div.facts", {}, h("span.quiet", {}, `${video.width} × ${video.height}`), h("span.quiet", {}, video.codec))));
}

