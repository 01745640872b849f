"""Which stream is the video: told by what is in it, wherever it stands."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from drawn_videos import Fraction, barcode, draw, frames_of, mux, number_of, numbers
from tempme.video import Failure, VideoInfo, VideoWindows, is_video, iter_windows, probe
from tempme.video.containers.streams import Candidate, best_of

# Codec, side, frames a second and frames of each stream; the number that its frames carry.
FILM, PREVIEW, SLIDES = "film", "preview", "slides"
STREAMS = {
    FILM: ("libx264", 96, 10, 40, 1),
    PREVIEW: ("mjpeg", 32, 10, 1, 2),
    SLIDES: ("libx264", 128, 1, 4, 4),
}


def frames(kind: str):
    _, side, rate, count, number = STREAMS[kind]
    picture = np.asarray(Image.fromarray(barcode(number)).resize((side, side)))
    for place in range(count):
        frame = av.VideoFrame.from_ndarray(picture, "rgb24")
        frame.time_base, frame.pts = Fraction(1, 1000), round(1000 * place / rate)
        yield frame


def several(path: Path, kinds: tuple[str, ...], default: str = "") -> Path:
    with av.open(str(path), "w") as out:
        made = {}
        for kind in kinds:
            codec, side, rate, *_ = STREAMS[kind]
            stream = out.add_stream(codec, rate=rate)
            stream.width = stream.height = side
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            stream.codec_context.time_base = Fraction(1, 1000)
            if kind == default:
                stream.disposition = av.stream.Disposition.default
            made[kind] = stream
        for kind, stream in made.items():
            for frame in frames(kind):
                mux(out, stream.encode(frame.reformat(format=stream.pix_fmt)), 0)
            mux(out, stream.encode(None), 0)
    return path


@pytest.mark.parametrize("file", ["a.mp4", "a.mkv", "a.ts"])
@pytest.mark.parametrize("kinds", list(permutations(STREAMS)), ids="-".join)
def test_the_film_is_found_in_any_order(tmp_path: Path, file: str, kinds: tuple[str, ...]) -> None:
    if file == "a.ts":
        kinds = tuple(kind for kind in kinds if kind != PREVIEW)
    path = several(tmp_path / file, kinds, default=kinds[0])
    found = frames_of(path, frames=3, sampling="exact")
    assert numbers(found) == [1, 1, 1]
    assert found.info.num_frames == 40
    assert found.note.startswith("left out: stream ")
    for kind in set(kinds) - {FILM}:
        assert f"stream {kinds.index(kind)} (" in found.note
    last = list(iter_windows(path))[-1]
    assert isinstance(last, VideoWindows)
    assert last.note == found.note


def candidate(index: int, **what: object) -> Candidate:
    usual = {"codec": "h264", "width": 640, "height": 360, "num_frames": 1000}
    usual |= {"is_default": False, "is_still": False}
    return Candidate(index, **{**usual, **what})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("others", "best"),
    [
        # Equals: the first, unless the file names another.
        ([candidate(0), candidate(1)], 0),
        ([candidate(0), candidate(1, is_default=True)], 1),
        # A small copy of the film, even where the file calls it the default.
        ([candidate(0, width=160, height=90, is_default=True), candidate(1)], 1),
        # A few large pictures; a still that lasts; a proxy with twice the frames.
        ([candidate(0, width=4000, height=3000, num_frames=5), candidate(1)], 1),
        ([candidate(0, is_still=True, width=1920, height=1080), candidate(1)], 1),
        ([candidate(0, width=320, height=180, num_frames=2000), candidate(1, width=1920)], 1),
        # A second camera, somewhat smaller, that the file prefers.
        ([candidate(0, width=704), candidate(1, is_default=True)], 1),
    ],
)
def test_evidence(others: list[Candidate], best: int) -> None:
    assert best_of(others).index == best
    assert best_of(others[::-1]).index == best


def sound_with_covers(path: Path, codec: str, covers: int = 1) -> Path:
    with av.open(str(path), "w") as out:
        sound = out.add_stream("aac", rate=16000)
        pictures = [out.add_stream(codec, rate=25) for _ in range(covers)]
        for picture in pictures:
            picture.width = picture.height = 64
            picture.pix_fmt = "yuvj420p" if codec == "mjpeg" else "rgb24"
        for picture in pictures:
            art = av.VideoFrame.from_ndarray(barcode(1), "rgb24").reformat(format=picture.pix_fmt)
            mux(out, [*picture.encode(art), *picture.encode(None)], 0)
        for block in range(40):
            samples = av.AudioFrame.from_ndarray(np.zeros((1, 1024), "float32"), "fltp", "mono")
            samples.sample_rate, samples.pts = 16000, block * 1024
            mux(out, sound.encode(samples), 0)
        mux(out, sound.encode(None), 0)
    return path


@pytest.mark.parametrize(
    ("file", "codec", "covers"),
    [
        ("a.mkv", "mjpeg", 1),
        ("a.mkv", "mjpeg", 2),
        ("a.mov", "mjpeg", 1),
        ("a.mov", "png", 1),
        ("a.avi", "mjpeg", 1),
        ("a.avi", "png", 2),
    ],
)
def test_a_cover_is_no_video(tmp_path: Path, file: str, codec: str, covers: int) -> None:
    path = sound_with_covers(tmp_path / file, codec, covers)
    assert probe(path) == Failure(path, "no video stream: audio with a cover")
    assert not is_video(path)


def test_motion_jpeg_with_sound_is_a_video(tmp_path: Path) -> None:
    path = draw(tmp_path / "a.mkv", codec="mjpeg", pixel_format="yuvj420p")
    assert is_video(path)
    assert isinstance(probe(path), VideoInfo)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "AVIF"])
def test_animations_are_videos_and_stills_are_not(tmp_path: Path, kind: str) -> None:
    pictures = [Image.fromarray(barcode(number)) for number in (1, 2, 4)]
    still, moving = tmp_path / "still", tmp_path / "moving"
    pictures[0].save(still, kind)
    pictures[0].save(moving, kind, save_all=True, append_images=pictures[1:], duration=100)
    assert not is_video(still)
    assert isinstance(probe(still), Failure)
    assert is_video(moving)
    found = frames_of(moving, seconds=[0.05, 0.15, 0.25], sampling="exact")
    assert [number_of(picture) for picture in found.pixels] == [1, 2, 4]


@pytest.mark.parametrize("kind", ["ICO", "BMP", "TIFF", "WEBP", "JPEG", "PPM", "TGA"])
@pytest.mark.parametrize("name", ["a.mp4", "a.ico", "a.mjpeg", "a"])
def test_pictures_and_icons_are_not(tmp_path: Path, kind: str, name: str) -> None:
    path = tmp_path / name
    Image.fromarray(barcode(1)).save(path, kind)
    assert not is_video(path)
    assert isinstance(probe(path), Failure)


@pytest.mark.parametrize(
    "name",
    [
        "h264",
        "yuv",
        "rgb",
        "mjpeg",
        "mjpg",
        "cdg",
        "txt",
        "sub",
        "v210",
        "dv",
        "m4v",
        "ts",
        "h261",
        "bin",
        "vc1",
        "mts",
        "nut",
    ],
)
def test_a_name_proves_nothing(tmp_path: Path, name: str) -> None:
    for place, content in enumerate((b"const a: number = 1;\n" * 400, bytes(range(256)) * 100)):
        path = tmp_path / str(place) / f"a.{name}"
        path.parent.mkdir()
        path.write_bytes(content)
        assert not is_video(path)
        assert isinstance(probe(path), Failure)
