"""UMT in `tempme systems` and `tempme show`: its own backbone, and pictures of what merges."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from index_material import write_video
from tempme.systems import table as zoo
from terminals import Terminal
from tiny_umt import TINY_UMT, tiny_umt


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(monkeypatch, capfd)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("films") / "film.mp4", ["red", "blue"], seconds=3)


@pytest.mark.slow
def test_rows_stand_on_a_backbone_of_their_own(run: Terminal) -> None:
    rows = {row["system"]: row for row in run("systems", "--json").document["systems"]}
    assert rows["umt"]["backbone"] == "UMT-B/16"
    assert rows["umt4clip-tempme"]["backbone"] == "UMT4Clip-B/16"
    assert rows["tempme"]["backbone"] == "ViT-B/32"
    assert round(rows["umt4clip-tempme"]["gflops_paper"], 1) == 111.5
    assert rows["umt4clip-tempme"]["pooling"] == "tokens"
    larger = run("systems", "--json", "--backbone", "UMT-L/16").document["systems"]
    assert {row["backbone"] for row in larger} == {"UMT-L/16", "UMT4Clip-L/16", "ViT-B/32"}
    assert "UMT4Clip-B/16" in run("systems").out


def test_the_schedule_of_the_paper(run: Terminal) -> None:
    for name, gflops in (("umt", 304.3), ("umt4clip", 210.1), ("umt4clip-tempme", 111.5)):
        assert f"({gflops} as the paper counts)" in run("show", name).out
    document = run("show", "umt4clip-tempme", "--backbone", "UMT-L/16", "--json").document
    assert document["backbone"] == "UMT4Clip-L/16"
    refused = run("show", "umt", "--backbone", "ViT-B/16").refusal
    assert "umt is a UMT, but ViT-B/16 is a CLIP" in refused
    assert "one clip from the start" in run("show", "tempme", "--backbone", "UMT-B/16").refusal


@pytest.mark.parametrize("name", zoo.UMT)
@pytest.mark.one_in(2)
def test_what_merges_is_drawn(run: Terminal, film: Path, tmp_path: Path, name: str) -> None:
    model = tiny_umt(name).save(tmp_path / "model")
    words = ("--video", film, "--out", tmp_path / "a.png", "--model", model, "--json")
    shown = run("show", name, *words)
    beside = [one["system"] for one in shown.document["systems"]]
    *_, ours = shown.document["systems"]
    assert beside[-1] == name
    assert ours["weights"] == "trained"
    patches = np.array(ours["assignment"])
    assert patches.shape == (12, TINY_UMT.tokens)  # no class token among them
    plan = tiny_umt(name).system.plan()
    assert ours["tokens"][-1] == plan[-1].clips_out * plan[-1].tokens_out
    assert len(np.unique(patches)) == ours["tokens"][-1]
    assert (tmp_path / "a.png").exists()


def test_what_is_needed_to_draw(run: Terminal, film: Path, tmp_path: Path) -> None:
    words = ("--video", film, "--out", tmp_path / "a.png")
    assert "no weights of UMT-B/16 can be fetched" in (
        run("show", "umt", *words, "--backbone", "UMT-B/16").refusal
    )
    assert "umt is a UMT, but scenes-tiny is a CLIP" in run("show", "umt", *words).refusal
