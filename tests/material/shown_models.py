"""The sizes of models of which pictures are drawn."""

from __future__ import annotations

from tempme.backbones.config import ClipConfig

SMALL = ClipConfig(image_size=32, patch=8, width=32, heads=2, text_width=32, text_heads=2, embed=16)
