"""Options that several verbs share: one spelling and one help text for each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_INDEX = Path("videos.tempme")

IndexFolder = Annotated[
    Path,
    typer.Option(
        "--index",
        "-i",
        envvar="TEMPME_INDEX",
        help="The index: a folder, s3://BUCKET/PREFIX or milvus://HOST:PORT/COLLECTION.",
        readable=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Answer with one JSON document.")]
NumHits = Annotated[int, typer.Option("-k", "--top", min=1, help="How many hits.")]
MinScore = Annotated[
    float | None, typer.Option("--min-score", help="Leave out hits below this score, -1 to 1.")
]
Moments = Annotated[
    bool, typer.Option("--moments", help="Distinct moments: one video may come several times.")
]
Under = Annotated[
    Path | None, typer.Option("--under", help="Only videos in this folder.", readable=False)
]
Backbone = Annotated[str, typer.Option(help="A published CLIP or UMT, or scenes-tiny.")]
WorkerMemory = Annotated[
    float, typer.Option(min=256, help="Megabytes that each of these processes may hold.")
]
Frames = Annotated[int, typer.Option(min=1, help="Frames of a video.")]
Exclude = Annotated[
    list[str] | None,
    typer.Option(
        "--exclude", "-x", metavar="PATTERN", help="Leave out, as in a .gitignore; may be repeated."
    ),
]
Pictures = Annotated[bool, typer.Option("--pictures", help="Take pictures in folders, too.")]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        help="A saved model, a hub id, a file of weights, or scenes-tiny (published CLIP).",
    ),
]
EverySeconds = Annotated[float | None, typer.Option(help="Seconds from one frame to the next (1).")]
Overlap = Annotated[
    float | None, typer.Option(help="Share of a window that the next one repeats (0.5).")
]
SamplingName = Annotated[
    str | None,
    typer.Option(
        "--sampling",
        help="exact: the frame shown at each time; keyframes: the nearest one; auto: a keyframe "
        "where nothing has moved since, or within half a step where little has; fast: as auto, "
        "blocks not smoothed (auto).",
    ),
]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Processes that decode videos (what suits the cores).")
]
Threads = Annotated[
    int | None,
    typer.Option(min=1, help="Threads that the model computes with (the cores decoding leaves)."),
]
TimeoutSeconds = Annotated[
    float, typer.Option(min=1, help="Give a video up whose next frame takes longer.")
]
TotalSeconds = Annotated[
    float, typer.Option(min=1, help="Give a video up that takes longer in all.")
]
Fit = Annotated[
    str | None, typer.Option(help="Frames that are not square: squash, crop, pad (squash).")
]
Engine = Annotated[
    str, typer.Option(help="What computes: torch, onnx or openvino (the fastest that is ready).")
]
Precision = Annotated[
    str, typer.Option(help="fp32, bf16, bf16-mixed, or int8, which is onnx (the engine's fastest).")
]
Device = Annotated[
    str, typer.Option(help="Where PyTorch computes: auto (a GPU, if any), cpu, cuda, cuda:N, mps.")
]
Shards = Annotated[
    str | None,
    typer.Option(
        metavar="URI",
        help="Write shards, one file a video, to this folder or s3://BUCKET/PREFIX, and no index; "
        "see `tempme store load`.",
    ),
]
On = Annotated[
    str,
    typer.Option(help="Where shards are made: local, ray, ray://HOST:PORT.", metavar="ENGINE"),
]
FilesFrom = Annotated[
    Path | None,
    typer.Option(help="A text file with a path on each line; - is stdin.", readable=False),
]
