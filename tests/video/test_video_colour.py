"""HDR and wide gamut shown as SDR: curves by their standards, files beside their originals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from drawn_videos import FPS, Fraction, frames_of, mux
from tempme.video import Failure, Reading, colour, load
from tempme.video.colour import BT2020, HLG, PQ, to_sdr
from tempme.video.containers import light

# Light in cd/m2 and the signal that stands for it in ST 2084.
PQ_PAIRS = [(0.0, 0.0), (100.0, 0.5081), (203.0, 0.5807), (1000.0, 0.7518), (10_000.0, 1.0)]
# BT.2100: HLG's half is a twelfth of the peak, its diffuse white 75 %.
COLOURS = {"red": (200, 40, 40), "green": (40, 160, 60), "blue": (50, 60, 190), "grey": (128,) * 3}
TO_BT2020 = np.linalg.inv(np.array(colour.TO_BT709[BT2020]))


def signal_of(light: np.ndarray, transfer: int) -> np.ndarray:
    """(..., 3) cd/m2 in BT.2020 -> what a camera writes, from 0 to 1."""
    if transfer == PQ:
        return colour._light_to_pq(light.astype(np.float32)).astype(np.float64)
    luminance = light @ np.array(colour.LUMINANCE_OF_BT2020)
    gamma, peak = colour.HLG_GAMMA, colour.HLG_PEAK
    ratio = np.maximum(luminance / peak, 1e-9) ** ((1 - gamma) / gamma)
    scene = light / peak * ratio[..., None]
    low = np.sqrt(3 * scene)
    high = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    return np.where(scene <= 1 / 12, low, high)


def hdr_of(rgb: np.ndarray, transfer: int) -> np.ndarray:
    """SDR of BT.709 (8 bits) -> the same picture in HDR, white at 203 cd/m2 (16 bits)."""
    light = (rgb / 255.0) ** colour.DISPLAY_GAMMA * colour.WHITE
    wide = np.maximum(light @ TO_BT2020.T, 0)
    return np.rint(signal_of(wide, transfer) * 65535).astype(np.uint16)


@pytest.mark.parametrize(("light", "signal"), PQ_PAIRS)
def test_pq_is_st_2084(light: float, signal: float) -> None:
    assert colour._pq_to_light(np.array([signal]))[0] == pytest.approx(light, rel=2e-3, abs=1e-3)
    assert colour._light_to_pq(np.array([light], np.float32))[0] == pytest.approx(signal, abs=1e-3)


def test_hlg_is_bt_2100() -> None:
    scene = colour._hlg_to_scene(np.array([0.0, 0.5, 0.75, 1.0]))
    assert scene == pytest.approx([0, 1 / 12, 0.2650, 1.0], abs=1e-3)
    white = colour._light(np.full((1, 1, 3), round(0.75 * 65535), np.uint16), HLG)
    assert white[0, 0] == pytest.approx([203] * 3, rel=0.01)


@pytest.mark.parametrize("transfer", [PQ, HLG])
@pytest.mark.parametrize("name", COLOURS)
def test_what_is_no_brighter_than_white_comes_back_unchanged(name: str, transfer: int) -> None:
    rgb = np.broadcast_to(np.array(COLOURS[name]), (8, 8, 3))
    assert to_sdr(hdr_of(rgb, transfer), transfer, BT2020) == pytest.approx(rgb, abs=2)


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_highlights_are_brought_below_white_in_their_order(transfer: int) -> None:
    light = np.repeat(np.linspace(1, 990, 100)[:, None], 3, axis=1)[None]
    hdr = np.rint(signal_of(light, transfer) * 65535).astype(np.uint16)
    shown = to_sdr(hdr, transfer, BT2020)[0, :, 0].astype(int)
    assert (np.diff(shown) >= 0).all()
    assert len(set(shown[21:])) > 20, "what is brighter than 203 cd/m2 must not all be white"
    assert shown[-1] >= 253


def test_wide_gamut_of_sdr_keeps_grey_and_deepens_red() -> None:
    grey = to_sdr(np.full((1, 1, 3), 30_000, np.uint16), 1, BT2020)
    assert len(set(grey.ravel().tolist())) == 1
    red = to_sdr(np.array([[[40_000, 15_000, 15_000]]], np.uint16), 1, BT2020)[0, 0]
    assert red[0] > 40_000 // 257
    assert red[1] < 15_000 // 257


def write(
    path: Path,
    picture: np.ndarray,
    prepare: Callable[[av.VideoStream], None],
    codec: str = "libx265",
    pixel_format: str = "yuv420p10le",
    color_range: int = 1,
) -> Path:
    """A still video of 10 bits from 16-bit RGB."""
    options = {"x265-params": "log-level=none:pools=1:frame-threads=1", "crf": "8"}
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=FPS, options=options if codec == "libx265" else {})
        stream.height, stream.width = picture.shape[:2]
        stream.pix_fmt = pixel_format
        prepare(stream)
        for number in range(4):
            rgb = av.VideoFrame.from_ndarray(picture, "rgb48le")
            frame = rgb.reformat(
                format=pixel_format,
                dst_colorspace=9,
                dst_color_range=color_range,
                src_color_range=2,
            )
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            frame.colorspace, frame.color_range = 9, color_range
            mux(out, stream.encode(frame), 0)
        mux(out, stream.encode(None), 0)
    return path


@pytest.mark.parametrize("transfer", [PQ, HLG], ids=["PQ", "HLG"])
@pytest.mark.parametrize("file", ["a.mp4", "a.mkv"])
def test_a_file_of_hdr_is_shown_as_its_original(tmp_path: Path, file: str, transfer: int) -> None:
    rgb = np.repeat(np.repeat(np.array(list(COLOURS.values())).reshape(2, 2, 3), 32, 0), 32, 1)

    def prepare(stream: av.VideoStream) -> None:
        context = stream.codec_context
        context.color_trc, context.color_primaries = transfer, BT2020
        context.colorspace, context.color_range = 9, 1

    path = write(tmp_path / file, hdr_of(rgb, transfer), prepare)
    shown = frames_of(path, frames=2).pixels[0].astype(int)
    for y, x in ((16, 16), (16, 48), (48, 16), (48, 48)):
        assert shown[y, x] == pytest.approx(rgb[y, x], abs=8)


@pytest.mark.parametrize("matrix", [1, 5, 9], ids=["BT.709", "BT.601", "BT.2020"])
@pytest.mark.parametrize("is_full", [False, True], ids=["limited", "full"])
def test_matrices_and_ranges_are_those_that_a_frame_names(matrix: int, is_full: bool) -> None:
    from tempme.video.transforms import square

    red, green, blue = 0.8, 0.3, 0.1
    kr, kb = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 9: (0.2627, 0.0593)}[matrix]
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    chroma = (blue - luma) / (2 * (1 - kb)), (red - luma) / (2 * (1 - kr))
    low, high, span = (0, 255, 255) if is_full else (16, 219, 224)
    levels = (low + high * luma, 128 + span * chroma[0], 128 + span * chroma[1])
    frame = av.VideoFrame(64, 64, "yuv420p")
    for plane, level in zip(frame.planes, levels, strict=True):
        plane.update(bytes([round(level)]) * plane.buffer_size)
    frame.colorspace, frame.color_range = matrix, 2 if is_full else 1
    shown = square(frame, 32)[16, 16].astype(int)
    assert shown == pytest.approx([204, 76, 26], abs=4)


@pytest.mark.parametrize("transfer", [PQ, HLG], ids=["PQ", "HLG"])
def test_what_a_codec_leaves_open_its_container_says(tmp_path: Path, transfer: int) -> None:
    """ProRes in MOV: the frames themselves do not say that they are HDR."""
    rgb = np.repeat(np.repeat(np.array(list(COLOURS.values())).reshape(2, 2, 3), 32, 0), 32, 1)

    def prepare(stream: av.VideoStream) -> None:
        context = stream.codec_context
        context.color_trc, context.color_primaries = transfer, BT2020
        context.colorspace, context.color_range = 9, 1

    path = write(tmp_path / "a.mov", hdr_of(rgb, transfer), prepare, "prores_ks", "yuv422p10le")
    with av.open(str(path)) as container:
        assert next(container.decode(video=0)).color_trc == light.UNSAID
    shown = frames_of(path, frames=2).pixels[0].astype(int)
    for y, x in ((16, 16), (16, 48), (48, 16), (48, 48)):
        assert shown[y, x] == pytest.approx(rgb[y, x], abs=8)


@pytest.mark.parametrize("transfer", [PQ, HLG], ids=["PQ", "HLG"])
def test_hdr_of_full_range_is_shown_as_its_original(tmp_path: Path, transfer: int) -> None:
    rgb = np.repeat(np.repeat(np.array(list(COLOURS.values())).reshape(2, 2, 3), 32, 0), 32, 1)

    def prepare(stream: av.VideoStream) -> None:
        context = stream.codec_context
        context.color_trc, context.color_primaries = transfer, BT2020
        context.colorspace, context.color_range = 9, 2

    path = write(tmp_path / "a.mp4", hdr_of(rgb, transfer), prepare, color_range=2)
    shown = frames_of(path, frames=2).pixels[0].astype(int)
    for y, x in ((16, 16), (16, 48), (48, 16), (48, 48)):
        assert shown[y, x] == pytest.approx(rgb[y, x], abs=8)


def tagged(path: Path, matrix: int, primaries: int = 1) -> Path:
    """A red video whose codec names this matrix."""

    def prepare(stream: av.VideoStream) -> None:
        stream.codec_context.colorspace = matrix
        stream.codec_context.color_primaries = primaries

    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv444p"
        prepare(stream)
        for number in range(4):
            red = np.full((64, 64, 3), (200, 40, 30), np.uint8)
            frame = av.VideoFrame.from_ndarray(red, "rgb24").reformat(
                format="yuv444p", dst_colorspace={9: 9}.get(primaries, 1)
            )
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            mux(out, stream.encode(frame), 0)
        mux(out, stream.encode(None), 0)
    return path


@pytest.mark.parametrize("matrix", [12, 13])
def test_a_matrix_that_no_scaler_knows_does_not_lose_the_video(tmp_path: Path, matrix: int) -> None:
    path = tagged(tmp_path / "a.mp4", matrix)
    with av.open(str(path)) as container:
        assert next(container.decode(video=0)).colorspace == matrix
    shown = frames_of(path, frames=2).pixels[0, 32, 32].astype(int)
    assert shown == pytest.approx([200, 40, 30], abs=4)


@pytest.mark.parametrize(
    ("matrix", "primaries", "read_as"), [(3, 1, 2), (99, 9, 2), (10, 9, 9), (12, 9, 9), (9, 9, 9)]
)
def test_a_reserved_matrix_says_nothing(matrix: int, primaries: int, read_as: int) -> None:
    frame = av.VideoFrame(32, 32, "yuv420p")
    frame.colorspace, frame.color_primaries = matrix, primaries
    light.Light(2, 2, 2).fill_in(frame)
    assert frame.colorspace == read_as
    assert frame.reformat(format="rgb24").width == 32


@pytest.mark.parametrize(("matrix", "name"), [(8, "YCgCo"), (14, "ICtCp")])
def test_colours_that_no_matrix_codes_are_named(tmp_path: Path, matrix: int, name: str) -> None:
    path = tagged(tmp_path / "a.mp4", matrix)
    answer = load(path, Reading(frames=2, size=32))
    assert isinstance(answer, Failure)
    assert name in answer.reason
