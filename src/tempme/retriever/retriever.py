"""A system with weights in it: videos and texts -> features in one space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from tempme.backbones.config import DEFAULT_MODEL
from tempme.backbones.vocabularies import AnyTokenizer
from tempme.engines.choice import AUTO, TORCH, EngineChoice
from tempme.engines.engine import Engine
from tempme.errors import BadSetting
from tempme.retriever import checkpoint
from tempme.retriever import precision as numbers
from tempme.retriever.by_engine import texts_of, videos_of, windows_of
from tempme.retriever.exported import copied, exported_in, has_numbers
from tempme.retriever.fingerprint import fingerprints
from tempme.retriever.inputs import Videos, check_transformed, frames_of, ids_of, normalised
from tempme.retriever.parts import Parts
from tempme.retriever.placing import device_of
from tempme.retriever.publish import push
from tempme.retriever.running import chosen, running
from tempme.retriever.unread import unread
from tempme.retriever.windows import before_they_differ, shared_clips
from tempme.systems.system import System, check_frames
from tempme.tokens import Tokens

# Shape letters: V videos, F frames, N distinct frames, W windows, T texts, D feature.


class Retriever(nn.Module):
    """Encodes videos and texts; what a trainer trains and an index is built with.

    `Retriever.build` makes an untrained one of a system and weights, `Retriever.load` reads
    whatever a person has.
    """

    def __init__(
        self,
        parts: Parts,
        *,
        fingerprints: tuple[str, str] | None = None,
        engine: Engine | None = None,
    ) -> None:
        super().__init__()
        self.system, self.backbone, self.tokenizer = parts.system, parts.backbone, parts.tokenizer
        self.origin, self.base = parts.origin, parts.base
        self.precision, self.is_folded = engine.precision if engine else "fp32", False
        self._fingerprints, self.engine = fingerprints, engine

    @classmethod
    def build(
        cls,
        system: System,
        weights: str | Path | Mapping[str, Tensor] | None,
        *,
        activation: str | None = None,
        tokenizer: AnyTokenizer | None = None,
        seed: int | None = None,
    ) -> Retriever:
        """Load, tune, compress: an untrained retriever of the system.

        weights: a published tag ("openai"), a file, folder or hub id of weights, a state dict, a
        saved retriever of which only the backbone has learnt, or None; of the system's sizes, but
        for its image size. activation overrides them. seed: what is random is so repeatably.
        """
        parts = checkpoint.build(
            system, weights, activation=activation, tokenizer=tokenizer, seed=seed
        )
        if weights is not None:
            checkpoint.say_untrained(system.name, parts.origin)
        return cls(parts).eval()

    @classmethod
    def load(
        cls,
        source: str | Path = DEFAULT_MODEL,
        *,
        system_name: str = "clip4clip",
        activation: str | None = None,
    ) -> Retriever:
        """A retriever from whatever a person has.

        source: a folder of `save`, the name of a shipped model (scenes-tiny), a hub id of either
        kind, "BACKBONE:TAG" of published weights, or a file or folder of CLIP weights. Plain
        weights get `system_name`, untrained; activation overrules theirs. BadWeights, NoNetwork.
        """
        if (made := exported_in(source)) is not None:
            return cls(made.parts, fingerprints=made.names, engine=made.engine).eval()
        parts = checkpoint.load(source, system_name=system_name, activation=activation)
        return cls(parts).eval()

    @classmethod
    def from_pretrained(cls, source: str | Path, **options: Any) -> Retriever:
        """`load`, under the name that other libraries have for it."""
        return cls.load(source, **options)

    @property
    def num_frames(self) -> int:
        """Frames of a video."""
        return self.system.frames

    @property
    def image_size(self) -> int:
        """Pixels along a side of a frame."""
        return self.backbone.config.image_size

    @property
    def feature_size(self) -> int:
        """Numbers in a feature."""
        return self.backbone.config.embed

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.backbone.logit_scale.device

    @property
    def fingerprint(self) -> str:
        """A name of system and weights: equal features only under equal fingerprints."""
        return self.fingerprints[0]

    @property
    def fingerprints(self) -> tuple[str, str]:
        """Its fingerprint, and the one that an index of format 1 has for it; empty for none."""
        if self._fingerprints is None:
            self._fingerprints = fingerprints(self.system, self.backbone, self.tokenizer)
        return self._fingerprints

    def transform(self, pixels: np.ndarray | Tensor) -> Tensor:
        """uint8 (..., H, W, 3) -> (..., 3, H, W), normalised as the backbone was trained."""
        return normalised(pixels, self.backbone.config, self.device)

    def encode_videos(self, videos: Videos, mask: Tensor | None = None) -> Tensor:
        """Videos -> (V, D) unit features.

        videos: (V, F, 3, H, W) from `transform`, uint8 pixels (V, F, H, W, 3), or a list of paths
        and of uint8 arrays (F, H, W, 3). `mask` (V, F) leaves frames out of the final mean; they
        are still seen by the encoder. BadVideo names a file that cannot be read.
        """
        given = frames_of(videos, frames=self.num_frames, size=self.image_size, fit=self.system.fit)
        is_transformed = isinstance(given, Tensor) and given.is_floating_point()
        frames = torch.as_tensor(given) if is_transformed else self.transform(given)
        self.check_videos(frames, mask)
        if self.engine is not None:
            return videos_of(self.engine, frames, mask)
        return self.encode_tokens(self.embed(frames, mask), mask=mask)

    def embed(self, frames: Tensor, mask: Tensor | None = None) -> Tokens:
        """(V, F, 3, H, W) from `transform` -> tokens before the first block."""
        mask = None if mask is None else mask.to(self.device)
        pixels = frames.to(self.device, numbers.dtype(self.precision))
        with numbers.context(self.precision, self.device):
            return self.backbone.vision.embed(pixels, mask)

    def encode_tokens(
        self, tokens: Tokens, *, first: int = 0, mask: Tensor | None = None
    ) -> Tensor:
        """Tokens of V videos before the block `first` -> (V, D) unit features."""
        vision = self.backbone.vision
        with numbers.context(self.precision, self.device):
            tokens = vision.encode(tokens, vision.layers[first:])
            return self._pool(vision.project(tokens), vision.part_weights(tokens, mask))

    def encode_windows(self, frames: Tensor, windows: Tensor) -> Tensor:
        """(N, 3, H, W) distinct frames and (W, F) indices into them -> (W, D) unit features.

        Equal to encoding every window alone, but what windows share is computed once
        (`retriever.windows`).
        """
        check_transformed(frames, ("N",), size=self.image_size)
        check_frames(self.system, windows.shape[1])
        if self.engine is not None:
            return windows_of(self.engine, frames, windows)
        vision, index = self.backbone.vision, windows.to(self.device)
        if (shared := shared_clips(frames.to(self.device), index, vision)) is None:
            return self.encode_tokens(self.embed(frames.to(self.device)[index]))
        tokens, index = self.embed(shared[0]), shared[1]
        with numbers.context(self.precision, self.device):
            if vision.frame_layers == len(vision.layers):
                projected = vision.project(vision.encode(tokens))
                return self._pool(projected.squeeze(1)[index], None)
            tokens, first = before_they_differ(tokens, index, list(vision.layers))
        return self.encode_tokens(tokens, first=first)

    def encode_texts(self, texts: Sequence[str] | Tensor) -> Tensor:
        """Texts, or ids (T, W) with the end of text as the largest -> (T, D) unit features.

        Texts longer than `system.max_words` are cut, as in training.
        """
        ids = ids_of(texts, self.tokenizer, self.backbone.config, words=self.system.max_words)
        if not len(ids):
            return torch.empty(0, self.feature_size, device=self.device)
        if self.engine is not None:
            return texts_of(self.engine, ids)
        ids = ids.to(self.device)
        with numbers.context(self.precision, self.device):
            return normalize(self.backbone.text(ids).float(), dim=-1)

    def unread(self, text: str) -> str:
        """What of a text this model does not take in, for a person; empty if it takes in all."""
        return unread(self.tokenizer, text, max_words=self.system.max_words)

    def similarity(self, texts: Tensor, videos: Tensor) -> Tensor:
        """Unit features (T, D) and (V, D) -> cosines (T, V), from -1 to 1."""
        with torch.autocast(self.device.type, enabled=False):  # half a product cannot rank
            return torch.einsum("td,vd->tv", texts.float(), videos.float())

    def logits(self, texts: Tensor, videos: Tensor) -> Tensor:
        """Unit features (T, D) and (V, D) -> (T, V): `similarity` times the learnt temperature."""
        return self.backbone.logit_scale.float().exp() * self.similarity(texts, videos)

    def for_inference(
        self, precision: str = "auto", engine: str = "auto", device: str | None = None
    ) -> Retriever:
        """The same for encoding alone: LoRA folded, in the given precision, no gradients.

        engine: torch (fp32, bf16, bf16-mixed), or, on the CPU, onnx (fp32, int8) or openvino (fp32,
        bf16), made once and kept; auto: what has the precision, or for both the fastest that agrees
        with fp32. device: auto, cpu, cuda, cuda:N, mps; None stays. BadSetting, MissingExtra.
        """
        place = self.device if device is None else device_of(device)
        choice = EngineChoice(engine, precision, device or AUTO)
        if (wanted := chosen(self, choice, on_cpu=place.type == "cpu")) is None:
            return self
        if wanted.engine != TORCH:
            made = running(self.parts, self.fingerprint, wanted.fastest)
            names = made.fingerprints(self.fingerprints)
            return Retriever(self.parts, fingerprints=names, engine=made.engine).eval()
        resolved = numbers.resolve(wanted.precision, place)
        parts = replace(self.parts, backbone=numbers.frozen(self.backbone, resolved, place))
        folded = Retriever(parts, fingerprints=self.fingerprints)
        folded.precision, folded.is_folded = resolved, True
        return folded

    @property
    def parts(self) -> Parts:
        """What it is made of, as it is now."""
        return Parts(self.system, self.backbone, self.tokenizer, self.origin, self.base)

    def save(self, folder: str | Path, *, whole: bool | None = None, half: bool = False) -> Path:
        """What learnt and the system that learnt it, as a folder that `tempme.load` reads.

        whole: also what did not learn; by default unless a published tag holds it. half: in fp16.
        """
        if self.is_folded:
            raise BadSetting("one made for_inference cannot be saved: save the one it is of")
        if self.engine is not None and not has_numbers(self.parts):
            return copied(self.engine, Path(folder))
        return checkpoint.save(self.parts, Path(folder), whole=whole, half=half)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        result: str | Path | Mapping[str, Any] | None = None,
        private: bool = False,
        token: str | None = None,
        license: str | None = None,
    ) -> str:
        """Push what `save` writes to a hub, with a model card; returns the address of its page.

        result: what `tempme train` wrote, for the card: a file, a folder of seeds, or its content.
        token: None is the one of the hub's login or HF_TOKEN. `tempme.load(repo_id)` reads it.
        """
        return push(
            self.parts, repo_id, result=result, private=private, token=token, license=license
        )

    def check_videos(self, frames: Tensor, mask: Tensor | None = None) -> None:
        """Raise BadSetting unless this system takes the frames (V, F, 3, H, W) and mask (V, F)."""
        check_transformed(frames, ("V", "F"), size=self.image_size)
        check_frames(self.system, frames.shape[1])
        if mask is not None and mask.shape != frames.shape[:2]:
            raise BadSetting(
                f"the mask is {tuple(mask.shape)}; for these frames it is {tuple(frames.shape[:2])}"
            )

    def _pool(self, projected: Tensor, mask: Tensor | None) -> Tensor:
        related = self.backbone.vision.relate(projected, mask)
        return normalize(self.system.pooling(related.float(), mask), dim=-1)


def load(
    source: str | Path = DEFAULT_MODEL,
    *,
    system_name: str = "clip4clip",
    activation: str | None = None,
) -> Retriever:
    """`Retriever.load`: a retriever from whatever a person has."""
    return Retriever.load(source, system_name=system_name, activation=activation)
