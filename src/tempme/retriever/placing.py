"""Where a model computes: the CPU, a GPU of NVIDIA's or AMD's, or one of Apple's."""

from __future__ import annotations

import torch

from tempme.engines.choice import AUTO
from tempme.errors import BadSetting

OTHERWISE = "leave it out, or say cpu"


def device_of(name: str) -> torch.device:
    """The device of a name; "auto" is a GPU where there is one.

    name: auto, cpu, cuda, cuda:N or mps. BadSetting for one that is not here.
    """
    if name == AUTO:
        return _best()
    device = torch.device(name)
    if device.type == "cuda":
        _check_cuda(name, device.index or 0)
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise BadSetting(f"device is mps, but PyTorch finds no GPU of Apple's here: {OTHERWISE}")
    return device


def _best() -> torch.device:
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def _check_cuda(name: str, number: int) -> None:
    if not torch.cuda.is_available():
        built = torch.version.cuda or torch.version.hip
        why = "finds no GPU" if built else "is a build without CUDA, so it has no GPU"
        raise BadSetting(f"device is {name}, but PyTorch {why} here: {OTHERWISE}")
    count = torch.cuda.device_count()
    if number >= count:
        known = ", ".join(f"cuda:{n}" for n in range(count))
        raise BadSetting(f"device is {name}, but this machine has {known}")
