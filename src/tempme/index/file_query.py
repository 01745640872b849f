"""A video or a picture as a query: the features it is compared by."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tempme.errors import BadVideo
from tempme.index.building.encode import Encoder, encode_windows
from tempme.index.header import Cutting

# A query video is compared by at most this many windows, evenly spread.
QUERY_WINDOWS = 64


def file_features(model: Encoder, file: Path, cutting: Cutting) -> NDArray[np.float32]:
    """A file, cut as an index is -> (windows, D); BadVideo where it cannot be read."""
    from tempme.video import Failure, is_video, load_windows, read_image

    if is_video(file):
        reading = cutting.reading(frames=model.num_frames, size=model.image_size)
        video = load_windows(file, reading, max_windows=QUERY_WINDOWS)
        if isinstance(video, Failure):
            raise BadVideo(f"{file}: {video.reason}")
        return encode_windows(model, video.pixels, windows=video.windows)
    picture = read_image(file, model.image_size, fit=cutting.fit)
    if isinstance(picture, Failure):
        raise BadVideo(f"{file} is not a video or picture to look for: {picture.reason}")
    # A picture is a video in which nothing moves.
    return encode_windows(model, picture[None], windows=np.zeros((1, model.num_frames), np.int64))
