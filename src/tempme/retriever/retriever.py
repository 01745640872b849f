"""A system with weights in it: videos and texts -> features in one space."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from tempme.backbones.clip import Clip
from tempme.backbones.layers import fold
from tempme.backbones.tokenizer import Tokenizer
from tempme.errors import BadSetting, BadWeights
from tempme.retriever import precision as numbers
from tempme.systems.table import System, check_frames, settings_of
from tempme.tokens import Tokens

# Shape letters: V videos, F frames, N distinct frames, W windows, T texts, D feature.

FINGERPRINT_SAMPLES = 64  # numbers of every tensor that enter the fingerprint


class Retriever(nn.Module):
    """Encodes videos and texts; what a trainer trains and an index is built with."""

    def __init__(
        self,
        system: System,
        clip: Clip,
        tokenizer: Tokenizer,
        *,
        origin: str,
        base: str | None = None,
        fingerprint: str | None = None,
    ) -> None:
        super().__init__()
        self.system, self.clip, self.tokenizer, self.origin = system, clip, tokenizer, origin
        self.base = base  # the published tag that holds what did not learn
        self.precision = "fp32"
        self.is_folded = False
        self._fingerprint = fingerprint

    @property
    def frames(self) -> int:
        """Frames of a video."""
        return self.system.frames

    @property
    def image_size(self) -> int:
        """Pixels along a side of a frame."""
        return self.clip.config.image_size

    @property
    def features(self) -> int:
        """Numbers in a feature."""
        return self.clip.config.embed

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.clip.logit_scale.device

    @property
    def fingerprint(self) -> str:
        """A name of system and weights: equal features only under equal fingerprints."""
        if self._fingerprint is None:
            self._fingerprint = _fingerprint(self.system, self.clip)
        return self._fingerprint

    def transform(self, pixels: np.ndarray | Tensor) -> Tensor:
        """uint8 (..., H, W, 3) -> (..., 3, H, W), normalised as the backbone was trained."""
        if np.ndim(pixels) < 3 or np.shape(pixels)[-1] != 3:
            raise BadSetting(f"pixels are {tuple(np.shape(pixels))}; they are (..., H, W, 3)")
        x = torch.as_tensor(pixels, device=self.device).movedim(-1, -3).float() / 255
        config = self.clip.config
        mean, std = (
            torch.tensor(v, device=x.device)[:, None, None] for v in (config.mean, config.std)
        )
        return (x - mean) / std

    def encode_videos(self, frames: Tensor, mask: Tensor | None = None) -> Tensor:
        """(V, F, 3, H, W) from `transform` -> (V, D) unit features.

        `mask` (V, F) leaves frames out of the final mean; they are still seen by the encoder.
        """
        self.check_videos(frames, mask)
        vision = self.clip.vision
        with numbers.context(self.precision, self.device):
            tokens = vision.encode(vision.embed(self._cast(frames), self._mask(mask)))
            return self._pool(vision.project(tokens), tokens.frame_weights(mask))

    @property
    def frozen_layers(self) -> int:
        """Leading image blocks that see one frame at a time and do not learn."""
        vision = self.clip.vision
        if self._embedding_learns:
            return 0
        for i, layer in enumerate(vision.layers[: vision.frame_layers]):
            if any(p.requires_grad for p in layer.parameters()):
                return i
        return vision.frame_layers

    @torch.no_grad()
    def begin(self, frames: Tensor) -> Tokens:
        """(V, F, 3, H, W) from `transform` -> tokens after the frozen layers.

        Training that shows a video more than once has to compute them only once.
        """
        self.check_videos(frames)
        if self._embedding_learns:
            raise BadSetting(
                f"in {self.system.name} something learns before the first image block, so that "
                f"nothing can be computed once: tune images from a later block on "
                f"(vision_from = 1 or more), or learn without a pool (data.pool = 0)"
            )
        vision = self.clip.vision
        with numbers.context(self.precision, self.device):
            tokens = vision.embed(self._cast(frames))
            for layer in vision.layers[: self.frozen_layers]:
                tokens = layer(tokens)
            return tokens

    def encode_begun(self, tokens: Tokens) -> Tensor:
        """Tokens of V videos from `begin` -> (V, D) unit features."""
        vision = self.clip.vision
        check_frames(self.system, tokens.clips_per_video)
        with numbers.context(self.precision, self.device):
            tokens = vision.encode(tokens, vision.layers[self.frozen_layers :])
            return self._pool(vision.project(tokens), tokens.frame_weights())

    def encode_windows(self, frames: Tensor, windows: Tensor) -> Tensor:
        """(N, 3, H, W) distinct frames and (W, F) indices into them -> (W, D) unit features.

        Equal to encoding every window alone, but blocks before the first join, which see one
        frame at a time, run once per distinct frame.
        """
        self._check(frames, dims=4)
        check_frames(self.system, windows.shape[1])
        vision, index = self.clip.vision, windows.to(self.device)
        alone = vision.frame_layers
        with numbers.context(self.precision, self.device):
            tokens = vision.embed(self._cast(frames)[:, None])
            if alone == len(vision.layers):
                projected = vision.project(vision.encode(tokens))
                return self._pool(projected.squeeze(1)[index], None)
            for layer in vision.layers[:alone]:
                tokens = layer(tokens)
            tokens = tokens.rows(index.flatten(), clips_per_video=self.frames)
            tokens = vision.encode(tokens, vision.layers[alone:])
            return self._pool(vision.project(tokens), tokens.frame_weights())

    def encode_texts(self, texts: Sequence[str] | Tensor) -> Tensor:
        """Texts, or ids (T, W) with the end of text as the largest -> (T, D) unit features.

        Texts longer than `system.max_words` are cut, as in training.
        """
        if isinstance(texts, str):
            raise BadSetting("encode_texts takes a list of texts; put the one text into a list")
        ids = texts if isinstance(texts, Tensor) else self._ids(texts)
        if not len(ids):
            return torch.empty(0, self.features, device=self.device)
        ids = ids.to(self.device)
        with numbers.context(self.precision, self.device):
            return normalize(self.clip.text(ids).float(), dim=-1)

    def unread(self, text: str) -> str:
        """What of a text this model does not take in, for a person; empty if it takes in all."""
        words, foreign = self.tokenizer.unknown(text), self.tokenizer.foreign(text)
        notes = []
        if words and not self.tokenizer.encode(text):
            notes.append("the model knows none of these words")
        elif words:
            notes.append(f"the model leaves out words it does not know: {', '.join(words)}")
        elif foreign:
            told = ", ".join(foreign)
            notes.append(
                f"the model has learnt from English and hardly knows: {told}; ask in English"
            )
        if self.tokenizer.is_cut(text, max_words=self.system.max_words):
            notes.append("the text is longer than the model reads, its end is left out")
        return "; ".join(notes)

    def similarity(self, texts: Tensor, videos: Tensor) -> Tensor:
        """Unit features (T, D) and (V, D) -> logits (T, V): cosines times the temperature."""
        with torch.autocast(self.device.type, enabled=False):  # half a product cannot rank
            cosines = torch.einsum("td,vd->tv", texts.float(), videos.float())
            return self.clip.logit_scale.float().exp() * cosines

    def for_inference(self, precision: str = "auto") -> Retriever:
        """A copy that computes the same with LoRA folded, in the given precision, no gradients."""
        chosen = numbers.resolve(precision, self.device)
        made = Retriever(
            self.system,
            copy.deepcopy(self.clip),
            self.tokenizer,
            origin=self.origin,
            fingerprint=self.fingerprint,
        )
        fold(made.clip)
        made.clip.requires_grad_(False).eval().to(numbers.dtype(chosen))
        made.precision, made.is_folded = chosen, True
        return made

    def check_videos(self, frames: Tensor, mask: Tensor | None = None) -> None:
        """Raise BadSetting unless this system takes the frames (V, F, 3, H, W) and mask (V, F)."""
        self._check(frames, dims=5)
        check_frames(self.system, frames.shape[1])
        if mask is not None and mask.shape != frames.shape[:2]:
            raise BadSetting(
                f"the mask is {tuple(mask.shape)}; for these frames it is {tuple(frames.shape[:2])}"
            )

    def save(self, folder: str | Path, *, whole: bool | None = None, half: bool = False) -> Path:
        """What learnt and the system that learnt it, as a folder that `tempme.load` reads.

        whole: also what did not learn; by default unless a published tag holds it. half: in fp16.
        """
        from tempme.retriever.checkpoint import save

        return save(self, Path(folder), whole=whole, half=half)

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
        from tempme.retriever.publish import push

        return push(self, repo_id, result=result, private=private, token=token, license=license)

    @property
    def _embedding_learns(self) -> bool:
        """Whether anything before the first image block requires gradients."""
        vision = self.clip.vision
        modules = (vision.patch_embedding, vision.ln_pre, vision.entrance)
        own = (vision.class_embedding, vision.position_embedding)
        return any(p.requires_grad for p in (*own, *(p for m in modules for p in m.parameters())))

    def _pool(self, projected: Tensor, mask: Tensor | None) -> Tensor:
        related = self.clip.vision.relate(projected)
        return normalize(self.system.pooling(related.float(), mask), dim=-1)

    def _mask(self, mask: Tensor | None) -> Tensor | None:
        return None if mask is None else mask.to(self.device)

    def _ids(self, texts: Sequence[str]) -> Tensor:
        known, rows = self.tokenizer.vocab, self.clip.config.vocab
        if len(texts) and known > rows:  # the end of a text is the last id
            raise BadWeights(
                f"the tokenizer knows {known} ids, the text encoder {rows}: they are not of one "
                f"model"
            )
        ids, mask = self.tokenizer(texts, max_words=self.system.max_words)
        return ids[:, : int(mask.sum(dim=1).max()) if len(ids) else 0]  # words only see back

    def _cast(self, frames: Tensor) -> Tensor:
        return frames.to(self.device, numbers.dtype(self.precision))

    def _check(self, frames: Tensor, dims: int) -> None:
        size = self.image_size
        if frames.ndim != dims or tuple(frames.shape[-3:]) != (3, size, size):
            wanted = ("V, F" if dims == 5 else "N") + f", 3, {size}, {size}"
            raise BadSetting(
                f"frames are {tuple(frames.shape)}; this model takes ({wanted}) from "
                f"retriever.transform, whose input has the channels last"
            )


def _fingerprint(system: System, clip: Clip) -> str:
    digest = hashlib.blake2b(digest_size=8)
    parts = (system.tuning, system.compression, system.pooling)
    digest.update(f"({', '.join(map(_spelled, parts))}, {system.frames})".encode())
    for name, value in sorted(clip.state_dict().items()):
        flat = value.detach().flatten()
        stride = max(1, flat.numel() // FINGERPRINT_SAMPLES)
        digest.update(f"{name} {tuple(value.shape)}".encode())
        digest.update(flat[::stride].float().cpu().numpy().tobytes())
    return f"{system.name}-{digest.hexdigest()}"


def _spelled(settings: Any) -> str:
    """As `repr`, with inherited settings last: where they came when each class had its own."""
    values = ", ".join(f"{f.name}={getattr(settings, f.name)!r}" for f in settings_of(settings))
    return f"{type(settings).__name__}({values})"
