"""`tempme show`: tables that add up for every system, and pictures of what merges in a video."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import tempme
from shown_models import SMALL
from tempme.cli.show import EXPLAINED, steps, table
from tempme.drawing.comparison import read_model, sides
from tempme.retriever.retriever import Retriever
from tempme.schedule import Step, total_tokens
from tempme.systems import table as zoo
from tempme.video import Reading, load
from terminals import Terminal

BOTH = pytest.mark.parametrize("backbone", ["ViT-B/32", "ViT-B/16"])


@BOTH
def test_every_table_adds_up(backbone: str) -> None:
    for name in zoo.SYSTEMS.keys() - zoo.UMT.keys():
        assert_adds_up(zoo.system(name, backbone=backbone).plan())


@pytest.mark.parametrize("backbone", ["UMT-B/16", "UMT-L/16"])
@pytest.mark.parametrize("name", zoo.UMT)
def test_every_table_of_umt_adds_up(name: str, backbone: str) -> None:
    assert_adds_up(zoo.system(name, backbone=backbone).plan())


def assert_adds_up(plan: tuple[Step, ...]) -> None:
    head, rows = table(plan)
    before = None
    for row, step in zip(rows, steps(plan), strict=True):
        cells = dict(zip(head, row, strict=True))
        count = {key: _number(cells.get(key, ".")) for key in (*head, *EXPLAINED)}
        clips, tokens = map(int, cells["clips x tokens"].split(" x "))
        join = int(cells["join"].removeprefix("x")) if cells["join"] != "." else 1
        if before is not None:
            assert (clips * join, tokens) == (before[0], before[1] * join)
        assert count["attended"] == tokens - count["cross"] - count["unseen"]
        assert count["tokens out"] == count["attended"] - count["intra"] - count["after"]
        if "pruned" in head:
            assert count["intra"] == count["merged"] + count["pruned"] - count["fused"]
        before = clips - count["merged clips"], count["tokens out"]
        assert before == (step["clips_out"], step["tokens_out"])
        assert step["intra"] == step["merged"] + step["pruned"] - step["fused"]
    assert before is not None
    assert before[0] * before[1] == total_tokens(plan)


def _number(cell: str) -> int:
    return int(cell) if cell.isdigit() else 0


@pytest.mark.parametrize(
    ("name", "extra"),
    [
        ("tempme", set()),
        ("clip4clip", set()),
        ("evit", {"pruned", "fused"}),
        ("diffrate", {"merged", "pruned"}),
        ("sta", {"after", "backward"}),
        ("testa", {"merged clips"}),
        ("earlytom", {"merged clips"}),
        ("evs", {"unseen", "apart"}),
        ("rlt-size", {"apart", "opens"}),
    ],
)
def test_columns_come_where_a_block_uses_them(show: Terminal, name: str, extra: set[str]) -> None:
    head, _ = table(zoo.system(name).plan())
    assert set(head) & set(EXPLAINED) == extra
    lines = show(name).out.splitlines()
    assert {line.partition(":")[0] for line in lines} & set(EXPLAINED) == extra
    assert lines[0].split() == " ".join(head).split()


def test_the_document_says_more_of_every_block(show: Terminal) -> None:
    document = show("evit", "--backbone", "ViT-B/32", "--json").document
    assert document["steps"][3] == {
        "block": 3,
        "clips": 12,
        "join": 1,
        "cross": 0,
        "intra": 13,
        "attended": 50,
        "tokens_out": 37,
        "merged": 0,
        "pruned": 14,
        "fused": 1,
        "after": 0,
        "backward": False,
        "merged_clips": 0,
        "clips_out": 12,
        "unseen": 0,
        "apart": 0,
        "opens": 0,
    }


def test_a_picture_of_the_shipped_model(show: Terminal, film: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "merged.png"
    ended = show("tempme", "--video", film, "--out", out)
    assert ended.code == 0, ended.err
    tome, ours, place = ended.out.splitlines()
    assert tome.startswith("tome (not trained, on the weights of scenes-tiny): 312 tokens")
    assert ours.startswith("tempme (trained): 97 tokens, 85 of patches")
    assert place == f"picture: {out}"
    with Image.open(out) as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 900


@pytest.mark.slow
def test_the_document_of_a_picture_holds_the_assignment(
    show: Terminal, film: Path, tmp_path: Path
) -> None:
    out = tmp_path / "merged.png"
    document = show("tempme", "--video", film, "--out", out, "--json").document
    assert list(document) == ["video", "picture", "model", "seconds", "block", "systems"]
    tome, ours = document["systems"]
    assert (tome["system"], ours["system"]) == ("tome", "tempme")
    plan = zoo.system("tempme").plan()
    assert ours["tokens"] == [600, *(step.clips_out * step.tokens_out for step in plan)]
    retriever = tempme.load("scenes-tiny")
    sample = load(film, Reading(frames=12, size=112, sampling="exact"))
    way = tempme.trace(retriever, retriever.transform(sample.pixels)[None])
    assert ours["assignment"] == way.by_frame()[0].tolist()
    assert len(document["seconds"]) == len(ours["assignment"]) == 12


def test_a_saved_model_is_drawn_as_it_was_trained(
    show: Terminal, film: Path, trained: Path, tmp_path: Path
) -> None:
    words = ("--video", film, "--out", tmp_path / "a.png", "--model", trained, "--json")
    tome, ours = show("tempme", *words).document["systems"]
    plan = tempme.load(trained).system.plan()
    assert ours["weights"] == "trained"
    assert ours["tokens"][1:] == [step.clips_out * step.tokens_out for step in plan]
    assert tome["weights"] == f"not trained, on the weights of {trained}"
    assert np.shape(tome["assignment"]) == (6, 16)
    early = show("tempme", *words, "--block", 0).document
    assert early["block"] == 0
    assert len({n for row in early["systems"][1]["assignment"] for n in row}) == 6 * 14


@pytest.mark.parametrize("name", ["clip4clip", "evit", "sta", "diffrate", "testa", "vop-f", "dgl"])
@pytest.mark.one_in(3)
def test_systems_of_all_kinds_are_drawn(
    show: Terminal, film: Path, trained: Path, tmp_path: Path, name: str
) -> None:
    words = ("--video", film, "--out", tmp_path / "a.png", "--model", trained, "--json")
    *_, shown = show(name, *words).document["systems"]
    assert shown["system"] == name
    patches = np.array(shown["assignment"])
    dropped = bool((patches < 0).any())
    assert dropped is (name in ("sta", "diffrate"))
    if name == "clip4clip":
        assert len(np.unique(patches)) == patches.size


def test_tome_alone_is_drawn_once(
    show: Terminal, film: Path, trained: Path, tmp_path: Path
) -> None:
    words = ("--video", film, "--out", tmp_path / "a.png", "--model", trained, "--json")
    assert [one["system"] for one in show("tome-full", *words).document["systems"]] == ["tome-full"]


def test_a_changed_backbone_is_drawn_without_tome(
    show: Terminal, film: Path, tmp_path: Path
) -> None:
    made = Retriever.build(zoo.system("adapter-tempme", backbone=SMALL, frames=6), None, seed=0)
    made.save(tmp_path / "model", whole=True)
    words = ("--video", film, "--out", tmp_path / "a.png", "--model", tmp_path / "model")
    ended = show("adapter-tempme", *words)
    assert ended.err.startswith("without tome: the backbone of")
    assert ended.out.startswith("adapter-tempme (trained): ")
    assert "changed by its tuning" in show("tome", *words).refusal


def test_other_systems_take_the_weights_before_training(trained: Path) -> None:
    model = read_model(str(trained))
    assert model.saved is not None
    (ours,) = sides(("tempme",), model=model)
    assert ours.retriever is model.saved
    untrained = sides(("tome", "lora"), model=model, frames=5)
    assert [side.retriever.num_frames for side in untrained] == [5, 5]
    plain = model.saved.backbone.vision
    for side in untrained:
        vision = side.retriever.backbone.vision
        torch.testing.assert_close(vision.class_embedding, plain.class_embedding)


def refusals() -> list[tuple[tuple[str, ...], str]]:
    picture = ("--video", "FILM", "--out", "OUT")
    return [
        (("tempme", "--video", "FILM"), "add --out merged.png"),
        (("tempme", "--out", "OUT"), "--out is for a picture"),
        (("tempme", "--model", "scenes-tiny"), "--model is for a picture"),
        (("tempme", "--block", "3"), "--block is for a picture"),
        (("tempme", "--video", "FILM", "--out", "a.svg"), "its name has to end in .png"),
        (("tempme", "--video", "nowhere.mp4", "--out", "OUT"), "nowhere.mp4: no such file"),
        (("tempme", "--video", "TEXT", "--out", "OUT"), "notes.mp4: not a video"),
        (("tempme", "--video", "FILM", "--out", "FILM/a.png"), "film.mp4 is a file, not a folder"),
        (("tempmee", *picture), "did you mean 'tempme'"),
        (("tempme", *picture, "--model", "TEXT"), "notes.mp4"),
        (("tempme", *picture, "--backbone", "ViT-B/31"), "did you mean 'ViT-B/32'"),
        (("tempme", *picture, "--backbone", "ViT-B/32", "--model", "SMALL"), "is no ViT-B/32"),
        (("tempme", *picture, "--frames", "12", "--model", "SMALL"), "sees 6 frames, not 12"),
        (("tempme", *picture, "--block", "12", "--model", "SMALL"), "blocks of the model are 0 to"),
    ]


@pytest.mark.parametrize(("words", "told"), refusals())
def test_what_cannot_be_drawn_is_refused_in_one_line(
    show: Terminal, film: Path, trained: Path, tmp_path: Path, words: tuple[str, ...], told: str
) -> None:
    (tmp_path / "notes.mp4").write_text("no video, no weights")
    stands_for = {
        "FILM": film,
        "FILM/a.png": film / "a.png",
        "OUT": tmp_path / "a.png",
        "TEXT": tmp_path / "notes.mp4",
        "SMALL": trained,
    }
    assert told in show(*(stands_for.get(word, word) for word in words)).refusal
    assert not (tmp_path / "a.png").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_is_refused(
    show: Terminal, film: Path, trained: Path, tmp_path: Path
) -> None:
    tmp_path.chmod(0o500)
    words = ("--video", film, "--out", tmp_path / "a.png", "--model", trained)
    assert "permission denied" in show("tempme", *words).refusal
