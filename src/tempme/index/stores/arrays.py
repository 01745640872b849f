"""Arrays out of an archive that may not be ours, or may be damaged: nothing is read unchecked.

An archive of NumPy keeps a checksum of every array, which is compared when all of it is read.
"""

from __future__ import annotations

import zipfile
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import DTypeLike, NDArray


def read_array(
    archive: zipfile.ZipFile, name: str, kind: DTypeLike, most: tuple[int, ...]
) -> NDArray[Any]:
    """An array of this kind and of the shape `most`, of which the first size may be less.

    ValueError for another one and for a compressed one, which could unpack to any size; KeyError
    where there is none.
    """
    entry = archive.getinfo(f"{name}.npy")
    if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
        raise ValueError(f"{name} is compressed, which ours never are")
    with archive.open(entry) as file:
        if npy.read_magic(file) != (1, 0):
            raise ValueError(f"{name} has another format")
        shape, is_fortran, dtype = npy.read_array_header_1_0(file)
        fits = len(shape) == len(most) and shape[1:] == most[1:] and 0 <= shape[0] <= most[0]
        if not fits or is_fortran or dtype != np.dtype(kind):
            raise ValueError(f"{name} is {dtype} {shape}")
        content = file.read()
    # frombuffer refuses a broken entry at the end, reshape refuses too few or too many entries.
    return np.frombuffer(content, dtype).reshape(shape)
