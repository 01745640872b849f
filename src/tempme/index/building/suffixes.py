"""Names of files that promise a video or a picture, which the content may or may not keep."""

from __future__ import annotations

from pathlib import Path

_VIDEO = (
    "264 265 360 3g2 3gp amv asf avi bik divx dv evo f4v flv gif gifv h264 h265 hevc insv ivf "
    "lrv m1v m2p m2t m2ts m2v m4v mjpeg mjpg mk3d mkv mod mov mp2v mp4 mpe mpeg mpg mpv mts mxf "
    "nsv nut ogm ogv qt rm rmvb roq tod tp trp ts vob vro webm wmv wtv y4m"
)
_PICTURE = "avif bmp heic heif hif jfif jpe jpeg jpg jxl png tif tiff webp"

# A file with such a name is reported when it cannot be read; any other file that does not open
# as a video is simply something else.
VIDEO_SUFFIXES = frozenset(f".{name}" for name in _VIDEO.split())
PICTURE_SUFFIXES = frozenset(f".{name}" for name in _PICTURE.split())
# Suffixes that text has as well: TypeScript and Qt's translations (.ts, .mts), go.mod.
TEXT_SUFFIXES = frozenset({".ts", ".mts", ".mod"})


def is_named_like_a_video(path: Path) -> bool:
    """Whether the suffix promises a video."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def is_named_like_a_picture(path: Path) -> bool:
    """Whether the suffix promises a still picture."""
    return path.suffix.lower() in PICTURE_SUFFIXES
