"""`train diffrate-rates`: rates are learnt on scenes or a folder, and make a system."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from drawn_videos import draw
from tempme.cli.verbs import app
from tempme.compression import DiffRate
from tempme.errors import BadSetting
from tempme.systems import table as zoo
from tempme.systems.system import System
from tempme.training import diffrate as rates

FEW = ("--steps", "3", "--batch", "2", "--learning-rate", "0.3")


def asked(*words: str) -> str:
    done = CliRunner().invoke(app, ["train", "diffrate-rates", *words], catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


@pytest.mark.slow
def test_rates_of_scenes_make_a_system(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "rates.toml"
    printed = asked("--target", "0.6", *FEW, "--out", str(out))
    assert tomllib.loads(printed) == tomllib.loads(out.read_text("utf-8"))
    found = tomllib.loads(printed)["system"]
    assert (found["name"], found["backbone"], found["frames"]) == ("diffrate", "scenes-tiny", 12)
    kept = {step: tuple(numbers) for step, numbers in found["compression"].items()}
    row = zoo.system("diffrate", backbone=found["backbone"], frames=found["frames"])
    system = System("learnt", row.tuning, DiffRate(**kept), backbone=found["backbone"])
    assert system.plan()[0].tokens_out == 50  # the first block keeps all
    assert system.plan()[-1].tokens_out == min(*kept["prune"], *kept["merge"])


@pytest.mark.slow
def test_rates_of_a_folder_as_json(tmp_path: Path) -> None:
    lines = []
    for number in range(3):
        draw(tmp_path / f"{number}.mp4", frames=24)
        lines.append(json.dumps({"file": f"{number}.mp4", "caption": f"video number {number}"}))
    (tmp_path / "captions.jsonl").write_text("\n".join(lines), "utf-8")
    printed = json.loads(asked("--target", "0.6", *FEW, "--videos", str(tmp_path), "--json"))
    kept = printed["system"]["compression"]
    assert len(kept["prune"]) == len(kept["merge"]) == 12
    assert printed["target"] == 0.6
    assert 0 < printed["share"] < 1


def test_a_compressed_model_gives_its_backbone() -> None:
    dense = rates.dense_model("scenes-tiny")
    assert dense.system.name == "lora"
    assert dense.image_size == 112
    assert rates.dense_gmacs(dense) == pytest.approx(0.18, abs=0.1)


@pytest.mark.parametrize("target", [0, 1, 1.5])
def test_targets_that_cannot_be(target: float) -> None:
    with pytest.raises(BadSetting, match="between 0 and 1"):
        rates.Learning(target)
    with pytest.raises(BadSetting, match="steps is 0"):
        rates.Learning(0.5, steps=0)
