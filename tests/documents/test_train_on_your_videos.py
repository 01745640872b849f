"""docs/train-on-your-videos.md works as it stands: its file and its four commands."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tempme.scenes import write

PAGE = Path(__file__).parents[2] / "docs" / "train-on-your-videos.md"
TEMPME = str(Path(sys.executable).with_name("tempme"))
# What is at hand without a network, and one epoch of it.
SMALL = shlex.split(
    "--set system.backbone=scenes-tiny --set system.weights=scenes-tiny --set recipe.epochs=1"
    " --set data.workers=1 --set system.frames=6"
)


def commands() -> list[list[str]]:
    return [
        shlex.split(line)[1:] for line in re.findall(r"^    (tempme .+)$", PAGE.read_text(), re.M)
    ]


def films(place: Path) -> None:
    """Thirty videos in two folders, and the table that the page shows."""
    rows = ["id;text;split"]
    for folder, split, count in (("beach", "train", 20), ("lake", "test", 10)):
        pairs = write(count, place / "films" / folder, size=64, fps=4, split=split)  # type: ignore[arg-type]
        one_each = {Path(pair.video): pair.caption for pair in pairs}
        rows += [f"{path.stem};{caption};{split}" for path, caption in one_each.items()]
    (place / "captions.csv").write_text("\n".join(rows))


@pytest.mark.slow
def test_thirty_videos_become_a_table_in_four_commands(tmp_path: Path) -> None:
    films(tmp_path)
    (toml,) = re.findall(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (tmp_path / "mine.toml").write_text(toml)
    said = []
    assert len(commands()) == 4
    for words in commands():
        more = SMALL if words[0] == "train" else []
        done = subprocess.run(
            [TEMPME, *words, *more], capture_output=True, text=True, check=False, cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr[-2000:]
        said.append(done)
    assert "N = 30 of 30 videos can be used" in said[0].stdout
    assert "20 captions of 20 videos are used" in said[1].stderr
    assert "10 captions of 10 videos are used" in said[1].stderr
    table = said[3].stdout
    for method, trained in (("tempme", said[1]), ("lora", said[2])):
        (row,) = [line for line in trained.stdout.splitlines() if line.startswith("| ")][2:]
        assert f"({method}) |" in table
        assert row.split("|")[2] in table, row
