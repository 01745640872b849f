"""Scenes as video files, and folders of them with captions."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from scenes_material import gallery
from tempme.datasets import load_folder
from tempme.errors import BadDataset, BadSetting
from tempme.scenes import clip, draw, write, write_video
from tempme.scenes.recording import CODECS
from tempme.scenes.world import PLAIN_PARTS


def decode(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])


@pytest.mark.parametrize("codec", CODECS)
def test_a_video_decodes_to_the_drawn_frames(codec: str, tmp_path: Path) -> None:
    """Within 4 of 255 on average and 40 for 99 in 100 values: chroma is halved, edges soften."""
    scene = gallery("temporal")[0]
    path = tmp_path / f"scene{CODECS[codec].suffix}"
    pairs = write_video(scene, path, size=112, codec=codec)
    frames = decode(path)
    drawn = clip(scene, len(frames), size=112)
    assert len(frames) == round(scene.seconds * 12)
    errors = np.abs(frames.astype(int) - drawn)
    assert errors.mean() < 4
    assert np.percentile(errors, 99) < 40
    assert {pair.caption for pair in pairs} == set(scene.captions)
    assert list(tmp_path.iterdir()) == [path]


def test_a_video_is_the_same_bytes_again(tmp_path: Path) -> None:
    scene = gallery("static", count=1)[0]
    for name in ("a", "b"):
        write_video(scene, tmp_path / f"{name}.mp4", size=64)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_joined_scenes_stand_where_their_pairs_say(tmp_path: Path) -> None:
    acts = gallery("static", count=3)
    pairs = write_video(acts, tmp_path / "long.mp4", size=64, fps=10)
    frames = decode(tmp_path / "long.mp4")
    spans = list(dict.fromkeys((pair.start_seconds, pair.end_seconds) for pair in pairs))
    assert spans[0][0] == 0
    assert [end for _, end in spans[:-1]] == [start for start, _ in spans[1:]]
    assert len(frames) == round(10 * (spans[-1][1] or 0))
    for act, (start, end) in zip(acts, spans, strict=True):
        assert start is not None
        assert end is not None
        middle = frames[round(10 * (start + end) / 2)].astype(int)
        assert np.abs(middle - draw(act, 0.5, size=64)).mean() < 6
        assert {p.caption for p in pairs if p.start_seconds == start} == set(act.captions)


def test_write_and_read_a_folder(tmp_path: Path) -> None:
    heard: list[tuple[int, int]] = []
    pairs = write(5, tmp_path, size=32, on_video=lambda *done: heard.append(done))
    assert load_folder(tmp_path) == pairs
    assert heard == [(number, 5) for number in range(1, 6)]
    static, temporal = (load_folder(tmp_path, part=part) for part in PLAIN_PARTS)
    assert len({pair.video for pair in static}) == 3
    assert len({pair.video for pair in temporal}) == 2
    assert len(static) + len(temporal) == len(pairs)
    with pytest.raises(BadDataset, match="no caption with split=train"):
        load_folder(tmp_path, split="train")


def test_write_lively_scenes(tmp_path: Path) -> None:
    pairs = write(3, tmp_path, size=32, part="lively")
    assert load_folder(tmp_path, part="lively") == pairs
    stems = [Path(video).stem for video in dict.fromkeys(str(pair.video) for pair in pairs)]
    assert len(stems) == 3
    assert stems[1] in (f"{stems[0]}-exchanged", f"{stems[0]}-reversed")


def test_write_joins_scenes(tmp_path: Path) -> None:
    pairs = write(3, tmp_path, size=32, part="temporal", scenes_per_video=3)
    assert len({pair.video for pair in pairs}) == 3
    assert len({(pair.video, pair.start_seconds) for pair in pairs}) == 9


def test_write_spares_what_is_there(tmp_path: Path) -> None:
    theirs = tmp_path / "captions.jsonl"
    theirs.write_text("mine")
    with pytest.raises(BadDataset, match=r"already holds captions.jsonl .* --overwrite"):
        write(2, tmp_path, size=32)
    assert theirs.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [theirs]
    (tmp_path / "holiday.mp4").write_text("kept")
    write(2, tmp_path, size=32, overwrite=True)
    assert (tmp_path / "holiday.mp4").read_text() == "kept"
    assert len(load_folder(tmp_path)) == 10


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"count": 0}, "videos 0"),
        ({"size": 33}, "size is 33"),
        ({"fps": 0}, "fps 0"),
        ({"codec": "h263"}, "no codec 'h263'"),
        ({"part": "both-of-them"}, "no part 'both-of-them'"),
    ],
)
def test_settings_that_no_video_can_have(
    settings: dict[str, object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(BadSetting, match=message):
        write(**{"count": 2, "folder": tmp_path, "size": 32, **settings})  # type: ignore[arg-type]


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    scene = gallery("static", count=1)[0]
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(BadDataset, match=r"cannot write .*file"):
        write(1, tmp_path / "file" / "below", size=32)
    with pytest.raises(BadDataset, match="cannot write"):
        write_video(scene, tmp_path / "file" / "a.mp4", size=32)
    with pytest.raises(BadDataset, match="cannot write"):
        write_video(scene, tmp_path / "a.no-such-container", size=32)
    with pytest.raises(BadSetting, match="no scenes"):
        write_video([], tmp_path / "a.mp4", size=32)
