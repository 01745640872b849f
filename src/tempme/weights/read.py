"""Published CLIP weights, whatever their form, as one: OpenAI's names in fp32, and the sizes.

Where the activation comes from, in this order: what the caller says; the config file beside
the weights; a TorchScript archive, which only OpenAI publishes (quick_gelu); a known file
name; and for a bare file of tensors the habit of its family, said in `activation_source`:
gelu for OpenAI's names (open_clip's default), quick_gelu for transformers' (its default).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from torch import Tensor

from tempme.backbones.config import ClipConfig
from tempme.errors import BadSetting, BadWeights
from tempme.weights import published as hub
from tempme.weights.clip4clip import is_wrapped, sequence_head
from tempme.weights.configs import Statement, statement_beside
from tempme.weights.files import FOLDER_FILES, Contents, read_contents, tensors_of, weights_file
from tempme.weights.layouts import OPENAI_SCALARS, Layout, to_openai
from tempme.weights.sizes import check_complete, infer_config, resize_positions
from tempme.weights.words import check_words

ACTIVATIONS = ("quick_gelu", "gelu")
_ASSUMED = "assumed"
# Files that their publishers offer for download without a config: name -> activation.
_KNOWN_FILES = (
    (r"^ViT-[BL]-\d+(-336px)?\.pt$", "quick_gelu", "OpenAI's file names"),
    (r"^(b32|b16|l14)_(400m|fullcc2\.5b)\.pt$", "quick_gelu", "MetaCLIP's file names"),
    (r"^vit_[bl]_\d+-quickgelu-", "quick_gelu", "open_clip's file names"),
    (r"^vit_[bl]_\d+-(laion|datacomp|commonpool)", "gelu", "open_clip's file names"),
)


@dataclass(frozen=True)
class Weights:
    """A whole CLIP: tensors under OpenAI's names in fp32, its sizes, and where they are from.

    head: what CLIP4Clip's seqTransf has beside it, under our names; empty for all others.
    """

    state: dict[str, Tensor]
    config: ClipConfig
    origin: str
    layout: Layout
    activation_source: str
    head: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def activation_is_assumed(self) -> bool:
        """Whether nothing in or beside the weights says what their activation is."""
        return self.activation_source.startswith(_ASSUMED)

    @property
    def summary(self) -> str:
        """One line to print before use."""
        return (
            f"weights: {self.origin} ({self.layout} layout, {self.config.image_size} px); "
            f"activation {self.config.activation} ({self.activation_source})"
        )


def read_weights(
    source: str | Path | Mapping[str, object],
    *,
    activation: str | None = None,
    otherwise: str | None = None,
    image_size: int | None = None,
) -> Weights:
    """Weights from a file, a folder, a hub id `owner/name`, or a state dict.

    activation overrules what the weights say, `otherwise` is taken where nothing says. Positions
    are resized (bicubic) where `image_size` asks for it, which is logged. BadWeights says what a
    file lacks or is instead; NoNetwork, what can be given where the hub is out of reach.
    """
    if activation not in (None, *ACTIVATIONS):
        raise BadSetting(f"activation is {activation!r}; possible: {', '.join(ACTIVATIONS)}")
    if isinstance(source, Mapping):
        path, contents = None, Contents(tensors_of(source, "the given state dict"))
    else:
        path = _path(source)
        contents = read_contents(path)
    return _weights(contents, path, (activation, otherwise), image_size)


def read_published(
    backbone: str, tag: str, *, activation: str | None = None, image_size: int | None = None
) -> Weights:
    """Weights of the table `hub.PUBLISHED`, with the activation and pixel scale it names."""
    row = hub.published(backbone, tag)
    path = hub.fetch(backbone, tag)
    weights = read_weights(path, activation=activation or row.activation, image_size=image_size)
    source = "given by the caller" if activation else "table of published tags"
    config = replace(weights.config, mean=row.mean, std=row.std)
    origin = f"{backbone} {tag} ({row.repository})"
    return replace(weights, config=config, origin=origin, activation_source=source)


def _path(source: str | Path) -> Path:
    """The file to read, fetched where `source` is not a path but a hub id."""
    path = Path(source)
    if not path.exists() and isinstance(source, str) and hub.is_repository(source):
        path = hub.fetch_repository(source)
    if not path.exists():
        raise BadWeights(f"{path} does not exist; give a file, a folder or a hub id `owner/name`")
    return weights_file(path) if path.is_dir() else path


def _weights(
    contents: Contents,
    path: Path | None,
    activation: tuple[str | None, str | None],
    image_size: int | None,
) -> Weights:
    origin = str(path) if path else "the given state dict"
    state, layout = to_openai(contents.tensors, origin)
    stated = statement_beside(path, layout) if path else Statement()
    if path and path.name in FOLDER_FILES:  # else the folder may be that of another model
        check_words(path.parent)
    chosen, source = _activation(activation, stated, contents, path, layout)
    config = infer_config(state, origin, activation=chosen, stated=stated.sizes)
    check_complete(state, config, origin)
    if image_size not in (None, config.image_size):
        logging.getLogger("tempme").warning(
            "positions of %s, for %d pixels, are interpolated to %s pixels",
            *(origin, config.image_size, image_size),
        )
        config = replace(config, image_size=image_size)
        name = "visual.positional_embedding"
        state[name] = resize_positions(state[name], config.grid)
    return Weights(state, config, origin, layout, source, sequence_head(contents.tensors))


def _activation(
    wanted: tuple[str | None, str | None],
    stated: Statement,
    contents: Contents,
    path: Path | None,
    layout: Layout,
) -> tuple[str, str]:
    """The activation and where it is from; `wanted`: by all means, and where nothing says."""
    given, otherwise = wanted
    if given:
        return given, "given by the caller"
    if stated.activation:
        return stated.activation, stated.source
    if contents.is_script or contents.tensors.keys() & OPENAI_SCALARS:
        return "quick_gelu", "only OpenAI publishes such an archive"
    for pattern, known, source in _KNOWN_FILES:
        if path and re.search(pattern, path.name):
            return known, source
    if is_wrapped(contents.tensors) and layout == "openai":
        return "quick_gelu", "CLIP4Clip trains OpenAI's CLIP"
    if otherwise:
        return otherwise, "that of the system: nothing beside the weights says"
    family = "transformers" if layout == "transformers" else "open_clip"
    assumed = "quick_gelu" if family == "transformers" else "gelu"
    return assumed, f"{_ASSUMED}, the default of {family}: no config says; activation= overrides"
