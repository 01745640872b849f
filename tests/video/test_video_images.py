"""Pictures as queries: the formats of phones and cameras, turned as they say, and no bombs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

from tempme.video import Failure, read_image

FAULTS = Path(__file__).parents[1] / "faults"
ORIENTATION = 0x0112


def test_heic_is_read_as_jpeg_is() -> None:
    heic, jpeg = (read_image(FAULTS / name, 112) for name in ("photo.HEIC", "photo.jpg"))
    assert isinstance(heic, np.ndarray)
    assert isinstance(jpeg, np.ndarray)
    assert np.abs(heic.astype(int) - jpeg).mean() < 4


def test_a_turned_heic_is_upright() -> None:
    """The same picture at 640 x 480, stored lying on its side with `irot` and EXIF saying so."""
    turned = read_image(FAULTS / "turned.HEIC", 112, fit="squash")
    upright = read_image(FAULTS / "photo.jpg", 112, fit="squash")
    assert isinstance(turned, np.ndarray)
    assert isinstance(upright, np.ndarray)
    assert np.abs(turned.astype(int) - upright).mean() < 8
    assert np.abs(np.rot90(turned).astype(int) - upright).mean() > 15


@pytest.mark.parametrize("kind", ["AVIF", "JPEG", "PNG", "WEBP", "TIFF"])
def test_what_exif_says_is_done(tmp_path: Path, kind: str) -> None:
    picture = np.zeros((64, 96, 3), dtype=np.uint8)
    picture[:, 48:] = 255
    exif = Image.Exif()
    exif[ORIENTATION] = 6  # a quarter to the right
    path = tmp_path / "a"
    Image.fromarray(picture).save(path, kind, exif=exif)
    found = read_image(path, 64, fit="squash")
    assert isinstance(found, np.ndarray)
    assert found[:24].max() < 30
    assert found[40:].min() > 225


def test_transparent_parts_are_white(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("RGBA", (40, 40), (0, 0, 0, 0)).save(path)
    found = read_image(path, 32)
    assert isinstance(found, np.ndarray)
    assert found.min() == 255


@pytest.mark.slow
def test_pictures_too_large_are_refused_and_large_ones_are_read(tmp_path: Path) -> None:
    for side in (12_000, 20_000):
        path = tmp_path / f"{side}.png"
        Image.new("1", (side, side)).save(path)
        found = read_image(path, 64)
        assert found == Failure(path, "a picture too large to be read: at most 134217728 pixels")
    large = tmp_path / "large.jpg"
    Image.new("RGB", (8_000, 6_000), "red").save(large)
    assert isinstance(read_image(large, 64), np.ndarray)


@pytest.mark.parametrize("content", [b"", b"no picture", b"\0\0\0\x18ftypheic" + bytes(50)])
def test_what_is_no_picture_gives_a_reason(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.heic"
    path.write_bytes(content)
    found = read_image(path, 64)
    assert isinstance(found, Failure)
    assert found.reason


def test_heic_is_known_only_where_a_picture_is_read() -> None:
    code = "import sys, tempme.video.loading; sys.exit('pi_heif' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_picture_that_is_a_program_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "ran"
    ghostscript = tmp_path / "gs"
    ghostscript.write_text(f"#!/bin/sh\ntouch '{mark}'\n")
    ghostscript.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)
    for name in ("a.eps", "a.png"):
        path = tmp_path / name
        Image.new("RGB", (40, 30), "red").save(path, format="EPS")
        found = read_image(path, 64)
        assert isinstance(found, Failure)
        assert "not a picture that can be read" in found.reason
    assert not mark.exists()
