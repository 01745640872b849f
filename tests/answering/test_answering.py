"""Which answer a model finds likeliest, by both rules, and how often it is right."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tempme.answering.accuracy import accuracy, accuracy_by_type, answer_weights, type_of
from tempme.answering.ranking import Rule, rank_answers
from tempme.backbones.umt.answerer import UmtAnswerer
from tempme.backbones.umt.config import UmtConfig
from tempme.backbones.umt.wordpiece import WordPiece
from tempme.errors import BadSetting
from tempme.tokens import Tokens

ANSWERS = ["dog", "red ball", "red", "two dogs run"]
TOKENIZER = WordPiece.of_words([*ANSWERS, "what is it"], context=6)
SIZES = UmtConfig(
    image_size=32,
    width=16,
    layers=2,
    heads=2,
    text_width=16,
    text_layers=3,
    text_heads=2,
    fusion_from=2,
    decoder_layers=2,
    embed=8,
    context=6,
    vocab=TOKENIZER.vocab,
)


@pytest.fixture
def asked() -> tuple[UmtAnswerer, Tokens]:
    model = UmtAnswerer(SIZES).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    ids, mask = TOKENIZER(["what is it", "is it red"], max_words=6)
    with torch.no_grad():
        return model, model.ask(ids, mask, model.encode_videos(torch.randn(2, 3, 3, 32, 32)))


def by_hand(model: UmtAnswerer, questions: Tokens, answer: str) -> tuple[Tensor, Tensor]:
    """(Q,) log probabilities of the first word, and of the whole answer, word by word."""
    ids, _ = TOKENIZER([answer], max_words=6, end=True)
    words = ids[ids != 0]
    total, first = torch.zeros(len(questions.x_CND)), torch.zeros(0)
    for place in range(1, len(words)):
        before = words[:place].expand(len(total), -1)
        logits = model.decoder(before, torch.ones_like(before), questions)[:, -1]
        total = total + logits.log_softmax(dim=-1)[:, words[place]]
        first = total if place == 1 else first
    return first, total


@torch.no_grad()
@pytest.mark.parametrize("rule", ["whole", "official"])
def test_ranking_is_that_of_word_by_word(asked: tuple[UmtAnswerer, Tokens], rule: Rule) -> None:
    model, questions = asked
    ids, mask = TOKENIZER(ANSWERS, max_words=6, end=True)
    ranked = rank_answers(model.decoder, questions, ids, mask, rule=rule)
    scores = torch.stack(
        [
            whole + (first if rule == "official" else 0)
            for first, whole in (by_hand(model, questions, answer) for answer in ANSWERS)
        ],
        dim=1,
    )
    wanted = scores.softmax(dim=1).sort(dim=1, descending=True)
    assert torch.equal(ranked.ids, wanted.indices)
    torch.testing.assert_close(ranked.probabilities, wanted.values, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("k", [0, 5])
def test_k_out_of_range(asked: tuple[UmtAnswerer, Tokens], k: int) -> None:
    ids, mask = TOKENIZER(ANSWERS, max_words=6, end=True)
    with pytest.raises(BadSetting, match=f"k is {k}, but the list has 4 answers"):
        rank_answers(asked[0].decoder, asked[1], ids, mask, k=k)


def test_accuracy_by_type() -> None:
    right = {0: "dog", 1: "red", 2: "two", 3: "man"}
    given = {0: "dog", 1: "Red", 2: "two"}
    asked_for = {0: "what runs", 1: "What colour", 2: "how many", 3: "is it a man"}
    whole = accuracy(given, right)
    assert (whole.percent, whole.num_questions, whole.num_unanswered) == (50, 4, 1)
    types = accuracy_by_type(given, right, asked_for)
    assert {kind: one.percent for kind, one in types.items()} == {
        "what": 50,
        "how": 100,
        "other": 0,
    }
    assert type_of("") == "other"
    with pytest.raises(BadSetting, match="no questions"):
        accuracy({}, {})


def test_answers_of_several_people() -> None:
    assert answer_weights(["red", "blue", "red", "red"]) == {"red": 0.75, "blue": 0.25}
    with pytest.raises(BadSetting, match="no answer"):
        answer_weights([])
