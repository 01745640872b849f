"""`tempme data verify`: what of a data set is there, and what is not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tempme.cli.options import AsJson, WorkerMemory
from tempme.cli.output import print_json, print_line
from tempme.errors import BadDataset

if TYPE_CHECKING:
    from tempme.datasets.pairs import Video
    from tempme.datasets.verify import Verification

FOLDER = "folder"


def verify(
    dataset: Annotated[str, typer.Argument(help="msrvtt, activitynet, ..., or folder.")],
    annotations: Annotated[
        Path, typer.Option(help="Folder of the annotation files.", readable=False)
    ],
    videos: Annotated[
        Path | None,
        typer.Option(help="Folder of the videos; without it only names are read.", readable=False),
    ] = None,
    split: Annotated[
        list[str] | None, typer.Option(help="Which splits; all without it. May be repeated.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that look into videos; one per core.")
    ] = None,
    worker_memory_mb: WorkerMemory = 1024.0,
    as_json: AsJson = False,
) -> None:
    """Say which videos of DATASET are missing, undecodable or duplicated, and how many remain."""
    names = _splits(dataset, split)
    crew = {"workers": workers, "worker_memory_mb": worker_memory_mb}
    found = [_one(dataset, name, annotations, videos, crew) for name in names]
    unread = [facts["error"] for facts in found if "error" in facts]
    if len(unread) == len(found):
        raise BadDataset(unread[0])
    if as_json:
        shown = [{k: v for k, v in facts.items() if k != "lines"} for facts in found]
        print_json({"dataset": dataset, "annotations": str(annotations), "splits": shown})
        return
    for facts in found:
        for line in facts["lines"]:
            print_line(line)


def _splits(dataset: str, wanted: list[str] | None) -> list[str]:
    from tempme.datasets.table import DATASETS
    from tempme.errors import UnknownName

    if dataset == FOLDER:
        return wanted or ["all"]
    if dataset not in DATASETS:
        raise UnknownName.among("data set", dataset, [*DATASETS, FOLDER])
    return wanted or list(DATASETS[dataset].splits)


def _one(
    dataset: str, split: str, annotations: Path, folder: Path | None, crew: dict[str, Any]
) -> dict[str, Any]:
    """What is known of one split; a split whose files are absent says so and stops no other."""
    try:
        name, listed, captions, remark = _listed(dataset, split, annotations, folder)
    except BadDataset as error:
        return {"name": f"{dataset}/{split}", "error": str(error), "lines": [f"{split}: {error}"]}
    facts: dict[str, Any] = {"name": name, "listed": len(set(listed)), "captions": len(captions)}
    if remark:
        facts["captions_missing"] = remark
    if folder is None and dataset != FOLDER:
        repeated = len(captions) - len(set(captions))
        lines = [f"{name}: {len(set(listed)):,} videos, {len(captions):,} captions"]
        lines += [f"  {repeated} captions repeat another's words"] if repeated else []
    else:
        found = _verified(name, listed, captions, folder or annotations, crew)
        facts |= found.as_dict()
        lines = list(found.lines())
    return facts | {"lines": [*lines, f"  no captions: {remark}"] if remark else lines}


def _verified(
    name: str, listed: list[Video], captions: tuple[str, ...], folder: Path, crew: dict[str, Any]
) -> Verification:
    from tempme.cli.progress import counting
    from tempme.datasets.shards import is_shard
    from tempme.datasets.verify import verify as look

    with counting(name) as count:
        return look(
            name,
            listed,
            folder.parent if folder.is_file() and not is_shard(folder) else folder,
            captions=captions,
            on_probed=count,
            **crew,
        )


def _listed(
    dataset: str, split: str, annotations: Path, folder: Path | None
) -> tuple[str, list[Video], tuple[str, ...], str]:
    """Name, videos, captions, and why there are none."""
    from tempme.datasets.folder import load_folder
    from tempme.datasets.pairs import Split
    from tempme.datasets.table import DATASETS

    if dataset == FOLDER:
        rows = None if split == "all" else split
        pairs = load_folder(annotations, split=rows, videos=folder)
        every = Split(f"{annotations.name}/{split}", pairs)
        return every.name, list(every.videos), every.captions, ""
    known = DATASETS[dataset]
    videos: list[Video] = list(known.videos(annotations, split))
    if known.read is None:
        return f"{dataset}/{split}", videos, (), ""
    try:
        return f"{dataset}/{split}", videos, known.read(annotations, split).captions, ""
    except BadDataset as error:
        return f"{dataset}/{split}", videos, (), str(error)
