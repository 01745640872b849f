"""What the official codes of EViT, DiffRate, STA and TESTA computed: tests/golden/compression.

Weights are a ViT of width 64 with 12 blocks and 2 heads under OpenAI's names; what enters block 0
are a class token and patches, after the first norm. "clip" is QuickGELU and norms as in CLIP,
"code" the exact GELU and epsilon of the official codes.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import layer_norm

from golden_files import GOLDEN
from tempme.backbones.layers import Block, Cues, Layer
from tempme.compression import Compression
from tempme.tokens import Tokens

FOLDER = GOLDEN / "compression"
WIDTH, HEADS, DEPTH, TOKENS = 64, 2, 12, 50
Case = dict[str, Any]


@cache
def facts(file: str) -> dict[str, list[Case]]:
    read: dict[str, list[Case]] = json.loads((FOLDER / f"{file}.json").read_text())
    return read


@cache
def tensors(file: str) -> dict[str, Tensor]:
    return {
        name: value.float() if value.is_floating_point() else value.long()
        for name, value in load_file(FOLDER / f"{file}.safetensors").items()
    }


def of_case(file: str, family: str, case: Case) -> dict[str, Tensor]:
    head = f"{family}.{case['case']}."
    return {k.removeprefix(head): v for k, v in tensors(file).items() if k.startswith(head)}


def named(cases: list[Case]) -> Any:
    return {"argvalues": cases, "ids": [case["case"] for case in cases]}


def blocks(case: Case, *, key_bias: bool = True) -> list[Block]:
    made = []
    for i in range(DEPTH):
        head = f"visual.transformer.resblocks.{i}."
        state = {
            k.removeprefix(head): v.clone()
            for k, v in tensors("weights").items()
            if k.startswith(head)
        }
        for ours, theirs in (("qkv.", "in_proj_"), ("out.", "out_proj.")):
            for kind in ("weight", "bias"):
                state[f"attn.{ours}{kind}"] = state.pop(f"attn.{theirs}{kind}")
        if not key_bias:
            state["attn.qkv.bias"][WIDTH : 2 * WIDTH] = 0
        official = case["variant"] == "code"
        block = Block(WIDTH, HEADS, "gelu" if official else "quick_gelu")
        block.load_state_dict(state)
        if official:
            block.ln_1.eps = block.ln_2.eps = 1e-6
        made.append(block)
    return made


class Run:
    """A whole encoder over the videos of a case, with gradients to its input."""

    def __init__(self, compression: Compression, case: Case, *, key_bias: bool = True) -> None:
        plan = compression.plan(tokens=TOKENS, frames=case["frames"], depth=DEPTH)
        self.plan, self.case = plan, case
        self.layers: list[Layer] = [
            compression.wrap(block, step, WIDTH)
            for block, step in zip(blocks(case, key_bias=key_bias), plan, strict=True)
        ]
        self.start = tokens = inputs(case)
        self.after: list[Tokens] = []
        for layer in self.layers:
            tokens = layer(tokens)
            self.after.append(tokens)

    @property
    def normed(self) -> Tensor:
        """(frames, D) class tokens after the last norm."""
        return last_norm(self.after[-1].x_CND[:, 0], self.case)

    def gradient(self, cotangent: Tensor) -> Tensor:
        """Of every input token."""
        total = (self.normed.flatten() * cotangent.flatten()).sum()
        return torch.autograd.grad(total, self.start.x_CND)[0]


def inputs(case: Case) -> Tokens:
    videos = [(case.get("first_video", 0) + i) % 3 for i in range(case["videos"])]
    patches = tensors("inputs")["patches"][videos, : case["frames"]].flatten(0, 1)
    head = tensors("inputs")["cls"].expand(len(patches), 1, WIDTH)
    x = torch.cat([head, patches], dim=1).requires_grad_()
    return Tokens(x, None, case["frames"])


def last_norm(x: Tensor, case: Case) -> Tensor:
    eps = 1e-6 if case["variant"] == "code" else 1e-5
    weight, bias = (tensors("weights")[f"visual.ln_post.{k}"] for k in ("weight", "bias"))
    return layer_norm(x, (WIDTH,), weight, bias, eps)


def cues_of(attention_CHP: Tensor) -> Cues:
    """Queries and keys whose class token attends to the patches just so."""
    own = 1 - attention_CHP.sum(dim=-1, keepdim=True)
    k = torch.cat([own, attention_CHP], dim=-1).log()[..., None]
    return Cues(torch.ones_like(k), k, None)


def in_any_order(rows_ND: Tensor) -> Tensor:
    """The same rows, sorted by their first number."""
    return rows_ND[rows_ND[:, 0].argsort()]


def followed(tokens: Tokens, rows: int) -> Tensor:
    """(rows,): the row of the batch that each row of the input ended in; -1 where dropped."""
    place = torch.arange(rows)
    for move in tokens.moves:
        place = torch.where(place < 0, place, move.ends[place.clamp(min=0)])
    return place
