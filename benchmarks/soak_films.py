"""Films for the soak: small generated scenes on disk, and what people do to them meanwhile."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from pathlib import Path

from tempme.scenes.recording import write_video
from tempme.scenes.scene import Scene, scenes

MODEL = str(Path(__file__).parents[1] / "src" / "tempme" / "models" / "scenes-tiny")
TEMPME = (sys.executable, "-c", "import tempme.cli; tempme.cli.main()")
QUERY = "a red circle to the left of a blue square"


def start(*words: object) -> subprocess.Popen[str]:
    """A command of tempme in a session of its own."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([*TEMPME, *map(str, words)], text=True, start_new_session=True, **pipes)


def film(path: Path, chance: random.Random) -> Path:
    """A film of one to three scenes."""
    pool: tuple[Scene, ...] = scenes(40, part="static", split="test", seed=chance.randrange(10**6))
    write_video(chance.sample(pool, chance.randint(1, 3)), path, size=64, fps=6, codec="mpeg4")
    return path


def films(folder: Path, number: int, chance: random.Random) -> Path:
    """So many films, and three files that are none."""
    folder.mkdir(parents=True)
    for i in range(number):
        film(folder / f"{i:03d}.avi", chance)
    for i in range(3):
        (folder / f"bad {i}.avi").write_bytes(chance.randbytes(3000))
    return folder


def disturb(folder: Path, chance: random.Random) -> None:
    """One film comes, one changes, one gets another name, one is copied, one goes."""
    present = sorted(folder.iterdir())
    film(folder / f"new {chance.random()}.avi", chance)
    film(chance.choice(present), chance)
    chance.choice(present).rename(folder / f"renamed {chance.random()}.avi")
    name = folder / f"copy {chance.random()}.avi"
    shutil.copy(chance.choice(sorted(folder.iterdir())), name)
    chance.choice(sorted(folder.iterdir())).unlink()


def damaged(content: bytes, chance: random.Random) -> tuple[str, bytes]:
    """The content after one accident, and what it was."""
    kind = chance.choice(("bit", "bit", "bit", "cut", "zeros", "noise"))
    place = chance.randrange(max(1, len(content)))
    spoiled = bytearray(content)
    if kind == "cut" or not content:
        return "cut", content[:place]
    if kind == "bit":
        spoiled[place] ^= 1 << chance.randrange(8)
        return kind, bytes(spoiled)
    length = min(len(content) - place, chance.randint(1, 4096))
    filling = bytes(length) if kind == "zeros" else chance.randbytes(length)
    spoiled[place : place + length] = filling
    return kind, bytes(spoiled)
