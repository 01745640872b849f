"""Tensors through an engine that takes arrays, in as many threads as PyTorch would take here."""

from __future__ import annotations

import torch
from torch import Tensor

from tempme.engines.engine import Engine
from tempme.errors import BadSetting


def videos_of(engine: Engine, frames: Tensor, mask: Tensor | None) -> Tensor:
    """(V, F, 3, S, S) from `transform` -> (V, D). BadSetting for a mask that leaves frames out."""
    if mask is not None and not bool((mask > 0).all()):
        raise BadSetting(
            f"a mask leaves out frames, which the engine {engine.name} cannot: use "
            f"for_inference(engine='torch')"
        )
    given = frames.detach().float().cpu().numpy()
    return torch.from_numpy(engine.encode_videos(given, threads=torch.get_num_threads()))


def windows_of(engine: Engine, frames: Tensor, windows: Tensor) -> Tensor:
    """(N, 3, S, S) distinct frames and (W, F) indices into them -> (W, D)."""
    given, threads = frames.detach().float().cpu().numpy(), torch.get_num_threads()
    return torch.from_numpy(engine.encode_windows(given, windows.cpu().numpy(), threads=threads))


def texts_of(engine: Engine, ids: Tensor) -> Tensor:
    """(T, W) ids -> (T, D). BadSetting for more words than the engine was made for."""
    if ids.shape[1] > engine.num_words:
        raise BadSetting(
            f"texts of {ids.shape[1]} words, but the engine {engine.name} was made for "
            f"{engine.num_words}: cut them (Tokenizer does)"
        )
    given, threads = ids.detach().cpu().numpy(), torch.get_num_threads()
    return torch.from_numpy(engine.encode_ids(given, threads=threads))
