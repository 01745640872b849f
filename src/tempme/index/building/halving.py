"""A batch too large for the memory of a GPU goes through in parts; nothing of it is lost."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tempme.errors import BadSetting


def in_halves(
    encode: Callable[[NDArray[np.int64]], NDArray[np.float32]], windows: NDArray[np.int64]
) -> NDArray[np.float32]:
    """`encode` of all windows (W, F); where a GPU runs out of memory, of either half alone.

    And of halves of these. BadSetting where it has too little for a single window.
    """
    if (made := _tried(encode, windows)) is not None:
        return made
    if len(windows) == 1:
        raise BadSetting(
            "the GPU has too little free memory for a single window: end what else runs there, or "
            "say --device cpu"
        )
    middle = (len(windows) + 1) // 2
    return np.concatenate(
        [in_halves(encode, part) for part in (windows[:middle], windows[middle:])]
    )


def _tried(
    encode: Callable[[NDArray[np.int64]], NDArray[np.float32]], windows: NDArray[np.int64]
) -> NDArray[np.float32] | None:
    """None where memory ran out; what was computed until then is given back."""
    import torch

    try:
        return encode(windows)
    except torch.OutOfMemoryError:
        pass  # what the traceback holds is freed behind this clause alone
    torch.cuda.empty_cache()  # does nothing where no GPU has been used
    return None
