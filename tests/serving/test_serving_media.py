"""What is shown of a video: pictures, exact clips, streams in ranges."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from fault_files import FAULTS
from index_material import COLOURS, write_video
from serving_material import hits_of
from tempme.serving.media.cache import Cache
from tempme.serving.media.cutting import Excerpt, Made, Playability, Still, make


def moment_of(client: Any, words: str) -> dict[str, Any]:
    return hits_of(client.post("/v1/search", json={"query": words, "k": 1}))[0]


def colour_of(picture: Image.Image) -> str:
    middle = np.asarray(picture.convert("RGB"), dtype=int)[-20:, -20:].mean(axis=(0, 1))
    return min(COLOURS, key=lambda name: float(np.abs(middle - COLOURS[name]).sum()))


@pytest.mark.parametrize("words", ["red", "green", "blue", "yellow"])
def test_a_thumbnail_shows_its_moment(client: Any, words: str) -> None:
    moment = moment_of(client, words)
    answer = client.get(f"/v1/moments/{moment['moment_id']}/thumbnail", params={"width": 160})
    assert answer.headers["content-type"] == "image/jpeg"
    assert "immutable" in answer.headers["cache-control"]
    assert colour_of(Image.open(io.BytesIO(answer.content))) == words


def test_a_clip_has_exactly_the_span_of_its_moment(client: Any) -> None:
    moment = moment_of(client, "blue")
    answer = client.get(f"/v1/moments/{moment['moment_id']}/clip", params={"download": True})
    assert "attachment" in answer.headers["content-disposition"]
    with av.open(io.BytesIO(answer.content)) as clip:
        stream = clip.streams.video[0]
        frames = list(clip.decode(stream))
        assert stream.codec_context.name == "h264"
        seconds = float((stream.duration or 0) * (stream.time_base or 0))
    wanted = moment["end_seconds"] - moment["start_seconds"]
    assert seconds == pytest.approx(wanted, abs=0.26)  # to a frame: four a second
    assert frames[0].time == pytest.approx(0, abs=1e-3)
    assert colour_of(frames[-1].to_image()) == "blue"


@pytest.mark.parametrize("words", ["red", "green", "yellow"])
def test_every_video_plays_in_a_browser(client: Any, words: str) -> None:
    id_ = moment_of(client, words)["video_id"]
    # On a busy machine the first answer is of a file that is still being written.
    client.get(f"/v1/videos/{id_}/stream")
    whole = client.get(f"/v1/videos/{id_}/stream")
    assert whole.headers["content-type"] == "video/mp4"
    with av.open(io.BytesIO(whole.content)) as video:
        assert video.streams.video[0].codec_context.name == "h264"
        assert video.duration == pytest.approx(
            1e6 * 2 * (1 + 5 * (words == "green") + (words == "yellow")), rel=0.1
        )
    part = client.get(f"/v1/videos/{id_}/stream", headers={"Range": "bytes=100-199"})
    assert part.status_code == 206
    assert part.content == whole.content[100:200]
    assert part.headers["content-range"] == f"bytes 100-199/{len(whole.content)}"
    beyond = client.get(f"/v1/videos/{id_}/stream", headers={"Range": "bytes=99999999-"})
    assert beyond.status_code == 416
    head = client.head(f"/v1/videos/{id_}/stream")
    assert (head.status_code, head.content) == (200, b"")


def test_the_strip_of_a_video_tells_where_in_it_something_is(client: Any) -> None:
    moment = moment_of(client, "blue")
    answer = client.get(f"/v1/videos/{moment['video_id']}/similarity", params={"q": "blue"}).json()
    times = [m["start_seconds"] for m in answer["moments"]]
    assert times == sorted(times)
    best = max(answer["moments"], key=lambda m: m["score"])
    assert best["moment_id"] == moment["moment_id"]
    assert best["score"] == pytest.approx(moment["score"], abs=1e-3)
    listed = client.get(f"/v1/videos/{moment['video_id']}/moments").json()["moments"]
    assert [m["moment_id"] for m in listed] == [m["moment_id"] for m in answer["moments"]]


@pytest.mark.parametrize("turn", [0, 90, 270])
def test_turned_videos_stand_upright(tmp_path: Path, turn: int) -> None:
    source = tmp_path / "turned.mp4"
    with av.open(str(source), "w") as out:
        stream = out.add_stream("libx264", rate=4)
        stream.width, stream.height, stream.pix_fmt = 96, 48, "yuv420p"
        for _ in range(8):
            pixels = np.zeros((48, 96, 3), np.uint8)
            pixels[:, :48] = COLOURS["red"]
            out.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        out.mux(stream.encode(None))
    if turn:
        turned = source.read_bytes()
        at = turned.index(b"tkhd") + 4 + 40
        c = 0x00010000
        matrix = {
            90: (0, c, 0, -c, 0, 0, 48 << 16, 0, 1 << 30),
            270: (0, -c, 0, c, 0, 0, 0, 96 << 16, 1 << 30),
        }
        body = b"".join(value.to_bytes(4, "big", signed=True) for value in matrix[turn])
        source.write_bytes(turned[:at] + body + turned[at + 36 :])
    assert make(Still(source, 0.5, 320, tmp_path / "a.jpg")) == Made()
    assert make(Excerpt(source, 0.0, 1.0, 240, tmp_path / "a.mp4")) == Made()
    with Image.open(tmp_path / "a.jpg") as picture, av.open(str(tmp_path / "a.mp4")) as clip:
        frame = next(clip.decode(video=0)).to_image()
        assert picture.size == frame.size == ((96, 48) if not turn else (48, 96))
        for shown in (picture.convert("RGB"), frame):
            width, height = shown.size
            corners = {
                0: ((5, 5), (width - 5, 5)),
                90: ((5, 5), (5, height - 5)),
                270: ((5, height - 5), (5, 5)),
            }[turn]
            assert shown.getpixel(corners[0])[0] > 150 > shown.getpixel(corners[1])[0]


def test_a_still_of_hdr_is_not_pale(tmp_path: Path) -> None:
    shown = []
    for name in ("pq2.mp4", "sdr2.mp4"):
        assert make(Still(FAULTS / name, 1.0, 160, tmp_path / f"{name}.jpg")) == Made()
        with Image.open(tmp_path / f"{name}.jpg") as image:
            shown.append(np.asarray(image, dtype=float))
    assert np.abs(shown[0] - shown[1]).mean() < 12
    assert abs(shown[0].std() - shown[1].std()) < 0.1 * shown[1].std()


def first_of_clip(source: Path, target: Path, *, height: int = 480) -> av.VideoFrame:
    assert make(Excerpt(source, 0.2, 0.8, height, target)) == Made()
    with av.open(str(target)) as clip:
        frame = next(clip.decode(video=0))
        stated = frame.colorspace, frame.color_primaries, frame.color_trc, frame.color_range
        assert stated == (1, 1, 1, 1)  # BT.709: a player need not guess
        return frame


def test_a_clip_of_hdr_is_not_pale(tmp_path: Path) -> None:
    shown = [
        first_of_clip(FAULTS / name, tmp_path / name).to_ndarray(format="rgb24").astype(float)
        for name in ("pq2.mp4", "sdr2.mp4")
    ]
    assert np.abs(shown[0] - shown[1]).mean() < 12
    assert abs(shown[0].std() - shown[1].std()) < 0.1 * shown[1].std()


@pytest.mark.parametrize(
    ("matrix", "height", "coded_by", "is_full"),
    [
        (1, 720, 1, False),
        (5, 240, 5, False),
        (1, 240, 1, True),
        (2, 720, 1, False),
        (2, 240, 5, False),
    ],
)
def test_a_clip_has_the_colours_of_its_video(
    tmp_path: Path, matrix: int, height: int, coded_by: int, is_full: bool
) -> None:
    wanted = np.full((height, 320, 3), (220, 40, 30), np.uint8)
    scale = 2 if is_full else 1
    with av.open(str(tmp_path / "a.mp4"), "w") as out:
        stream = out.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 320, height, "yuv420p"
        stream.codec_context.colorspace, stream.codec_context.color_range = matrix, scale
        for _ in range(10):
            frame = av.VideoFrame.from_ndarray(wanted, format="rgb24").reformat(
                format="yuv420p", dst_colorspace=coded_by, dst_color_range=scale
            )
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    frame = first_of_clip(tmp_path / "a.mp4", tmp_path / "clip.mp4", height=120)
    assert frame.to_ndarray(format="rgb24")[60, 40].astype(int) == pytest.approx(
        [220, 40, 30], abs=4
    )


def test_what_browsers_play_is_told_by_content(tmp_path: Path) -> None:
    plays = write_video(tmp_path / "a.mkv", ["red"], codec="libx264")  # Matroska
    assert make(Playability(plays)).type == ""
    named = write_video(tmp_path / "b.mp4", ["red"], codec="libx264").rename(tmp_path / "b.avi")
    assert make(Playability(named)).type == "video/mp4"
    assert make(Playability(write_video(tmp_path / "c.mp4", ["red"]))).type == ""  # MPEG-4 part 2
    broken = tmp_path / "d.mp4"
    broken.write_bytes(b"\0" * 100)
    assert "zeros" in make(Playability(broken)).reason


def test_the_cache_stays_within_its_size(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", most_bytes=10_000)
    for number in range(64):
        path = cache.path(f"{number:032}.jpg")
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x" * 1000)
        cache.added()
    assert cache.size_bytes() <= 10_000
    assert cache.find(f"{63:032}.jpg") is not None
    assert cache.find(f"{0:032}.jpg") is None


def test_an_index_that_cannot_be_written_keeps_its_pictures_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    cache = Cache(tmp_path / "file" / "cache", most_bytes=10_000)
    assert cache.folder.is_dir()
