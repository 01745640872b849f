"""TempMe: merge inside frames, then across neighbouring clips.

Shen et al., ICLR 2025, arXiv 2409.01156 (section 3.2; code: LunarShen/TempMe e624930). Before the
first join every block merges `r` tokens of a frame, as ToMe does (ImgMe). A block of `joins` makes
one clip of several neighbouring ones, merges across them by whole tokens until `keep_cross` of them
are left, attends over the joined clip, and merges inside it by keys until `keep_intra` are left
(ClipMe); later blocks go on inside. Clips that join learn where they stand: a position is added
after matching and before averaging. Class tokens never merge; the video is their mean. ViT-B/16
takes `r` 10, `keep_cross` 0.6 and `keep_intra` 0.8. 12 frames end in 97 tokens of ViT-B/32 (34.8
GFLOPs) and 127 of ViT-B/16 (121.4). Other numbers of frames have a plan, too, where the official
code has three; matching is in fp32, and among equals the first token wins.
"""

from __future__ import annotations

from dataclasses import dataclass

from tempme.compression.joining import Joining


@dataclass(frozen=True)
class TempMe(Joining):
    """The paper's compression; the defaults are those of ViT-B/32."""
