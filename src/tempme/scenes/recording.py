"""Scenes to files: real videos through PyAV, and the captions beside them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import av

from tempme.atomic import replacing
from tempme.datasets.pairs import Pair
from tempme.errors import BadDataset, BadSetting, UnknownName
from tempme.scenes.drawing import draw
from tempme.scenes.scene import Scene, scenes
from tempme.scenes.world import PARTS, Part, Split

CAPTIONS = "captions.jsonl"


class Codec(NamedTuple):
    """The usual file ending of a codec, and its settings."""

    suffix: str
    options: dict[str, str]


CODECS: dict[str, Codec] = {
    "libx264": Codec(".mp4", {"crf": "18", "preset": "veryfast"}),
    "libx265": Codec(".mp4", {"crf": "20", "preset": "ultrafast", "x265-params": "log-level=none"}),
    "mpeg4": Codec(".avi", {"b": "6M"}),
    "libvpx-vp9": Codec(".webm", {"crf": "20", "b": "0", "deadline": "realtime", "cpu-used": "8"}),
}


def write_video(
    scene: Scene | Sequence[Scene],
    path: Path,
    *,
    size: int = 224,
    fps: int = 12,
    codec: str = "libx264",
) -> tuple[Pair, ...]:
    """Encode one scene, or several one after the other; its captions with their start and end.

    The first frame of a scene shows its beginning and the last its end. Replaces a file at
    `path`. Raises `BadSetting` for sizes and rates that cannot be encoded, `UnknownName` for a
    codec that is not in `CODECS`, `BadDataset` if the file cannot be written.
    """
    if codec not in CODECS:
        raise UnknownName.among("codec", codec, CODECS)
    if size < 16 or size % 2 or not 1 <= fps <= 120:
        raise BadSetting(f"size is {size}, fps {fps}; size is even and >= 16, fps from 1 to 120")
    acts = (scene,) if isinstance(scene, Scene) else tuple(scene)
    if not acts:
        raise BadSetting("a video of no scenes has no frames; give at least one")
    try:
        with replacing(path) as draft:
            _encode(acts, draft, size, fps, codec)
    except (OSError, ValueError, av.FFmpegError) as error:  # ValueError: no format of that suffix
        raise _unwritable(path, error) from error
    return tuple(_pairs(acts, path, fps))


def _num_frames(scene: Scene, fps: int) -> int:
    return max(2, round(scene.seconds * fps))


def _encode(acts: Sequence[Scene], path: Path, size: int, fps: int, codec: str) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps, options=CODECS[codec].options)
        assert isinstance(stream, av.VideoStream)
        stream.width = stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        stream.gop_size = 2 * fps
        for act in acts:
            frames = _num_frames(act, fps)
            for number in range(frames):
                pixels = draw(act, number / (frames - 1), size=size)
                picture = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                container.mux(stream.encode(picture))
        container.mux(stream.encode())


def _pairs(acts: Sequence[Scene], path: Path, fps: int) -> Iterator[Pair]:
    start = 0.0
    for act in acts:
        end = start + _num_frames(act, fps) / fps
        for caption in act.captions:
            yield Pair(path, caption, round(start, 3), round(end, 3))
        start = end


def write(
    count: int,
    folder: Path,
    *,
    seed: int = 0,
    part: Part | Literal["both"] = "both",
    split: Split = "test",
    size: int = 224,
    fps: int = 12,
    codec: str = "libx264",
    scenes_per_video: int = 1,
    overwrite: bool = False,
    on_video: Callable[[int, int], None] | None = None,
) -> tuple[Pair, ...]:
    """Write `count` videos and `captions.jsonl`, one line a caption; returns all pairs.

    "both" is half static, half temporal; `on_video` hears how many of how many are done. The
    captions file is written last: where it stands, all its videos do. Raises `BadDataset` if a
    file to be written exists (unless `overwrite`) or the folder cannot be written.
    """
    if codec not in CODECS:
        raise UnknownName.among("codec", codec, CODECS)
    videos = _programme(count, part, split, seed, scenes_per_video)
    paths = [folder / f"{acts[0].id}{CODECS[codec].suffix}" for acts in videos]
    _prepare(folder, [*paths, folder / CAPTIONS], overwrite=overwrite)
    pairs: list[Pair] = []
    lines: list[str] = []
    for number, (acts, path) in enumerate(zip(videos, paths, strict=True), start=1):
        told = write_video(acts, path, size=size, fps=fps, codec=codec)
        pairs.extend(told)
        lines.extend(_line(pair, acts[0]) for pair in told)
        if on_video is not None:
            on_video(number, len(videos))
    try:
        with replacing(folder / CAPTIONS) as draft:
            draft.write_text("".join(lines), encoding="utf-8")
    except OSError as error:
        raise _unwritable(folder / CAPTIONS, error) from error
    return tuple(pairs)


def _programme(
    count: int, part: Part | Literal["both"], split: Split, seed: int, scenes_per_video: int
) -> list[tuple[Scene, ...]]:
    """The scenes of every video."""
    if count < 1 or scenes_per_video < 1:
        raise BadSetting(f"videos {count}, scenes per video {scenes_per_video}; both are 1 or more")
    if part not in (*PARTS, "both"):
        raise UnknownName.among("part", part, (*PARTS, "both"))
    num_temporal = count // 4 * 2
    both: dict[Part, int] = {"static": count - num_temporal, "temporal": num_temporal}
    programme: list[tuple[Scene, ...]] = []
    for one, videos in (both if part == "both" else {part: count}).items():
        needed = videos * scenes_per_video
        even = needed + needed % 2 if one != "static" else needed
        all_acts = scenes(even, part=one, split=split, seed=seed)
        firsts = range(0, needed, scenes_per_video)
        programme.extend(all_acts[first : first + scenes_per_video] for first in firsts)
    return programme


def _prepare(folder: Path, targets: Sequence[Path], *, overwrite: bool) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        present = {path.name for path in folder.iterdir()}
    except OSError as error:
        raise _unwritable(folder, error) from error
    taken = [path.name for path in targets if path.name in present]
    if taken and not overwrite:
        raise BadDataset(
            f"{folder} already holds {taken[0]} ({len(taken)} of the files to be written); "
            "give another folder, or overwrite them with --overwrite"
        )


def _line(pair: Pair, scene: Scene) -> str:
    row = {
        "file": Path(pair.video).name,
        "caption": pair.caption,
        "start": pair.start_seconds,
        "end": pair.end_seconds,
        "split": scene.split,
        "part": scene.part,
    }
    return json.dumps(row) + "\n"


def _unwritable(path: Path, error: Exception) -> BadDataset:
    reason = getattr(error, "strerror", None) or error
    return BadDataset(f"cannot write {path}: {reason}; give a folder with room and permission")
