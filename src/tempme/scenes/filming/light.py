"""Lighting: how bright and how warm a picture is, changing over the scene."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tempme.scenes.filming.canvases import Pixels
from tempme.scenes.filming.shots import Lighting, between


def lit(frame: Pixels, light: Lighting, share: float) -> npt.NDArray[np.int16]:
    """The picture in this light; values above 255 are not yet cut, as the sensor does that."""
    gains = [
        round(between(start, end, share)) for start, end in zip(light.start, light.end, strict=True)
    ]
    size = frame.shape[0]
    row = np.tile(np.array(gains, np.uint16), size)  # long rows are fast, triples are not
    scaled = frame.reshape(size, 3 * size) * row
    return (scaled >> 7).view(np.int16).reshape(frame.shape)
