"""Models that answer: built of whatever a person has, saved, loaded, and refused with a reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tempme.answering.asking import answers_to
from tempme.backbones.layers import inner_state
from tempme.backbones.umt.answerer import UmtAnswerer
from tempme.backbones.umt.model import Umt
from tempme.backbones.umt.names import to_official
from tempme.compression import TempMe
from tempme.errors import BadSetting, BadWeights
from tempme.retriever.answerer import Answerer, is_answerer
from tempme.retriever.retriever import Retriever
from tempme.systems.table import system
from tempme.tuning import Full, LoRA
from tiny_systems import TINY
from tiny_umt import TINY_UMT, WORDS

SIZES = replace(TINY_UMT, image_size=48, layers=3, text_layers=3, fusion_from=1, decoder_layers=2)
ANSWERS = ("red", "blue", "to the left", "a dog")
ROWS = ("umt", "umt4clip", "umt4clip-tempme")


def made(name: str = "umt4clip-tempme", weights: Path | None = None) -> Answerer:
    row = system(name, backbone=SIZES, frames=4)
    words = WORDS if weights is None else None
    return Answerer.build(row, weights, ANSWERS, tokenizer=words, seed=0)


def frames() -> torch.Tensor:
    return torch.randn(2, 4, 3, 48, 48, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", ROWS)
def test_saved_and_loaded_again(name: str, tmp_path: Path) -> None:
    model = made(name)
    again = Answerer.load(model.save(tmp_path / "model"))
    assert (again.system, again.answers, again.tokenizer) == (model.system, ANSWERS, WORDS)
    asked = ["what colour is it", "a dog"]
    assert answers_to(again, frames(), asked) == answers_to(model, frames(), asked)
    assert is_answerer(tmp_path / "model")


def test_answers_are_ranked_by_probability() -> None:
    ranked = answers_to(made(), frames(), ["what colour is it", "a dog"])
    assert len(ranked) == 2
    for row in ranked:
        assert {one.answer for one in row} == set(ANSWERS)
        shares = [one.probability for one in row]
        assert shares == sorted(shares, reverse=True)
        assert sum(shares) == pytest.approx(1)
    few = answers_to(made(), frames(), ["what colour is it", "a dog"], k=2, rule="official")
    assert [len(row) for row in few] == [2, 2]


def test_frames_are_watched_where_nobody_has() -> None:
    model, asked = made(), ["what colour is it", "a dog"]
    with torch.no_grad():
        of_frames, of_tokens = model.ask(frames(), asked), model.ask(model.watch(frames()), asked)
    assert torch.equal(of_frames.x_CND, of_tokens.x_CND)


def test_several_questions_about_one_video() -> None:
    model, asked = made("umt"), ["a dog", "what colour is it", "blue cats"]
    together = answers_to(model, frames()[:1], asked)
    alone = [answers_to(model, frames()[:1], [one])[0] for one in asked]
    for one, other in zip(together, alone, strict=True):
        assert [a.answer for a in one] == [a.answer for a in other]


def test_a_retriever_is_what_it_begins_as(tmp_path: Path) -> None:
    row = system("umt", backbone=SIZES, frames=1)
    retriever = Retriever.build(row, None, tokenizer=WORDS, seed=4)
    model = made("umt4clip", retriever.save(tmp_path / "retriever"))
    own, theirs = model.backbone.state_dict(), retriever.backbone.state_dict()
    assert model.tokenizer == WORDS
    assert torch.equal(
        own["vision.layers.2.attn.qkv.weight"], theirs["vision.layers.2.attn.qkv.weight"]
    )
    assert torch.equal(own["text.layers.1.look.kv.weight"], theirs["text.layers.1.look.kv.weight"])
    for number in (0, 1):
        ours = {n: v for n, v in own.items() if n.startswith(f"decoder.layers.{number}.")}
        assert ours
        for name, value in ours.items():
            upper = name.replace(f"decoder.layers.{number}", f"text.layers.{1 + number}")
            assert torch.equal(value, theirs[upper])
    assert torch.equal(own["decoder.words.weight"], theirs["text.words.weight"])


@pytest.mark.parametrize("name", ROWS)
def test_an_answerer_is_what_it_begins_as(name: str, tmp_path: Path) -> None:
    row = replace(system("umt", backbone=SIZES, frames=1), tuning=LoRA())
    first = Answerer.build(row, None, ANSWERS, tokenizer=WORDS, seed=6)
    model = made(name, first.save(tmp_path / "first"))
    own, theirs = inner_state(model.backbone), inner_state(first.backbone)
    assert own.keys() == theirs.keys()
    assert all(torch.equal(own[place], theirs[place]) for place in own)
    assert model.tokenizer == WORDS
    assert model.num_frames == 4
    frame = frames()[:, :1]
    alone = Answerer.build(replace(row, tuning=Full()), tmp_path / "first", ANSWERS)
    assert [one[0].answer for one in answers_to(first, frame, ["a dog", "blue"])] == [
        one[0].answer for one in answers_to(alone, frame, ["a dog", "blue"])
    ]


def test_published_weights(tmp_path: Path) -> None:
    torch.manual_seed(5)
    state = to_official(UmtAnswerer(replace(SIZES, vocab=WORDS.vocab)).state_dict())
    file = tmp_path / "qa.safetensors"
    save_file({name: value.contiguous() for name, value in state.items()}, file)
    (tmp_path / "vocab.txt").write_text("\n".join(WORDS.vocabulary) + "\n", "utf-8")
    model = made("umt4clip-tempme", file)
    assert torch.equal(
        to_official(model.backbone.state_dict())["text_decoder.cls.predictions.bias"],
        state["text_decoder.cls.predictions.bias"],
    )
    assert answers_to(model, frames(), ["a dog", "a dog"])


def test_the_decoder_learns_whatever_the_tuning_is() -> None:
    row = replace(system("umt4clip", backbone=SIZES, frames=4), tuning=LoRA(), compression=TempMe())
    model = Answerer.build(row, None, ANSWERS, tokenizer=WORDS, seed=0)
    learning = {
        name.split(".")[0] for name, p in model.backbone.named_parameters() if p.requires_grad
    }
    assert "decoder" in learning
    assert all(
        "down" in n or "up" in n or n.startswith("decoder") or "clip_position" in n
        for n, p in model.backbone.named_parameters()
        if p.requires_grad
    )


def test_what_answers_no_questions(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="made for a CLIP, which answers no questions"):
        Answerer.build(system("lora", backbone=TINY), None, ANSWERS)
    with pytest.raises(BadWeights, match="is no saved answerer"):
        Answerer.load(tmp_path)
    retriever = Retriever.build(system("umt", backbone=SIZES), None, tokenizer=WORDS, seed=0)
    with pytest.raises(BadWeights, match="is a retriever, which finds videos"):
        Answerer.load(retriever.save(tmp_path / "retriever"))
    clip = Retriever.build(system("lora", backbone=TINY), None, seed=0).save(tmp_path / "clip")
    with pytest.raises(BadWeights, match="is a lora, and no UMT"):
        made("umt", clip)
    with pytest.raises(
        BadWeights, match="there is no file, saved answerer or saved retriever 'nothing'"
    ):
        made("umt", Path("nothing"))


@pytest.mark.parametrize("answers", [("red",), ("red", "red"), "red"])
def test_lists_that_are_none(answers: tuple[str, ...]) -> None:
    with pytest.raises(BadSetting, match="answers"):
        Answerer.build(system("umt", backbone=SIZES), None, answers, tokenizer=WORDS)


def test_damaged_folders(tmp_path: Path) -> None:
    folder = made().save(tmp_path / "model")
    (folder / "answers.json").write_text("[", "utf-8")
    with pytest.raises(BadWeights, match="is not a saved answerer"):
        Answerer.load(folder)
    made().save(folder)
    (folder / "weights.safetensors").write_bytes(b"x")
    with pytest.raises(BadWeights, match="is not a saved answerer"):
        Answerer.load(folder)
    other = Answerer.build(
        system("umt", backbone=replace(SIZES, width=64, text_width=64)), None, ANSWERS,
        tokenizer=WORDS, seed=0,
    )  # fmt: skip
    made().save(folder)
    other.save(tmp_path / "other")
    (folder / "weights.safetensors").write_bytes(
        (tmp_path / "other" / "weights.safetensors").read_bytes()
    )
    with pytest.raises(BadWeights, match="does not fit"):
        Answerer.load(folder)


def test_umt_is_the_same_kind_of_backbone() -> None:
    assert isinstance(made().backbone, UmtAnswerer)
    assert not isinstance(made().backbone, Umt)
