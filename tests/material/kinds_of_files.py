"""How the same 120 numbered frames are drawn into files of every kind that seeks, or does not."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from drawn_videos import FPS

NUM = 120
H264 = {"g": "8", "bf": "3", "b_strategy": "0", "sc_threshold": "0"}
EDIT: dict[str, Any] = {"container": {"avoid_negative_ts": "disabled"}, "shift_seconds": -1.2}
VP9 = {"g": "8", "deadline": "realtime", "cpu-used": "8"}
X265 = {"x265-params": "log-level=none:keyint=8:min-keyint=8:bframes=3:pools=1:frame-threads=1"}
UNEVEN = [i / FPS + (0.03 if i % 3 else 0.0) + (2.0 if i > 60 else 0.0) for i in range(NUM)]
# Those that seek, and whether their times come from the index alone.
SEEKING: dict[str, tuple[str, bool, dict[str, Any]]] = {
    "mp4": ("a.mp4", True, {"options": {**H264, "bf": "0"}}),
    "mp4 with b-frames": ("a.mp4", True, {"options": H264}),
    "mp4 with groups shorter than the delay": ("a.mp4", True, {"options": {**H264, "g": "2"}}),
    "mp4 with open groups": ("a.mp4", True, {"options": {**H264, "x264-params": "open-gop=1"}}),
    # FFmpeg drops whole groups that an edit list hides, so that its index and the file's differ.
    "mp4 with an edit list": ("a.mp4", False, {"options": H264, **EDIT}),
    "mp4 with a short edit list": ("a.mp4", True, {"options": H264, **EDIT, "shift_seconds": -0.5}),
    "mp4 in fragments": (
        "a.mp4",
        False,
        {"options": H264, "container": {"movflags": "frag_keyframe+empty_moov"}},
    ),
    "mp4 with its index in front": (
        "a.mp4",
        True,
        {"options": H264, "container": {"movflags": "faststart"}},
    ),
    "mp4 with negative offsets": (
        "a.mp4",
        True,
        {"options": H264, "container": {"movflags": "negative_cts_offsets"}},
    ),
    "mp4 with uneven times": ("a.mp4", True, {"options": H264, "times": UNEVEN}),
    "hevc mp4": ("a.mp4", True, {"codec": "libx265", "options": X265}),
    "mov": ("a.mov", True, {"codec": "mpeg4", "options": {"g": "8", "bf": "2"}}),
    "mkv": ("a.mkv", False, {"options": H264}),
    "mkv with uneven times": ("a.mkv", False, {"options": H264, "times": UNEVEN}),
    "webm": ("a.webm", False, {"codec": "libvpx-vp9", "options": VP9}),
}
READING: dict[str, tuple[str, dict[str, Any]]] = {
    "transport stream": ("a.ts", {"options": H264}),
    "gif": ("a.gif", {"codec": "gif", "pixel_format": "rgb8"}),
    "avi": ("a.avi", {"codec": "mpeg4", "options": {"g": "8"}, "tick": Fraction(1, FPS)}),
    "flash": ("a.flv", {"codec": "flv", "options": {"g": "8"}}),
}
