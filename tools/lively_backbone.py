"""Train the backbone of lively scenes by labels: of every patch, and of every place of a picture.

A caption tells two of nine things, and whether it fits is one bit for a whole frame; what lies
where is known of all of them. Three stages, each saved as it ends, and left out where it is there:

- pictures: patches tell what lies in them (heads on two blocks), and the feature of a frame tells
  colour, shape and texture of what is at each of nine places (a head on the feature);
- captions: the same head reads the feature of a caption, which tells what is at the places that it
  names. So what a caption and a frame say of a place is read off the same directions;
- both: all of these, and the contrastive loss, each scene beside its rival.

The heads are thrown away. Positions come to be seen first: in scenes-tiny they are a thirtieth of
the patches that they are added to, and no layer can tell one place from another.

    python tools/lively_backbone.py --out runs/lively [--steps 4000 5000 1200]
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable
from math import cos, pi
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, normalize

from tempme.retriever.checkpoint import backbone_of
from tempme.retriever.inputs import ids_of
from tempme.retriever.retriever import Retriever
from tempme.scenes import Scene, draw, random_scene
from tempme.scenes.lively.labels import NOTHING, PLACES, label_of, patch_labels
from tempme.scenes.lively.stages import place_of
from tempme.scenes.world import COLOURS, SHAPES, TEXTURES
from tempme.systems.table import system
from tempme.training.losses import contrastive_loss
from tempme.training.task import LARGEST_LOGIT_SCALE

START, HEADS = "scenes-tiny", "heads.safetensors"
STAGES = ("pictures", "captions", "both")
PAIRS = {"pictures": 14, "captions": 48, "both": 24}  # scenes of a step, rivals beside them
RATES = {"pictures": 1e-3, "captions": 2e-3, "both": 8e-4}
PLOTS = {
    "pictures": ("where", "where", "which-place", "which-texture", "one-by-one", "leave-and-come"),
    "captions": ("where", "where", "which-place"),
}
TAPS = (4, 7)  # blocks whose patches tell what lies in them
POSITIONS = 15.0  # times as large as scenes-tiny has them
LOOKS = (len(COLOURS), len(SHAPES), len(TEXTURES))
WARMUP = 100
EVERY = 100


Numbers = npt.NDArray[np.int64]


class Questions(NamedTuple):
    """Frames (V, S, S, 3) with a caption each, and what is true of them.

    patches: (V, P, 4) `labels.Label` of every patch. places: (V, 9, 3) of every place that some
    patch shows. told: the same of what the caption tells.
    """

    frames: Tensor
    captions: list[str]
    patches: Tensor
    places: Tensor
    told: Tensor


class Heads(nn.Module):
    """Linear readers of what lies where; thrown away in the end."""

    def __init__(self, width: int, embed: int) -> None:
        super().__init__()
        bound = LOOKS[0] * len(PLACES), LOOKS[1] * len(PLACES), LOOKS[0] * LOOKS[1]
        self.kinds = (*LOOKS, *bound)  # of a patch: also what belongs together
        self.taps = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 1 + sum(self.kinds))) for _ in TAPS
        )
        self.place = nn.Linear(embed, len(PLACES) * (1 + sum(LOOKS)))

    def of_patches(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The loss of what one tap says of patches (V, P, 1 + kinds)."""
        colour, shape, texture, place = labels.unbind(-1)
        joint = (
            *(colour * len(PLACES) + place, shape * len(PLACES) + place),
            colour * LOOKS[1] + shape,
        )
        truth = (colour, shape, texture, *(one.where(colour != NOTHING, colour) for one in joint))
        return _presence(logits, colour) + _kinds(logits[..., 1:], truth, self.kinds)

    def of_places(self, features: Tensor, labels: Tensor, *, presence: bool) -> Tensor:
        """The loss of what features (V, D), not yet unit length, say of places."""
        logits = self.place(features).unflatten(-1, (len(PLACES), -1))
        looks = _kinds(logits[..., 1:], labels.unbind(-1), LOOKS)
        return looks + _presence(logits, labels[..., 0]) if presence else looks


def _presence(logits: Tensor, labels: Tensor) -> Tensor:
    return binary_cross_entropy_with_logits(logits[..., 0].float(), (labels != NOTHING).float())


def _kinds(logits: Tensor, truth: tuple[Tensor, ...], kinds: tuple[int, ...]) -> Tensor:
    """The sum of cross entropies, each over where there is an answer."""
    parts = logits.float().split(kinds, dim=-1)
    losses = []
    for part, right in zip(parts, truth, strict=True):
        is_known = right != NOTHING
        total = cross_entropy(part[is_known], right[is_known], reduction="sum")
        losses.append(total / is_known.sum().clamp(min=1))
    return torch.stack(losses).sum()


def questions(
    rng: random.Random, pairs: int, plots: tuple[str, ...], *, grid: int, is_drawn: bool = True
) -> Questions:
    """Scenes of the training split at random times, each beside its rival where it has one."""
    scenes: list[tuple[Scene, float]] = []
    for _ in range(pairs):
        scene, at = random_scene(rng, "lively", "train", (rng.choice(plots),)), rng.random()
        scenes.append((scene, at))
        if scene.rival is not None:
            scenes.append((scene.rival, at if rng.random() < 0.5 else rng.random()))
    captions = [rng.choice(scene.captions) for scene, _ in scenes]
    told = np.stack([_told(one, said) for (one, _), said in zip(scenes, captions, strict=True)])
    if not is_drawn:
        nothing = torch.empty(0)
        return Questions(nothing, captions, nothing, nothing, torch.from_numpy(told))
    patches = np.stack([patch_labels(scene, at, grid).reshape(-1, 4) for scene, at in scenes])
    return Questions(
        torch.from_numpy(np.stack([draw(scene, at) for scene, at in scenes])),
        captions,
        torch.from_numpy(patches),
        torch.from_numpy(np.stack([_places(of_one) for of_one in patches])),
        torch.from_numpy(told),
    )


def _places(patches: Numbers) -> Numbers:
    """(P, 4) labels of patches -> (9, 3) of the places that some patch shows."""
    places = np.full((len(PLACES), len(LOOKS)), NOTHING, np.int64)
    there = patches[patches[:, 0] != NOTHING]
    places[there[:, 3]] = there[:, :3]
    return places


def _told(scene: Scene, caption: str) -> Numbers:
    """(9, 3): of the two things that captions tell, what is at the places that this one names.

    Their texture is where it is named, too.
    """
    places = np.full((len(PLACES), len(LOOKS)), NOTHING, np.int64)
    for actor in scene.actors[:2]:
        place, thing = place_of(actor.track), actor.thing
        if f"at the {place}" in caption:
            label = label_of(thing, place)
            is_named = thing.texture != "plain" and thing.full_name in caption
            places[label.place] = (*label[:2], label.texture if is_named else NOTHING)
    return places


class Course:
    """A retriever that is trained from scenes-tiny, and its heads."""

    def __init__(self, seed: int) -> None:
        torch.manual_seed(seed)
        self.seed = seed
        sizes = backbone_of(START)
        self.retriever = Retriever.build(system("scratch", backbone=sizes), START, seed=seed)
        self.clip = self.retriever.backbone
        config = self.retriever.system.config
        self.grid = config.image_size // config.patch
        self.heads = Heads(config.width, config.embed)
        with torch.no_grad():
            self.clip.state_dict()["vision.position_embedding"].mul_(POSITIONS)

    def pictures(self, asked: Questions) -> Tensor:
        """The loss of the stage: patches and places of frames."""
        taps, features = self._seen(asked.frames)
        return self._of_patches(taps, asked) + self._of_places(features, asked)

    def captions(self, asked: Questions) -> Tensor:
        """The loss of the stage: places that captions name."""
        return self.heads.of_places(self._read(asked), asked.told, presence=False)

    def both(self, asked: Questions) -> Tensor:
        """The loss of the stage: all of these, and which caption is of which frame."""
        taps, features = self._seen(asked.frames)
        texts = self._read(asked)
        said = self.heads.of_places(texts, asked.told, presence=False)
        said_unit, seen_unit = (normalize(one.float(), dim=-1) for one in (texts, features))
        fits = contrastive_loss(said_unit, seen_unit, self.clip.logit_scale)
        return 0.3 * self._of_patches(taps, asked) + self._of_places(features, asked) + said + fits

    def learn(self, stage: str, steps: int) -> None:
        """Train what the stage trains; its batches are functions of seed, stage and step."""
        loss_of: Callable[[Questions], Tensor] = getattr(self, stage)
        reads_alone = stage == "captions"
        parts = [self.clip.text] if reads_alone else [self.clip, self.heads]
        weights = [weight for part in parts for weight in part.parameters()]
        for weight in weights:
            weight.requires_grad_(True)
        optimizer = torch.optim.AdamW(weights, RATES[stage], (0.9, 0.98), weight_decay=0.05)
        plots = PLOTS.get(stage, PLOTS["pictures"])
        self.retriever.train()
        for step in range(steps):
            rate = RATES[stage] * min(1, (step + 1) / WARMUP) * (1 + cos(pi * step / steps)) / 2
            optimizer.param_groups[0]["lr"] = rate
            rng = random.Random(f"{self.seed}/{stage}/{step}")
            batch = questions(rng, PAIRS[stage], plots, grid=self.grid, is_drawn=not reads_alone)
            with torch.autocast("cpu", torch.bfloat16):
                loss = loss_of(batch)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(weights, 5.0)
            optimizer.step()
            with torch.no_grad():
                self.clip.logit_scale.clamp_(max=LARGEST_LOGIT_SCALE)
            if step % EVERY == 0 or step == steps - 1:
                print(f"{stage} {step}: loss {loss.item():.3f}", flush=True)
        self.retriever.eval()

    def save(self, folder: Path) -> None:
        """The retriever, and its heads beside it."""
        self.retriever.save(folder / "retriever")
        save_file(self.heads.state_dict(), folder / HEADS)

    def take(self, folder: Path) -> None:
        """What `save` wrote."""
        state = Retriever.load(folder / "retriever").state_dict()
        self.retriever.load_state_dict(state)
        self.heads.load_state_dict(load_file(folder / HEADS))

    def _seen(self, frames: Tensor) -> tuple[list[Tensor], Tensor]:
        """What taps say of patches, and the features (V, D) of frames, not yet unit length."""
        vision = self.clip.vision
        tokens = vision.embed(self.retriever.transform(frames[:, None]))
        taps = []
        for number, layer in enumerate(vision.layers):
            tokens = layer(tokens)
            if number in TAPS:
                taps.append(self.heads.taps[TAPS.index(number)](tokens.x_CND[:, 1:]))
        return taps, vision.project(tokens)[:, 0]

    def _read(self, asked: Questions) -> Tensor:
        """Features (V, D) of captions, not yet unit length."""
        words = self.retriever.system.max_words
        ids = ids_of(asked.captions, self.retriever.tokenizer, self.clip.config, words=words)
        features: Tensor = self.clip.text(ids)
        return features

    def _of_patches(self, taps: list[Tensor], asked: Questions) -> Tensor:
        losses = [self.heads.of_patches(tap, asked.patches) for tap in taps]
        return torch.stack(losses).mean()

    def _of_places(self, features: Tensor, asked: Questions) -> Tensor:
        return self.heads.of_places(features, asked.places, presence=True)


def main() -> None:
    """Train the stages that are not there yet."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, nargs=3, default=(4000, 5000, 1200))
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    course = Course(given.seed)
    for stage, steps in zip(STAGES, given.steps, strict=True):
        folder = given.out / stage
        if (folder / HEADS).exists():
            course.take(folder)
            continue
        course.learn(stage, steps)
        course.save(folder)


if __name__ == "__main__":
    main()
