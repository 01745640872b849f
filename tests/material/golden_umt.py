"""What the official UMT code computed, and what it computed with frames merged: tests/golden/umt.

OpenGVLab/unmasked_teacher 4fb4049 (multi_modality) and LunarShen/TempMe e624930, run in fp32 in
evaluation mode. Groups: a vision, b text and fusion, c losses, gradients and four steps, d
retrieval in two stages, e questions, f frame by frame (UMT4Clip), g merging frames (UMT4Clip with
TempMe or ToMe). Variants of b to e: joint, perframe, tempme (the option "main" of g).

Every size is read from the folder, so that any other set of the same kind can be put in its place:
TEMPME_UMT_GOLDEN names folders, separated by ":".
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from golden_files import GOLDEN
from tempme.backbones.umt.answerer import UmtAnswerer
from tempme.backbones.umt.config import UmtConfig
from tempme.backbones.umt.model import Umt
from tempme.backbones.umt.names import to_ours
from tempme.backbones.umt.vision import VideoEncoder
from tempme.backbones.umt.wordpiece import WordPiece
from tempme.compression import Compression, TempMe, ToMe
from tempme.tokens import Tokens

VARIANTS = ("joint", "perframe", "tempme")
MAIN = "main"  # the option of g that the variant tempme is
Facts = dict[str, Any]


@dataclass(frozen=True)
class GoldenUmt:
    folder: Path

    @cached_property
    def config(self) -> Facts:
        return self.facts("config")

    @cached_property
    def sizes(self) -> Facts:
        sizes: Facts = self.config["config"]
        return sizes

    @cached_property
    def inputs(self) -> dict[str, Tensor]:
        return load_file(self.folder / "inputs.safetensors")

    @cached_property
    def weights(self) -> dict[str, Tensor]:
        return floats(load_file(self.folder / "weights.safetensors"))

    @cached_property
    def decoder(self) -> dict[str, Tensor]:
        return floats(load_file(self.folder / "qa_decoder.safetensors"))

    def facts(self, name: str) -> Facts:
        facts: Facts = json.loads((self.folder / f"{name}.json").read_text())
        return facts

    def tensors(self, name: str) -> dict[str, Tensor]:
        return load_file(self.folder / f"{name}.safetensors")

    @cached_property
    def umt_config(self) -> UmtConfig:
        sizes, weights = self.sizes, self.weights
        layer = re.compile(r"text_decoder\.bert\.encoder\.layer\.(\d+)\.")
        decoders = [int(found[1]) for name in self.decoder if (found := layer.match(name))]
        return UmtConfig(
            image_size=sizes["px"],
            patch=weights["vision_encoder.encoder.patch_embed.proj.weight"].shape[-1],
            width=sizes["vw"],
            layers=sizes["vl"],
            heads=sizes["vh"],
            text_width=sizes["tw"],
            text_layers=sizes["tl"],
            text_heads=sizes["th"],
            fusion_from=sizes["fusion"],
            decoder_layers=1 + max(decoders),
            embed=sizes["embed"],
            context=len(weights["text_encoder.embeddings.position_embeddings.weight"]),
            vocab=len(weights["text_encoder.embeddings.word_embeddings.weight"]),
        )

    @property
    def tokenizer(self) -> WordPiece:
        return WordPiece(tuple(self.config["vocab"]), context=self.umt_config.context)

    @cached_property
    def videos(self) -> Tensor:
        """(V, F, 3, H, W)."""
        return self.enlarged("videos", self.sizes["px"])

    @cached_property
    def videos_alt(self) -> Tensor:
        """Shorter and smaller ones, for the same weights."""
        return self.enlarged("videos_alt", self.config["alt"]["px"])

    def enlarged(self, name: str, pixels: int) -> Tensor:
        small = self.inputs[name].float()
        times = pixels // small.shape[-1]
        return small.repeat_interleave(times, -1).repeat_interleave(times, -2)

    def umt(self, variant: str = "joint", **changes: Any) -> Umt:
        """The retrieval model of a variant, or one with some settings changed."""
        config = replace(self.umt_config, joint=variant == "joint", **changes)
        model = Umt(config)
        model.load_state_dict(to_ours(self.weights))
        if variant == "tempme":
            self.compress(model.vision, MAIN)
        return model.eval()

    def answerer(self, variant: str) -> UmtAnswerer:
        model = UmtAnswerer(replace(self.umt_config, joint=variant == "joint"))
        tied = "text_decoder.cls.predictions.decoder."
        kept = {n: v for n, v in (self.weights | self.decoder).items() if not n.startswith(tied)}
        ours = to_ours(kept)
        model.load_state_dict({name: ours[name] for name in model.state_dict()})
        if variant == "tempme":
            self.compress(model.vision, MAIN)
        return model.eval()

    def option(self, name: str) -> Facts:
        """The settings of an option of g; "alt" has its own."""
        facts: Facts = self.facts("g_tempme")[name]["option"]
        return facts

    def compression(self, name: str) -> Compression:
        option = self.option(name)
        if not option["merge_layers"]:
            return ToMe(r=option["r"], proportional=option["prop_attn"])
        cross, intra = option["proportions"]
        return TempMe(
            r=option["r"],
            joins=dict(zip(option["merge_layers"], option["groups"], strict=True)),
            keep_cross=1 - cross / 100,
            keep_intra=1 - intra / 100,
            proportional=option["prop_attn"],
            positions=bool(option["frame_pos"]),
        )

    def compress(self, vision: VideoEncoder, name: str) -> VideoEncoder:
        """The tower with the compression of an option of g around its layers."""
        config, made = vision.config, self.compression(name)
        frames = self.option(name).get("frames", self.sizes["frames"])
        plan = made.plan(tokens=config.tokens, frames=frames, depth=config.layers, protected=0)
        vision.layers = nn.ModuleList(
            made.wrap(layer, step, config.width)
            for layer, step in zip(vision.layers, plan, strict=True)
        )
        for place, layer in enumerate(self.option(name)["merge_layers"]):
            learnt = vision.layers[layer].clip_position
            if learnt is not None:
                with torch.no_grad():
                    learnt.copy_(self.inputs[f"clip_pos.{name}.{place}"][0].float())
        return vision

    def words(self, model: Umt, texts: slice = slice(None)) -> Tokens:
        """The texts after the layers of words alone."""
        ids, mask = self.inputs["text_ids"][texts], self.inputs["text_mask"][texts]
        return model.text.read(model.text.embed(ids, mask))


@cache
def seen_by(golden: GoldenUmt, variant: str) -> Tokens:
    """The videos after the encoder of a variant, once for all that needs no gradient."""
    with torch.no_grad():
        return golden.umt(variant).encode_videos(golden.videos)


def golden_folders() -> list[GoldenUmt]:
    named = os.environ.get("TEMPME_UMT_GOLDEN", "")
    folders = [Path(name) for name in named.split(":") if name] or [GOLDEN / "umt"]
    return [GoldenUmt(folder) for folder in folders]


def floats(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.float() for name, value in tensors.items()}
