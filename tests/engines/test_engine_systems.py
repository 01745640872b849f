"""Every tuning, and UMT, on ONNX Runtime: all that `tempme systems` lists can be exported."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from learning import moved
from small_models import FRAMES, SMALL, TEXTS
from tempme.engines.folder import EngineFacts, read_engine, write_engine
from tempme.engines.graphs import graphs_of
from tempme.retriever.by_engine import texts_of, videos_of, windows_of
from tempme.retriever.retriever import Retriever
from tempme.systems import table
from tiny_umt import TINY_UMT, WORDS

pytest.importorskip("onnxruntime", reason="needs tempme[onnx]")
pytest.importorskip("onnxscript", reason="needs tempme[onnx]")

EXACT = 5e-6
# Rows that compute what another row of these or of test_engines.py does.
SAME = {
    "clip4clip", "tempme-full", "tome-full", "imgme-only", "scratch", "plevu-original",
    "vop-original", "dgl-transformer-original", "mv-adapter-original", "prompt-tempme",
    "adapter-tempme", "lora", "tome", "evit", "diffrate", "sta", "testa", "tempme",
}  # fmt: skip
ROWS = [name for name in table.SYSTEMS if name not in SAME]


def model_of(name: str) -> Retriever:
    """A row on a few layers, as many in both towers: some tunings couple them."""
    if table.SYSTEMS[name].backbone in ("ViT-B/32", "ViT-B/16"):
        depth = 5 if name in ("vop-fp", "vop-fc") else 4  # four blocks of theirs are joint
        sizes = replace(SMALL, layers=depth, text_layers=depth, context=32)
        row = table.system(name, backbone=sizes)
        made = Retriever.build(replace(row, frames=FRAMES, max_words=12), None, seed=0)
        return moved(made)
    row = table.system(name, backbone=replace(TINY_UMT, layers=4))
    row = replace(row, frames=FRAMES, max_words=12)
    return moved(Retriever.build(row, None, tokenizer=WORDS, seed=0), by=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("name", ROWS)
@torch.inference_mode()
def test_features_are_those_of_pytorch(name: str, tmp_path: Path) -> None:
    model = model_of(name)
    system, words = model.system, min(model.system.max_words, model.tokenizer.context)
    graphs = graphs_of(system, model.backbone, words=words)
    write_engine(
        tmp_path, graphs, EngineFacts("onnx", "fp32", system.frames, words, system.config.embed, {})
    )
    engine, size = read_engine(tmp_path, threads=1), system.config.image_size
    given = np.random.default_rng(0).integers(0, 256, (2, FRAMES, size, size, 3), dtype=np.uint8)
    given[1] = given[1, :1]  # a still video, of which many tokens are equal
    frames = model.transform(given)
    shown = frames.flatten(0, 1)[: FRAMES + 1]
    windows = torch.stack([torch.arange(FRAMES) + start for start in (0, 1)])
    ids, _ = model.tokenizer(TEXTS, max_words=system.max_words)
    for ours, theirs in (
        (videos_of(engine, frames, None), model.encode_videos(frames)),
        (windows_of(engine, shown, windows), model.encode_windows(shown, windows)),
        (texts_of(engine, ids), model.encode_texts(TEXTS)),
    ):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=EXACT)


def test_rows_left_out_are_in_the_table() -> None:
    assert table.SYSTEMS.keys() > SAME
