"""The sizes of a CLIP model, and of the published backbones."""

from __future__ import annotations

from dataclasses import dataclass, fields

from tempme.errors import BadSetting

OPENAI_MEAN = (0.48145466, 0.4578275, 0.40821073)
OPENAI_STD = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True, slots=True)
class ClipConfig:
    """Every size of a two-tower CLIP; the defaults are OpenAI's ViT-B/32."""

    image_size: int = 224
    patch: int = 32
    width: int = 768
    layers: int = 12
    heads: int = 12
    text_width: int = 512
    text_layers: int = 12
    text_heads: int = 8
    embed: int = 512
    context: int = 77
    vocab: int = 49408
    activation: str = "quick_gelu"
    mean: tuple[float, float, float] = OPENAI_MEAN
    std: tuple[float, float, float] = OPENAI_STD

    def __post_init__(self) -> None:
        for one in fields(self):
            number = getattr(self, one.name)
            if isinstance(number, int) and number < 1:
                raise BadSetting(f"{one.name} is {number}; every size is 1 or more")
        if not min(self.std) > 0:
            raise BadSetting(f"std is {self.std}; pixels are divided by it, so above 0")
        if self.image_size % self.patch:
            raise BadSetting(
                f"image_size {self.image_size} is not a multiple of patch {self.patch}: "
                f"use {self.image_size // self.patch * self.patch or self.patch}"
            )
        if self.width % self.heads or self.text_width % self.text_heads:
            raise BadSetting("width must be a multiple of heads, in both towers")
        if self.activation not in ("quick_gelu", "gelu"):
            raise BadSetting(f"activation is {self.activation!r}; possible: quick_gelu, gelu")

    @property
    def grid(self) -> int:
        """Patches along one side of a frame."""
        return self.image_size // self.patch

    @property
    def class_tokens(self) -> int:
        """Tokens of one frame that are not patches, and that nothing removes."""
        return 1

    @property
    def tokens(self) -> int:
        """Tokens of one frame: the patches and the class token."""
        return self.grid**2 + self.class_tokens


DEFAULT_MODEL = "ViT-B/32:openai"  # where a person names no model: a backbone and its weights

BACKBONES: dict[str, ClipConfig] = {
    "ViT-B/32": ClipConfig(),
    "ViT-B/16": ClipConfig(patch=16),
    "ViT-L/14": ClipConfig(
        patch=14, width=1024, layers=24, heads=16, text_width=768, text_heads=12, embed=768
    ),
    "scenes-tiny": ClipConfig(  # 4.7 M numbers: 10 MB in half precision
        image_size=112,
        patch=16,
        width=160,
        heads=5,
        text_width=128,
        text_layers=4,
        text_heads=4,
        embed=128,
        context=32,
        activation="gelu",
    ),
}
