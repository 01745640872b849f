"""Draw assets/merged.png: which patches of a generated scene end in one token (Figure 4).

python examples/draw_merged_patches.py assets/merged.png
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from PIL import Image

import tempme
from tempme.drawing.comparison import read_model, sides
from tempme.drawing.figure import Panel, draw, save
from tempme.scenes import scenes, write_video
from tempme.video import Failure, load


def main(out: Path) -> None:
    scene = scenes(2, part="temporal", split="test", seed=3)[0]
    model = read_model("scenes-tiny")
    pair = sides(("tome", "tempme"), model=model)
    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder) / "scene.mp4"
        caption = write_video(scene, video)[0].caption
        sample = load(video, frames=12, size=pair[0].retriever.image_size, sampling="exact")
    if isinstance(sample, Failure):
        raise SystemExit(sample.reason)
    panels = []
    for side in pair:
        way = tempme.trace(side.retriever, side.retriever.transform(sample.pixels)[None])
        panels.append(Panel.of(way, name=side.name, note=side.note))
    picture = draw(sample.pixels, panels, title=f'"{caption}"', seconds=sample.seconds)
    # 256 colours: a third of the bytes, and no difference to the eye.
    save(picture.quantize(256, dither=Image.Dither.NONE), out)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
