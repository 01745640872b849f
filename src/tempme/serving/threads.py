"""How many cores a thread may use: searches take one each, indexing takes what is there.

A search is a few small products. Shared out over cores, they wait for whichever core is busy with
something else, and on a machine that also decodes videos that is most of the time. PyTorch keeps
the number by thread (an internal control variable of OpenMP), as does MKL.
"""

from __future__ import annotations

from collections.abc import Callable


def on_one_core() -> None:
    """Let what PyTorch does in the thread that calls run in it alone."""
    import torch

    torch.set_num_threads(1)


def on_all_cores() -> Callable[[], None]:
    """What undoes that in another thread: called there, it gives back what is allowed here."""
    import torch

    allowed = torch.get_num_threads()
    return lambda: torch.set_num_threads(allowed)
