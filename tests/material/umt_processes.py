"""Both losses of UMT over a batch that processes share: a program, and what it learns from.

python umt_processes.py FOLDER RANK WORLD writes FOLDER/RANK.pt: the losses and gradients of its
part of the batch, with negatives from all parts.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import Tensor, distributed

from tempme.backbones.umt.config import UmtConfig
from tempme.backbones.umt.model import Umt
from tempme.training.matching import Negatives, Pairs, retrieval_losses

PAIRS = 4
NEGATIVES = Negatives(torch.tensor([3, 2, 0, 1]), torch.tensor([2, 3, 1, 0]))
VIDEO_IDS = torch.tensor([5, 6, 5, 7])
SIZES = UmtConfig(
    image_size=32,
    width=16,
    layers=2,
    heads=2,
    text_width=16,
    text_layers=2,
    text_heads=2,
    fusion_from=1,
    embed=8,
    context=6,
    vocab=20,
)
Result = dict[str, dict[str, Tensor]]


def learn(rows: slice) -> Result:
    """What the part of the batch in `rows` gives, where negatives are places among all parts."""
    torch.manual_seed(0)
    model = Umt(SIZES)
    frames, ids = torch.randn(PAIRS, 2, 3, 32, 32), torch.randint(1, 20, (PAIRS, 5))
    ids[1, 3:] = 0
    words = model.text.read(model.text.embed(ids[rows]))
    own = Pairs.of(model, model.encode_videos(frames[rows]), words, VIDEO_IDS[rows])
    negatives = Negatives(*(places[rows] for places in NEGATIVES))
    losses = retrieval_losses(model, own, gather_negatives=True, negatives=negatives)
    (losses.contrastive + losses.matching).backward()
    return {
        "losses": {name: value.detach() for name, value in losses._asdict().items()},
        "gradients": {n: p.grad for n, p in model.named_parameters() if p.grad is not None},
    }


def main(folder: Path, rank: int, world: int) -> None:
    store = distributed.FileStore(str(folder / "meeting"), world)
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=world)
    part = PAIRS // world
    torch.save(learn(slice(rank * part, (rank + 1) * part)), folder / f"{rank}.pt")
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
