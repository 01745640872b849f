"""Model cards: what a retriever is, what it learnt from, how well it finds, and what it costs.

Metrics come from a result of `tempme train`, never from a person.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomli_w

from tempme.backbones.sizes import family_of
from tempme.errors import BadDataset, BadSetting
from tempme.results.markdown import number, spread, table
from tempme.results.runs import read_runs, summarize
from tempme.schedule import total_tokens
from tempme.weights.published import PUBLISHED

if TYPE_CHECKING:
    from huggingface_hub import EvalResult, ModelCard

    from tempme.retriever.parts import Parts

Result = str | Path | Mapping[str, Any]

PIPELINE = "feature-extraction"
TASKS = {
    "t2v": ("text-to-video-retrieval", "text to video"),
    "v2t": ("video-to-text-retrieval", "video to text"),
}
SCORES = {"r1": "R@1", "r5": "R@5", "r10": "R@10", "median_rank": "MdR", "mean_rank": "MnR"}
# Paths of one machine say nothing to a reader, and may say too much.
OF_THE_MACHINE = ("annotations", "videos", "workers", "worker_memory_mb")


def read_result(result: Result) -> dict[str, Any]:
    """The summary of what `tempme train` wrote: of a run, a folder of seeds, or their file."""
    if isinstance(result, Mapping):
        document = dict(result)
    else:
        path = Path(result)
        if path.is_dir():
            return summarize(read_runs(path))
        try:
            document = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as reason:
            raise BadDataset(f"{path} is not a result: {reason}") from reason
    if (
        not isinstance(document, dict)
        or not {"experiment", "metrics", "settings"} <= document.keys()
    ):
        raise BadDataset(
            "a result is what `tempme train --result FILE` writes, a folder of its seed-*.json, or "
            "the summary beside that folder; this has no experiment, settings and metrics"
        )
    return document if "seeds" in document else summarize([document])


def model_card(
    parts: Parts,
    repo_id: str,
    *,
    result: Result | None = None,
    license: str | None = None,
) -> ModelCard:
    """The card of a retriever: YAML for the hub, words for people.

    result: what it was trained on and how well it finds (`read_result`); BadSetting where it is of
    another system. license: of the weights; None is MIT on OpenAI's weights, else "other".
    """
    from huggingface_hub import ModelCard, ModelCardData

    summary = None if result is None else read_result(result)
    if summary is not None:
        _check(summary, parts)
    origin, family = _published(parts), family_of(parts.system.config).lower()
    data = ModelCardData(
        license=license or ("mit" if parts.base == "openai" else "other"),
        library_name="tempme",
        pipeline_tag=PIPELINE,
        tags=["tempme", "text-video-retrieval", "video-search", family, parts.system.name],
        base_model=origin,
        model_name=repo_id.rpartition("/")[2],
        eval_results=None if summary is None else list(_eval_results(summary)),
    )
    sections = [
        f"# {repo_id.rpartition('/')[2]}",
        _introduction(parts, origin),
        _use(repo_id, parts),
        "## Data",
        _data(summary),
        "## Metrics",
        _metrics(summary),
        "## Cost",
        _cost(parts),
        *([] if license else ["## Licence", _licence(parts)]),
    ]
    return ModelCard(f"---\n{data.to_yaml()}\n---\n\n" + "\n\n".join(sections) + "\n")


def _check(summary: Mapping[str, Any], parts: Parts) -> None:
    told = summary["settings"]["system"]["name"], summary["cost"].get("tokens")
    own = parts.system.name, total_tokens(parts.system.plan())
    if told[0] != own[0] or told[1] not in (None, own[1]):
        raise BadSetting(
            f"the result is of {told[0]} with {told[1]} tokens, the retriever is {own[0]} with "
            f"{own[1]}: give the result of this retriever's training"
        )


def _published(parts: Parts) -> str | None:
    """The hub's repository of the weights that it started from."""
    backbone = parts.system.backbone
    row = PUBLISHED.get((str(backbone), str(parts.base))) if parts.base else None
    return None if row is None else row.repository


def _introduction(parts: Parts, origin: str | None) -> str:
    system = parts.system
    sizes = system.config
    name = system.backbone if isinstance(system.backbone, str) else "own sizes"
    return (
        f"A text-video retriever: `{system.name}` of [tempme](https://pypi.org/project/tempme/) "
        f"on a {family_of(sizes)} backbone ({name}; {sizes.layers} blocks of width {sizes.width}, "
        f"patches of {sizes.patch}, {sizes.image_size} x {sizes.image_size} pixels), "
        f"{system.frames} frames a video, {system.max_words} words a text. "
        f"{_started(parts, origin)}"
    )


def _started(parts: Parts, origin: str | None) -> str:
    if origin is None:
        return f"It started from {Path(parts.origin).name}."
    return f"What did not learn is not in this repository: it is `{origin}`."


def _use(repo_id: str, parts: Parts) -> str:
    config, frames = parts.backbone.config, parts.system.frames
    size = config.image_size
    return f"""```python
import tempme

retriever = tempme.load("{repo_id}")
frames = retriever.transform(pixels)  # uint8 (V, {frames}, {size}, {size}, 3)
videos = retriever.encode_videos(frames)  # (V, {config.embed}), unit length
texts = retriever.encode_texts(["a dog jumps into a lake"])
```

    tempme index VIDEOS --index videos.tempme --model {repo_id}
    tempme search "a dog jumps into a lake" --index videos.tempme"""


def _data(summary: Mapping[str, Any] | None) -> str:
    if summary is None:
        return "Nothing is stated: no result was given when this was pushed."
    settings = summary["settings"]
    shown = {
        part: _plain({k: v for k, v in settings[part].items() if k not in OF_THE_MACHINE})
        for part in ("data", "recipe", "evaluation")
        if isinstance(settings.get(part), Mapping)
    }
    seconds = spread(summary.get("training_seconds"), digits=0)
    return (
        f"Experiment `{summary['experiment']}`; {_seeds(summary)}; {seconds} s of training on "
        f"{', '.join(summary['machines'])}, torch {', '.join(summary['torch'])}.\n\n"
        f"```toml\n{tomli_w.dumps(shown)}```"
    )


def _plain(value: Any) -> Any:
    """The value without what TOML cannot say: None."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items() if item is not None}
    return value


def _metrics(summary: Mapping[str, Any] | None) -> str:
    if summary is None:
        return "Nothing is stated: no result was given when this was pushed."
    rows = [
        [
            part,
            TASKS[direction][1],
            *(spread(scores.get(key)) for key in SCORES),
            number((scores.get("num_queries") or {}).get("mean"), digits=0),
        ]
        for part, direction, scores in _scores(summary)
    ]
    return (
        table(["part", "direction", *SCORES.values(), "queries"], rows, left=2)
        + f"\n\nOver {_seeds(summary)}: mean ± sample standard deviation where there are several; "
        + "the weights are of one of them. R@K: share of queries (%) whose answer is among the "
        + "first K. MdR, MnR: median and mean rank."
    )


def _seeds(summary: Mapping[str, Any]) -> str:
    seeds = ", ".join(map(str, summary["seeds"]))
    return f"seed {seeds}" if len(summary["seeds"]) == 1 else f"seeds {seeds}"


def _cost(parts: Parts) -> str:
    system = parts.system
    cost = system.cost()
    rows = [
        ["multiply-adds of a video (G)", number(cost.gmacs, digits=2)],
        ["the same as the paper counts (G)", number(cost.gflops_paper, digits=2)],
        ["tokens after the last block", number(total_tokens(system.plan()), digits=0)],
        ["parameters that learn", number(system.trainable_parameters(), digits=0)],
        ["all parameters", number(sum(p.numel() for p in parts.backbone.parameters()), digits=0)],
    ]
    return table(["cost", ""], rows)


def _licence(parts: Parts) -> str:
    if parts.base == "openai":
        return "CLIP's weights are OpenAI's (MIT)."
    return "Not stated by who pushed this; weights that it started from have licences of their own."


def _scores(summary: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for part, directions in summary["metrics"].items():
        for direction in TASKS:
            if isinstance(directions, Mapping) and isinstance(directions.get(direction), Mapping):
                yield part, direction, directions[direction]


def _eval_results(summary: Mapping[str, Any]) -> Iterator[EvalResult]:
    """The hub's form of every metric; the spread is in its name, where the hub shows it."""
    from huggingface_hub import EvalResult

    data_set = summary["experiment"].split("/")[0]
    for part, direction, scores in _scores(summary):
        task, words = TASKS[direction]
        for key, label in SCORES.items():
            if (score := scores.get(key)) is None:
                continue
            yield EvalResult(
                task_type=task,
                task_name=words,
                dataset_type=data_set,
                dataset_name=f"{data_set} ({part})",
                dataset_config=part,
                dataset_split="test",
                metric_type=key,
                metric_name=f"{label} ({spread(score)}, {_seeds(summary)})",
                metric_value=score["mean"],
            )
