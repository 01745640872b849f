"""Videos and texts of the generated world, by which an engine is held against PyTorch in fp32.

The world needs no file and no data set, so that any model is measured on any machine, once, when
its engine is made. How near engines are on real clips is in docs/benchmarks.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from tempme.backbones.vocabularies import AnyTokenizer
from tempme.engines.agreement import EngineAgreement, agreement
from tempme.engines.engine import Engine
from tempme.engines.graphs import Example, Graphs
from tempme.engines.runtimes import Function
from tempme.scenes import clip, scenes
from tempme.systems.system import System

Floats = NDArray[np.float32]
NUM_PROBES = 24
SEED = 7


@dataclass(frozen=True, eq=False)
class Probe:
    """Normalised videos (V, F, 3, S, S) and ids (T, W)."""

    videos: Floats
    ids: NDArray[np.int64]

    @classmethod
    def of(cls, system: System, tokenizer: AnyTokenizer, count: int = NUM_PROBES) -> Probe:
        """So many scenes, and a caption of each."""
        found = scenes(count, part="static", split="test", seed=SEED)
        size, config = system.config.image_size, system.config
        mean, std = (np.array(v, dtype=np.float32) for v in (config.mean, config.std))
        drawn = np.stack([clip(scene, system.frames, size=size) for scene in found])
        videos = np.moveaxis((drawn.astype(np.float32) / 255 - mean) / std, -1, 2)
        ids, _ = tokenizer([scene.captions[0] for scene in found], max_words=system.max_words)
        return cls(np.ascontiguousarray(videos), ids.numpy())

    def features(self, engine: Engine) -> tuple[Floats, Floats]:
        """Of the videos, and of the texts."""
        return engine.encode_videos(self.videos), engine.encode_ids(self.ids)


def measured(graphs: Graphs, engine: Engine, probe: Probe) -> EngineAgreement:
    """How near an engine is to the functions that it was made of."""
    functions = {name: _eager(example) for name, example in graphs.named().items()}
    exact = Engine(
        "torch",
        "fp32",
        functions,
        engine.num_frames,
        engine.num_words,
        engine.feature_size,
    )
    return agreement(probe.features(exact), probe.features(engine))


def _eager(example: Example) -> Function:
    @torch.inference_mode()
    def run(*arrays: NDArray[np.float32], threads: int) -> list[NDArray[np.float32]]:
        del threads
        made = example.function(*map(torch.from_numpy, arrays))
        return [one.numpy() for one in (made if isinstance(made, tuple) else (made,))]

    return run
