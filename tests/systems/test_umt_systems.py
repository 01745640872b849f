"""Rows of UMT: whole, frame by frame, merged; with every tuning and compression, or refused."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

import tempme
from counted import of_a_video
from learning import moved
from tempme.backbones.umt.model import Umt
from tempme.backbones.umt.names import to_official
from tempme.backbones.umt.vision import UmtVision
from tempme.compression import COMPRESSIONS, Compression, TempMe, ToMe
from tempme.errors import BadSetting, BadWeights
from tempme.pooling import FirstPooling, MeanPooling, TokenPooling
from tempme.retriever.published_umt import umt_of
from tempme.retriever.retriever import Retriever
from tempme.retriever.tracing import trace
from tempme.schedule import total_tokens
from tempme.systems import table as zoo
from tempme.systems.system import System
from tempme.training.begun import begin, frozen_layers
from tempme.training.losses import contrastive_loss
from tempme.tuning import RAP, TUNINGS, LoRA, Tuning
from tiny_systems import TINY
from tiny_umt import TINY_UMT, WORDS, tiny_umt, umt_videos

every_row = pytest.mark.parametrize("name", zoo.UMT)
APART = replace(TINY_UMT, joint=False)
VOCABULARY = "vocab.txt"
TUNED: dict[str, Tuning] = {name: made() for name, made in TUNINGS.items()} | {
    "rap without looking around": RAP(warped=0)
}
# What cannot meet a UMT, and why: the reason is what the message has to name.
OF_CLIP = {
    "plevu": "needs the place where words become rows",
    "vop": "needs places for prompts",
    "dgl": "needs a feature read off tokens",
    "dgl-transformer": "needs a feature read off tokens",
    "mv-adapter": "needs class tokens",
}
OF_CLASS_TOKEN = {"evit": "no class token", "diffrate": "no class token"}
OF_FRAMES = {
    "tempme": "TempMe joins neighbouring frames, but .* one clip",
    "testa": "TESTA merges whole frames, but .* one clip",
    "sta": "STA walks from frame to frame, but .* one clip",
    "aligned": "Aligned joins neighbouring frames, but .* one clip",
    "average": "Average joins neighbouring frames, but .* one clip",
    "evs": "EVS joins neighbouring frames, but .* one clip",
    "rlt": "RLT joins neighbouring frames, but .* one clip",
    "earlytom": "EarlyTom merges whole frames, but .* one clip",
}


def refused(joint: bool, tuning: str, compression: str) -> str | None:
    if tuning in OF_CLIP:
        return OF_CLIP[tuning]
    if joint and compression in OF_FRAMES:
        return OF_FRAMES[compression]
    if compression in OF_CLASS_TOKEN:
        return OF_CLASS_TOKEN[compression]
    if tuning == "rap":
        return "needs the class token"
    if tuning.startswith("rap"):
        if joint:
            return "rap scales and shifts every frame"
        meets = compression in OF_FRAMES and compression != "sta"
        return "joins or merges frames" if meets else None
    return None


def together(joint: bool, tuning: str, compression: str) -> System:
    made: Compression = COMPRESSIONS[compression]()
    sizes = replace(TINY_UMT, joint=joint)
    fitted = TUNED[tuning].fitted(sizes)
    return System(f"{tuning}-{compression}", fitted, made, TokenPooling(), sizes, 12, 12)


PRODUCT = list(product([True, False], TUNED, COMPRESSIONS))
WORKING = [one for one in PRODUCT if refused(*one) is None]
REFUSED = [one for one in PRODUCT if refused(*one) is not None]


def ids() -> Tensor:
    return torch.tensor([[2, 5, 6, 7, 8], [2, 9, 0, 0, 0]])


@pytest.mark.parametrize("tuning", sorted({tuning for _, tuning, _ in REFUSED}))
def test_what_cannot_meet_is_refused_with_the_reason(tuning: str) -> None:
    for joint, _, compression in (one for one in REFUSED if one[1] == tuning):
        with pytest.raises(BadSetting, match=refused(joint, tuning, compression)):
            together(joint, tuning, compression)


@pytest.mark.one_in(24)
@pytest.mark.parametrize(("joint", "tuning", "compression"), WORKING)
def test_all_others_run_learn_and_cost_what_they_state(
    joint: bool, tuning: str, compression: str
) -> None:
    system = together(joint, tuning, compression)
    retriever = moved(Retriever.build(system, None, seed=0), by=0.02)
    retriever.train(compression == "dtem")  # which learns by a relaxation
    videos = retriever.encode_videos(umt_videos())
    texts = retriever.encode_texts(ids())
    torch.testing.assert_close(videos.detach().norm(dim=1), torch.ones(2))
    contrastive_loss(texts, videos, retriever.backbone.logit_scale).backward()
    learning = [p for p in retriever.parameters() if p.requires_grad]
    assert sum(p.numel() for p in learning) == system.trainable_parameters()
    of_vision = [p for p in retriever.backbone.vision.parameters() if p.requires_grad]
    assert of_vision
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in of_vision)
    assert of_a_video(system) == round(1e9 * system.cost().gmacs)
    way = trace(retriever.eval(), umt_videos())
    assert list(way.tokens) == [s.clips_out * s.tokens_out for s in system.plan()]
    if not system.compression.drops_patches:
        assert way.sizes().sum(dim=1).eq(12 * TINY_UMT.tokens).all()


@every_row
@torch.no_grad()
def test_saved_and_loaded_again(name: str, tmp_path: Path) -> None:
    retriever = tiny_umt(name)
    again = tempme.load(retriever.save(tmp_path / name))
    assert again.system == retriever.system
    assert again.tokenizer == retriever.tokenizer
    assert again.fingerprint == retriever.fingerprint
    given = umt_videos()
    assert torch.equal(again.encode_videos(given), retriever.encode_videos(given))
    assert torch.equal(again.encode_texts(["a red dog"]), retriever.encode_texts(["a red dog"]))


def test_every_way_of_seeing_frames_has_its_own_fingerprint() -> None:
    assert len({tiny_umt(name).fingerprint.rpartition("-")[2] for name in zoo.UMT}) == len(zoo.UMT)
    assert {tiny_umt(name).fingerprints[1] for name in zoo.UMT} == {""}  # there were none then


@every_row
@torch.no_grad()
def test_windows_are_videos(name: str) -> None:
    retriever, frames = tiny_umt(name), umt_videos(1, frames=20)[0]
    windows = torch.stack([torch.arange(12), torch.arange(8, 20), torch.arange(12).flip(0)])
    shared = retriever.encode_windows(frames, windows)
    torch.testing.assert_close(shared, retriever.encode_videos(frames[windows]), atol=1e-6, rtol=0)
    assert not torch.allclose(shared[0], shared[2])  # where a frame stands is part of it


@torch.no_grad()
def test_frames_are_shared_where_they_are_the_same_everywhere() -> None:
    sizes = replace(APART, frame_positions=True)
    row = System("x", LoRA(), TempMe(), TokenPooling(), sizes, 12, 12)
    retriever, frames = Retriever.build(row, None, seed=0), umt_videos(1, frames=20)[0]
    assert retriever.backbone.vision.shares_frames
    windows = torch.stack([torch.arange(12), torch.arange(8, 20)])
    shared = retriever.encode_windows(frames, windows)
    torch.testing.assert_close(shared, retriever.encode_videos(frames[windows]), atol=1e-6, rtol=0)


@every_row
@torch.no_grad()
def test_frames_that_do_not_count_change_nothing_that_is_read(name: str) -> None:
    retriever, given = tiny_umt(name), umt_videos()
    mask = torch.ones(2, 12)
    torch.testing.assert_close(
        retriever.encode_videos(given, mask), retriever.encode_videos(given), atol=1e-6, rtol=0
    )
    mask[:, 6:] = 0
    masked = retriever.encode_videos(given, mask)
    assert not torch.allclose(masked, retriever.encode_videos(given))
    assert torch.equal(retriever.encode_videos(given, 0 * mask), torch.zeros(2, 16))


@every_row
@torch.no_grad()
def test_folding_changes_nothing(name: str) -> None:
    row = replace(zoo.system(name, backbone=TINY_UMT), tuning=LoRA())
    retriever = moved(Retriever.build(row, None, seed=0))
    ready, given = retriever.for_inference("fp32"), umt_videos()
    close = {"atol": 2e-6, "rtol": 0}
    torch.testing.assert_close(ready.encode_videos(given), retriever.encode_videos(given), **close)
    torch.testing.assert_close(ready.encode_texts(ids()), retriever.encode_texts(ids()), **close)


@torch.no_grad()
def test_pooling_is_of_clips_or_of_the_whole_video() -> None:
    row = zoo.system("umt4clip", backbone=TINY_UMT)
    whole = replace(row, pooling=TokenPooling(whole_video=True))
    found = [Retriever.build(one, None, seed=0).encode_videos(umt_videos()) for one in (row, whole)]
    assert not torch.allclose(*found)
    mean = replace(row, pooling=MeanPooling())
    same = Retriever.build(mean, None, seed=0).encode_videos(umt_videos())
    torch.testing.assert_close(same, found[0])
    assert of_a_video(whole) == round(1e9 * whole.cost().gmacs)


def test_poolings_that_read_what_is_not_there() -> None:
    with pytest.raises(BadSetting, match=r"pooling is first, .*choose tokens or mean"):
        replace(zoo.system("umt", backbone=TINY_UMT), pooling=FirstPooling())
    with pytest.raises(BadSetting, match=r"pooling is tokens, .*choose mean"):
        replace(zoo.system("tempme", backbone=TINY), pooling=TokenPooling())


def test_rows_take_their_own_kind() -> None:
    with pytest.raises(BadSetting, match="umt4clip is a UMT, but ViT-B/32 is a CLIP"):
        tempme.system("umt4clip", backbone="ViT-B/32")
    assert tempme.system("umt4clip", backbone="UMT-B/16").backbone == "UMT4Clip-B/16"
    assert tempme.system("umt", backbone="UMT4Clip-L/16").backbone == "UMT-L/16"
    large = tempme.system("tempme", backbone="UMT4Clip-B/16")
    assert total_tokens(large.plan()) == 125
    assert large.pooling == TokenPooling()
    assert tempme.system("umt4clip-tempme", backbone=TINY_UMT).compression == TempMe()
    assert tempme.system("umt4clip-tome", backbone=TINY_UMT).compression == ToMe()


def published(folder: Path, layout: str = "retrieval") -> Path:
    """A small file as UMT's authors publish them, and the vocabulary beside it."""
    torch.manual_seed(5)
    state = to_official(Umt(TINY_UMT).state_dict())
    if layout == "nested":
        torch.save({"model": state, "epoch": 3}, folder / "ret_b16.pth")
    else:
        save_file({k: v.contiguous() for k, v in state.items()}, folder / "ret_b16.pth")
    pieces = [*WORDS.vocabulary, *(f"word{i}" for i in range(64 - WORDS.vocab))]
    (folder / VOCABULARY).write_text("\n".join(pieces) + "\n", "utf-8")
    return folder / "ret_b16.pth"


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["retrieval", "nested"])
@torch.no_grad()
def test_published_weights_make_every_row(tmp_path: Path, layout: str) -> None:
    file = published(tmp_path, layout)
    rows = [Retriever.build(zoo.system(name, backbone=TINY_UMT), file, seed=0) for name in zoo.UMT]
    for retriever in rows:
        assert retriever.encode_videos(umt_videos()).shape == (2, TINY_UMT.embed)
        assert retriever.tokenizer.vocabulary[: WORDS.vocab] == WORDS.vocabulary  # type: ignore[union-attr]
    whole, apart = rows[0].backbone.state_dict(), rows[1].backbone.state_dict()
    assert whole.keys() == apart.keys()
    assert all(torch.equal(whole[name], apart[name]) for name in whole)


def test_plain_weights_of_umt_are_known_by_their_names(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    retriever = tempme.load(published(tmp_path))
    assert retriever.system.name == "umt"
    assert retriever.image_size == 224
    assert "is untrained" not in caplog.text or "umt" in caplog.text


def test_published_weights_are_seen_as_the_system_says(tmp_path: Path) -> None:
    """Heads, the size of frames and how their colours are scaled are in no file."""
    sizes = replace(TINY_UMT, joint=False, mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))
    assert umt_of(published(tmp_path), sizes, None).backbone.config == sizes


def test_weights_without_words(tmp_path: Path) -> None:
    file = published(tmp_path)
    (tmp_path / VOCABULARY).unlink()
    with pytest.raises(BadWeights, match=r"holds no words: put vocab.txt"):
        tempme.load(file)
    row = zoo.system("umt", backbone=TINY_UMT)
    assert Retriever.build(row, file, tokenizer=WORDS).tokenizer == WORDS
    with pytest.raises(BadWeights, match="there is no file 'openai': weights of UMT have no tag"):
        Retriever.build(row, "openai")


@torch.no_grad()
def test_a_saved_umt_is_a_backbone_for_other_rows(tmp_path: Path) -> None:
    saved = tiny_umt("umt").save(tmp_path / "umt")
    for name in ("umt4clip", "umt4clip-tempme"):
        made = Retriever.build(zoo.system(name, backbone=TINY_UMT), saved, seed=0)
        assert made.tokenizer == WORDS
        words = made.encode_texts(["a red dog"])
        torch.testing.assert_close(words, tiny_umt("umt").encode_texts(["a red dog"]))


def test_nothing_is_computed_once_where_places_differ() -> None:
    retriever = tiny_umt("umt4clip")
    assert frozen_layers(retriever) == 0
    with pytest.raises(BadSetting, match="another one at every place"):
        begin(retriever, umt_videos())


def test_the_tower_is_that_of_the_system() -> None:
    assert isinstance(tiny_umt("umt").backbone.vision, UmtVision)
    assert tiny_umt("umt").backbone.vision.frame_layers == 0
    assert tiny_umt("umt4clip").backbone.vision.frame_layers == 12
    assert tiny_umt("umt4clip-tempme").backbone.vision.frame_layers == 8
