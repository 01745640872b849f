"""A video or picture at hand as a query."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tempme.errors import BadVideo
from tempme.index.building.encode import Encoder, encode_windows
from tempme.index.header import Cutting
from tempme.video import Failure, VideoWindows, is_video, load_windows, read_image

# A query video is compared by at most this many windows, evenly spread.
QUERY_WINDOWS = 64


def features_of(file: Path, model: Encoder, cutting: Cutting) -> NDArray[np.float32]:
    """Unit features (Q, D) of the windows of a video, or of a picture; BadVideo if neither."""
    if is_video(file):
        video = _read(file, model, cutting)
        return encode_windows(model, video.pixels, windows=video.windows)
    picture = read_image(file, model.image_size)
    if isinstance(picture, Failure):
        raise BadVideo(f"{file} is no video or picture to look for: {picture.reason}")
    # A picture is a video in which nothing moves.
    return encode_windows(model, picture[None], windows=np.zeros((1, model.num_frames), np.int64))


def _read(file: Path, model: Encoder, cutting: Cutting) -> VideoWindows:
    reading = cutting.reading(frames=model.num_frames, size=model.image_size)
    video = load_windows(file, reading, max_windows=QUERY_WINDOWS)
    if isinstance(video, Failure):
        raise BadVideo(f"{file}: {video.reason}")
    return video
