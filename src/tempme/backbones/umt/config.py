"""The sizes of a UMT model, and of the published ones."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from tempme.errors import BadSetting

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True, slots=True)
class UmtConfig:
    """Every size of a UMT; the defaults are those of the published UMT-B/16.

    joint: every patch sees the patches of all frames (UMT), or those of its own frame (UMT4Clip).
    frame_positions: patches are placed within their frame alone, rather than in the whole video.
    trained_frames: frames that the positions were learnt with: a video of another number takes them
        stretched along time. None computes them anew for every number of frames, as the original.
    fusion_from: the first text layer that looks at the video; those before it see words alone.
    decoder_layers: layers of the answer decoder, where a model answers questions.
    """

    image_size: int = 224
    patch: int = 16
    width: int = 768
    layers: int = 12
    heads: int = 12
    text_width: int = 768
    text_layers: int = 12
    text_heads: int = 12
    fusion_from: int = 9
    decoder_layers: int = 3
    embed: int = 512
    context: int = 512
    vocab: int = 30522
    joint: bool = True
    frame_positions: bool = False
    trained_frames: int | None = None
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD

    def __post_init__(self) -> None:
        for one in fields(self):
            number, least = getattr(self, one.name), int(one.name != "fusion_from")
            if type(number) is int and number < least:
                raise BadSetting(f"{one.name} is {number}; it is {least} or more")
        if not min(self.std) > 0:
            raise BadSetting(f"std is {self.std}; pixels are divided by it, so above 0")
        if self.image_size % self.patch:
            raise BadSetting(
                f"image_size {self.image_size} is not a multiple of patch {self.patch}: "
                f"use {self.image_size // self.patch * self.patch or self.patch}"
            )
        if self.width % self.heads or self.text_width % self.text_heads:
            raise BadSetting("width must be a multiple of heads, in both towers")
        if self.width % 2:
            raise BadSetting(f"width is {self.width}; positions are pairs of numbers, so even")
        if self.fusion_from >= self.text_layers:
            raise BadSetting(
                f"fusion_from is {self.fusion_from}, but the text layers are 0 to "
                f"{self.text_layers - 1}: one of them or more has to look at the video"
            )

    @property
    def grid(self) -> int:
        """Patches along one side of a frame."""
        return self.image_size // self.patch

    @property
    def class_tokens(self) -> int:
        """Tokens of one frame that are not patches: none."""
        return 0

    @property
    def tokens(self) -> int:
        """Tokens of one frame: its patches."""
        return self.grid**2


_LARGE = UmtConfig(
    width=1024,
    layers=24,
    heads=16,
    text_width=1024,
    text_layers=24,
    text_heads=16,
    fusion_from=19,
    decoder_layers=5,
)
# To be trained from scratch on generated scenes, on a CPU.
_SCENES = UmtConfig(
    image_size=80,
    width=96,
    layers=6,
    heads=3,
    text_width=96,
    text_layers=4,
    text_heads=3,
    fusion_from=2,
    decoder_layers=2,
    embed=64,
    context=32,
)
# The same weights, twice: all frames see each other, or each sees itself.
UMT_BACKBONES: dict[str, UmtConfig] = {
    "UMT-B/16": UmtConfig(),
    "UMT-L/16": _LARGE,
    "UMT4Clip-B/16": UmtConfig(joint=False),
    "UMT4Clip-L/16": replace(_LARGE, joint=False),
    "UMT-scenes": _SCENES,
    "UMT4Clip-scenes": replace(_SCENES, joint=False),
}
