"""What the official codes of fine-tuning methods computed: tests/golden/tuning."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cached_property

import torch
from safetensors.torch import load_file
from torch import Tensor

from golden_files import GOLDEN, GoldenFiles
from tempme.compression import Keep
from tempme.pooling import MeanPooling, Pooling
from tempme.retriever.checkpoint import build
from tempme.retriever.retriever import Retriever
from tempme.systems.system import System
from tempme.tuning import Tuning
from tempme.weights.read import read_weights

State = Mapping[str, Tensor]
IN_ATTENTION = (("attn.in_proj_", "attn.qkv."), ("attn.out_proj.", "attn.out."))


class Golden(GoldenFiles):
    """One configuration of one official code."""

    folder = GOLDEN / "tuning"

    @cached_property
    def learnt(self) -> dict[str, Tensor]:
        """What the method adds to CLIP, under the official names."""
        path = self.folder / f"{self.name}_params.safetensors"
        state = load_file(path) if path.exists() else {}
        return {name: value.float() for name, value in state.items()}

    @property
    def frames(self) -> Tensor:
        """(3, 12, 3, 224, 224)."""
        return self.frames_of("video")

    @property
    def mask(self) -> Tensor:
        """(3, 12): the second video has 7 frames."""
        return load_file(self.folder / "videos.safetensors")["video_mask"]

    @property
    def ids(self) -> Tensor:
        own = self.tensors.get("text_ids")
        return load_file(self.folder / "texts.safetensors")["text_ids"] if own is None else own

    def build(
        self,
        tuning: Tuning,
        *,
        take: Callable[[Mapping[str, Tensor]], dict[str, Tensor]],
        pooling: Pooling | None = None,
        words: int = 32,
    ) -> Retriever:
        """The method on the golden backbone, with the golden parameters under our names."""
        base = load_file(self.folder / "base.safetensors")
        config = read_weights(base, activation="quick_gelu").config
        system = System(
            self.name, tuning, Keep(), pooling or MeanPooling(), config, frames=12, max_words=words
        )
        made = Retriever(build(system, base, activation="quick_gelu")).eval()
        learnt = take(self.learnt)
        with torch.no_grad():
            parameters = {n: p for n, p in made.backbone.named_parameters() if p.requires_grad}
            assert learnt.keys() <= parameters.keys(), learnt.keys() - parameters.keys()
            for name, value in learnt.items():
                assert parameters[name].shape == value.shape, name
                parameters[name].copy_(value)
        return made


def block_names(state: State, prefix: str, ours: str) -> dict[str, Tensor]:
    """The parameters of an official transformer block under our names."""
    named = {}
    for name, value in state.items():
        if name.startswith(prefix):
            new = name.removeprefix(prefix)
            for theirs, own in IN_ATTENTION:
                new = new.replace(theirs, own)
            named[re.sub(r"\.+", ".", f"{ours}.{new}")] = value
    return named


def nothing(state: State) -> dict[str, Tensor]:  # noqa: ARG001
    return {}


def dgl_linear(state: State) -> dict[str, Tensor]:
    table = state["clip.visual_prompt_embedding"][0]  # token-major: (prompts, blocks x width)
    ours = {
        "space.value": table.unflatten(1, (12, -1)).transpose(0, 1),
        "vision.layers.0.born.value": state["clip.visual.prompt_embeddings"][0],
    }
    for kind in ("prefix", "postfix"):
        for part in ("weight", "bias"):
            name = f"clip.{kind}_text_prompt_proj_layer.{part}"
            ours[f"space.{kind}.{part}"] = state[name]
    return ours


def dgl_transformer(state: State) -> dict[str, Tensor]:
    table = state["clip.unified_prompt_embedding.weight"]
    return {
        "space.table": table.unflatten(1, (12, -1)).transpose(0, 1),
        "vision.layers.0.born.value": state["clip.visual.prompt_embeddings"][0],
        **block_names(state, "clip.PromptTransformer.resblocks.0.", "space.block"),
        **block_names(state, "clip.unified_prompt_mlp.", "space.words"),
    }


def plevu(state: State) -> dict[str, Tensor]:
    ours = {
        "text.line.table": state["embedding.weight"],
        "vision.temporal.position": state["temporalEmbedding.weight"],
    }
    for block in (0, 1):
        theirs = f"temporalModelling.resblocks.{block}."
        ours |= block_names(state, theirs, f"vision.temporal.blocks.{block}")
    return ours


def vop(state: State) -> dict[str, Tensor]:
    images = state["visual_prompt_learner.visual_prompts"][:, 0]
    ours = {
        "vision.entrance.prompts.value": images[0],
        "text.line.prompts.value": state["text_prompt_learner.text_prompts"][0],
    }
    for tower, prompts in (
        ("vision", images),
        ("text", state["text_prompt_learner.text_prompts"]),
    ):
        for block in range(1, 12):
            ours[f"{tower}.layers.{block}.prompts.value"] = prompts[block]
    return ours


MV_NAMES = (
    (r"^clip\.prompt\.(\d+)$", r"factors.\1.value"),
    (r"^clip\.visual\.transformer\.resblocks\.(\d+)\.mlp\.", r"vision.layers.\1."),
    (r"^clip\.transformer\.resblocks\.(\d+)\.mlp\.", r"text.layers.\1."),
    (r"adapter\.positional_embedding", "adapter.position"),
    (r"adapter\.cc$", "adapter.whole"),
    (r"adapter\.conv_rf_c", "adapter.calibration"),
    (r"adapter\.ln_pre", "adapter.norm"),
    (r"adapter\.md_proj", "adapter.down.rescale"),
    (r"attn\.in_proj_", "attn.qkv."),
    (r"attn\.out_proj\.", "attn.out."),
)


def mv_adapter(state: State) -> dict[str, Tensor]:
    ours = {}
    for name, value in state.items():
        is_tied = name.replace("adapter.down", "adapter.md_proj") in state
        own = name.replace("adapter.down", "adapter.down.base") if is_tied else name
        for pattern, ours_has in MV_NAMES:
            own = re.sub(pattern, ours_has, own)
        ours[own] = value
    return ours


def probe(gradient: Tensor) -> float:
    """One number that depends on every element."""
    flat = gradient.flatten().double()
    return float((flat * torch.sin(0.37 * torch.arange(len(flat)).double())).sum())
