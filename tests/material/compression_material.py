"""EViT, DiffRate, STA and TESTA as the tests of compression have them."""

from __future__ import annotations

from hypothesis import settings

from tempme.compression import STA, TESTA, Compression, DiffRate, EViT

METHODS: dict[str, Compression] = {
    "evit": EViT(),
    "evit that drops": EViT(fuse=False),
    "diffrate": DiffRate(),
    "sta": STA(),
    "testa": TESTA(),
    "testa of frames": TESTA(r=0, merge_frames=3),
    "proportional testa": TESTA(proportional=True),
}
quick = settings(max_examples=40, deadline=None)
