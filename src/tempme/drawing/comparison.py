"""Systems side by side on the weights of one model, so that only what they do differs."""

from __future__ import annotations

from dataclasses import dataclass

from tempme.backbones.sizes import BACKBONES, Sizes, sizes_of
from tempme.backbones.umt.config import UmtConfig
from tempme.errors import BadSetting, UnknownName
from tempme.retriever.checkpoint import backbone_inside, build
from tempme.retriever.names import is_saved
from tempme.retriever.parts import Parts, untrained
from tempme.retriever.retriever import Retriever
from tempme.systems.budget import share_of_dense
from tempme.systems.system import System
from tempme.systems.table import SYSTEMS, system

DEFAULT = "scenes-tiny"
SIZES = ("image_size", "patch", "width", "layers")


@dataclass(frozen=True)
class Side:
    """A system with weights in it, and how it came by them."""

    retriever: Retriever
    note: str

    @property
    def name(self) -> str:
        """The name of the system."""
        return self.retriever.system.name


@dataclass(frozen=True)
class Model:
    """Weights that any system can be built on.

    source: what `tempme.load` takes. backbone: a published name where the sizes are its own,
    for the paper's settings. saved: the retriever, if the model is one.
    """

    source: str
    backbone: str | Sizes
    saved: Retriever | None

    def build(self, made: System, *, budget: float | None = None) -> Side:
        """The system on these weights: as trained if they were trained with it, else untrained.

        budget: the one that it was made within, if any; then what was trained at another cost is
        no answer.
        """
        if self.saved is not None and self.saved.system.name == made.name:
            own = self.saved.system.compression
            if budget is None or own == made.compression:
                return Side(self.saved, "trained")
        note = f"not trained, on the weights of {self.source}"
        if budget is not None:
            note = f"{100 * share_of_dense(made):.0f} % of the dense multiply-adds, {note}"
        return Side(Retriever(self._parts(made)).eval(), note)

    def _parts(self, made: System) -> Parts:
        if self.saved is not None:
            return untrained(made, backbone_inside(self.saved.parts, self.source), seed=0)
        backbone, _, tag = self.source.rpartition(":")
        return build(made, tag if backbone in BACKBONES else self.source, seed=0)


def read_model(source: str | None = None, *, backbone: str | None = None) -> Model:
    """The model that `source` names; the shipped one, or published weights of `backbone`, if none.

    BadSetting where the model has other sizes than the backbone.
    """
    if backbone not in (None, *BACKBONES):
        raise UnknownName.among("backbone", str(backbone), BACKBONES)
    if source is None and isinstance(sizes_of(backbone or DEFAULT), UmtConfig):
        raise BadSetting(
            f"no weights of {backbone} can be fetched: name a model that you have, by --model"
        )
    if source is None:
        source = f"{backbone}:openai" if backbone not in (None, DEFAULT) else DEFAULT
    given = Retriever.load(source)
    sizes = given.system.config
    if backbone is not None and not _is_size_of(sizes, backbone):
        told = ", ".join(f"{name} {getattr(sizes, name)}" for name in SIZES)
        raise BadSetting(
            f"the model {source} has {told}, which is no {backbone}: leave the backbone out, or "
            f"name a model of its size"
        )
    named = next((name for name in BACKBONES if _is_size_of(sizes, name)), None)
    return Model(source, named or sizes, given if is_saved(source) else None)


def sides(
    names: tuple[str, ...],
    *,
    model: Model,
    frames: int | None = None,
    budget: float | None = None,
) -> tuple[Side, ...]:
    """The systems on the weights of a model; those that compress alike come once, the last.

    frames: of a video; None is what the model was trained with, or 12. budget: each of them at
    most at this share of the dense multiply-adds; None is the settings of its row.
    """
    for name in names:
        if name not in SYSTEMS:
            raise UnknownName.among("system", name, SYSTEMS)
    saved = model.saved
    frames = frames or (12 if saved is None else saved.num_frames)
    if saved is not None and saved.system.name in names and frames != saved.num_frames:
        raise BadSetting(
            f"the model {model.source} sees {saved.num_frames} frames, not {frames}: leave the "
            f"number of frames out, or name a model trained with {frames}"
        )
    made = [system(name, backbone=model.backbone, frames=frames, budget=budget) for name in names]
    distinct = {repr(one.compression): one for one in made}
    shown = [one for one in made if distinct[repr(one.compression)] is one]
    return tuple(model.build(one, budget=budget) for one in shown)


def _is_size_of(sizes: Sizes, backbone: str) -> bool:
    known = BACKBONES[backbone]
    alike = all(getattr(sizes, name) == getattr(known, name) for name in SIZES)
    return alike and type(sizes) is type(known)
