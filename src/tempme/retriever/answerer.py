"""A UMT that answers questions about videos, of a list of answers: built, saved and loaded.

A folder holds `answerer.toml` (the system), `answers.json` (what may be answered), and, like a
saved retriever, `weights.safetensors` and `tokenizer.json`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import tomli_w
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from tempme.atomic import replacing
from tempme.backbones.backbone import seen_by
from tempme.backbones.layers import inner_state
from tempme.backbones.umt.answerer import UmtAnswerer
from tempme.backbones.umt.config import UmtConfig
from tempme.backbones.umt.model import Umt
from tempme.backbones.umt.wordpiece import WordPiece
from tempme.errors import BadSetting, BadWeights
from tempme.retriever.checkpoint import backbone_inside, load_folder
from tempme.retriever.described import FORMAT, Described, to_toml
from tempme.retriever.inputs import check_transformed, normalised
from tempme.retriever.names import SYSTEM, TOKENIZER, WEIGHTS, Saved, look_up
from tempme.retriever.parts import seeded
from tempme.retriever.published_umt import words_beside
from tempme.settings import typed
from tempme.systems.assembly import assemble
from tempme.systems.system import System, check_frames
from tempme.tokens import Tokens
from tempme.untrusted import read_json, read_toml
from tempme.weights.fit import misfit
from tempme.weights.saving import save_tensors
from tempme.weights.umt_release import read_umt_answerer

ANSWERER, ANSWERS = "answerer.toml", "answers.json"
QUESTION_WORDS, ANSWER_WORDS = 25, 5  # pieces that are read, as in the original


class Answerer(nn.Module):
    """Videos and questions -> how likely each answer of its list is; what a trainer trains."""

    def __init__(
        self,
        system: System,
        backbone: UmtAnswerer,
        tokenizer: WordPiece,
        answers: Sequence[str],
        *,
        origin: str = "",
    ) -> None:
        super().__init__()
        self.system, self.backbone, self.tokenizer = system, backbone, tokenizer
        self.answers, self.origin = _checked(answers), origin

    @classmethod
    def build(
        cls,
        system: System,
        weights: str | Path | None,
        answers: Sequence[str],
        *,
        tokenizer: WordPiece | None = None,
        seed: int | None = None,
    ) -> Answerer:
        """Load, tune, compress: a model that has not learnt to answer yet.

        weights: a file of UMT (of pre-training or questions), a saved answerer, of which only the
        backbone has learnt, a saved retriever that is a UMT, of which the upper text layers begin
        the decoder, or None. tokenizer: where weights have none.
        """
        config = _umt_sizes(system)
        with seeded(seed):
            if weights is None:
                words = tokenizer or WordPiece.of_words(answers, context=config.context)
                untuned, origin = UmtAnswerer(replace(config, vocab=words.vocab)), "random"
            else:
                untuned, words, origin = _started(config, weights, tokenizer)
            system = replace(system, backbone=untuned.config)
            return cls(system, _assembled(system, untuned), words, answers, origin=origin).eval()

    @classmethod
    def load(cls, folder: str | Path) -> Answerer:
        """What `save` wrote; BadWeights names what is wrong with it."""
        folder = Path(folder)
        if not (folder / ANSWERER).is_file():
            raise BadWeights(_no_answerer(folder))
        try:
            table = read_toml(folder / ANSWERER, follow=True)
            answers = read_json(folder / ANSWERS)
            state = load_file(folder / WEIGHTS)
        except (OSError, ValueError, SafetensorError) as reason:
            raise BadWeights(f"{folder} is not a saved answerer: {reason}") from reason
        if table.get("format") != FORMAT:
            raise BadWeights(
                f"{folder} has format {table.get('format')}; this program reads {FORMAT}"
            )
        described = typed(Described, table, str(folder / ANSWERER))
        system = described.system()
        backbone = _assembled(system, UmtAnswerer(_umt_sizes(system)))
        shapes = {name: tuple(value.shape) for name, value in backbone.state_dict().items()}
        if wrong := misfit(shapes, state):
            raise BadWeights(f"{folder / WEIGHTS} does not fit {folder / ANSWERER}: {wrong}")
        backbone.load_state_dict({name: value.float() for name, value in state.items()})
        words = WordPiece.load(folder / TOKENIZER)
        return cls(system, backbone, words, answers, origin=described.origin).eval()

    def save(self, folder: str | Path) -> Path:
        """All of it, as a folder that `load` reads."""
        folder = Path(folder)
        state = {n: v.detach().cpu().contiguous() for n, v in self.backbone.state_dict().items()}
        with replacing(folder / WEIGHTS) as draft:
            save_tensors(state, draft)
        self.tokenizer.save(folder / TOKENIZER)
        with replacing(folder / ANSWERS) as draft:
            draft.write_text(json.dumps(self.answers, ensure_ascii=False, indent=0) + "\n", "utf-8")
        described: dict[str, Any] = {"format": FORMAT, "origin": self.origin}
        with replacing(folder / ANSWERER) as draft:
            draft.write_text(tomli_w.dumps(described | to_toml(self.system)), "utf-8")
        return folder

    @property
    def num_frames(self) -> int:
        """Frames of a video."""
        return self.system.frames

    @property
    def image_size(self) -> int:
        """Pixels along a side of a frame."""
        return self.backbone.config.image_size

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.backbone.decoder.head_bias.device

    def transform(self, pixels: np.ndarray | Tensor) -> Tensor:
        """uint8 (..., H, W, 3) -> (..., 3, H, W), normalised as the backbone was trained."""
        return normalised(pixels, self.backbone.config, self.device)

    def watch(self, frames: Tensor) -> Tokens:
        """(V, F, 3, H, W) from `transform` -> the tokens of the videos."""
        check_transformed(frames, ("V", "F"), size=self.image_size)
        check_frames(self.system, frames.shape[1])
        return self.backbone.encode_videos(frames.to(self.device))

    def ask(self, videos: Tokens | Tensor, questions: Sequence[str]) -> Tokens:
        """Videos (frames, or tokens from `watch`), and as many questions or a multiple of them.

        Gives the words of the questions, which have looked at their videos; videos of several
        neighbouring questions come once.
        """
        tokens = self.watch(videos) if isinstance(videos, Tensor) else videos
        ids, mask = self.tokenizer(questions, max_words=QUESTION_WORDS)
        used = slice(int(mask.sum(dim=1).max()) if len(ids) else 0)
        ids, mask = ids[:, used].to(self.device), mask[:, used].to(self.device)
        return self.backbone.ask(ids, mask, tokens)

    def answer_ids(self, answers: Sequence[str] | None = None) -> tuple[Tensor, Tensor]:
        """Ids and mask (A, W) of answers as the decoder takes them; None is the whole list."""
        some = list(self.answers if answers is None else answers)
        ids, mask = self.tokenizer(some, max_words=ANSWER_WORDS, end=True)
        return ids.to(self.device), mask.to(self.device)


def is_answerer(source: str | Path) -> bool:
    """Whether `source` is a folder that `Answerer.save` wrote."""
    return (Path(source) / ANSWERER).is_file()


def _checked(answers: Sequence[str]) -> tuple[str, ...]:
    if isinstance(answers, str) or not all(isinstance(one, str) for one in answers):
        raise BadSetting("answers are a list of texts, of which one is chosen")
    if len(answers) < 2 or len(set(answers)) < len(answers):
        raise BadSetting(f"there are {len(answers)} answers; give 2 or more, none of them twice")
    return tuple(answers)


def _umt_sizes(system: System) -> UmtConfig:
    config = system.config
    if not isinstance(config, UmtConfig):
        raise BadSetting(
            f"{system.name} is made for a CLIP, which answers no questions: choose umt, umt4clip "
            f"or umt4clip-tempme"
        )
    return config


def _assembled(system: System, backbone: UmtAnswerer) -> UmtAnswerer:
    """Tuned and compressed in place; the decoder learns whatever the tuning is."""
    assemble(
        cast("Umt", backbone),  # which has the same towers
        system.tuning,
        system.compression,
        system.plan(),
        frames=system.frames,
        words=system.max_words,
    )
    backbone.decoder.requires_grad_(True)
    return backbone


def _started(
    config: UmtConfig, weights: str | Path, tokenizer: WordPiece | None
) -> tuple[UmtAnswerer, WordPiece, str]:
    """The backbone that weights make, its words, and where they are from."""
    if is_answerer(weights):
        return _of_answerer(config, Path(weights))
    found = look_up(weights)
    if isinstance(found, Saved):
        return _of_retriever(config, found.folder)
    if not Path(weights).is_file():
        raise BadWeights(f"there is no file, saved answerer or saved retriever {str(weights)!r}")
    heads = {"heads": config.heads, "text_heads": config.text_heads}
    read = read_umt_answerer(weights, image_size=config.image_size, **heads)
    words = words_beside(weights, tokenizer, read.config.context)
    made = UmtAnswerer(seen_by(read.config, config))
    made.load_state_dict(read.state)
    return made, words, read.origin


def _of_answerer(config: UmtConfig, folder: Path) -> tuple[UmtAnswerer, WordPiece, str]:
    """A model that answers, as it was before it was tuned and compressed."""
    saved = Answerer.load(folder)
    own, inner = _umt_sizes(saved.system), inner_state(saved.backbone)
    made = UmtAnswerer(replace(seen_by(own, config), decoder_layers=own.decoder_layers))
    if lacking := made.state_dict().keys() - inner.keys():
        raise BadWeights(f"the backbone of {folder} was changed by its tuning: no {min(lacking)}")
    made.load_state_dict({name: inner[name] for name in made.state_dict()})
    return made, saved.tokenizer, str(folder)


def _of_retriever(config: UmtConfig, folder: Path) -> tuple[UmtAnswerer, WordPiece, str]:
    """Both towers of a UMT that finds videos; its upper text layers are the decoder's first."""
    saved = load_folder(folder)
    if not isinstance(saved.backbone, Umt) or not isinstance(saved.tokenizer, WordPiece):
        raise BadWeights(f"{folder} is a {saved.system.name}, and no UMT: questions need one")
    umt = cast("Umt", backbone_inside(saved, str(folder)).backbone)
    own = umt.config
    sizes = replace(seen_by(own, config), decoder_layers=own.text_layers - own.fusion_from)
    made, state = UmtAnswerer(sizes), umt.state_dict()
    wanted = made.state_dict()
    taken: dict[str, Tensor] = {}
    for name, value in wanted.items():
        source = name
        if name.startswith("decoder.layers."):
            number, _, rest = name.removeprefix("decoder.layers.").partition(".")
            source = f"text.layers.{own.fusion_from + int(number)}.{rest}"
        elif name.startswith("decoder."):
            source = name.replace("decoder.", "text.", 1)
        taken[name] = state.get(source, value)
    made.load_state_dict(taken)
    return made, saved.tokenizer, str(folder)


def _no_answerer(folder: Path) -> str:
    if (folder / SYSTEM).is_file():
        return (
            f"{folder} is a retriever, which finds videos; answers need a model that "
            f"`tempme train` made from questions"
        )
    return f"{folder} is no saved answerer: give a folder with {ANSWERER}, as `tempme train` writes"
