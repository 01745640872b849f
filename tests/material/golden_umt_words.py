"""Words of UMT: alone, looking at a video, asking and answering."""

from __future__ import annotations

import re

import pytest
import torch

from golden_umt import (
    GoldenUmt,
    seen_by,
)
from golden_umt_near import LOSS, TOKENS, check_gradients, near, near_facts, near_number
from tempme.answering.accuracy import accuracy, answer_weights
from tempme.answering.ranking import candidate_losses, first_words, rank_answers
from tempme.backbones.umt.answerer import UmtAnswerer
from tempme.backbones.umt.bert import hidden_bias
from tempme.backbones.umt.vision import log_sizes, seen
from tempme.backbones.umt.wordpiece import clean
from tempme.tokens import Tokens
from tempme.training.questions import answering_loss


@torch.no_grad()
def check_words_alone(golden: GoldenUmt) -> None:
    text, expected, facts = golden.umt().text, golden.tensors("b_text"), golden.facts("b_text")
    words = text.embed(golden.inputs["text_ids"], golden.inputs["text_mask"])
    near(words.x_CND, expected["text.embeddings"])
    near(text.embed(golden.inputs["text_ids"]).x_CND, expected["text.embeddings"])
    states = [words]
    for layer in text.layers[: text.fusion_from]:
        states.append(layer(states[-1]))
    assert len(states) == len(facts["text_layers"])
    for state, fact in zip(states, facts["text_layers"], strict=True):
        near_facts(state.x_CND, fact)
    near(states[1].x_CND, expected["text.layer1"])
    near(text.read(words).x_CND, expected["text.last"])
    near(states[-1].x_CND[:, 0], expected["text.pooled"])
    near(text(golden.inputs["text_ids"]), expected["text.proj"])


def check_words_of_captions(golden: GoldenUmt) -> None:
    config, ids = golden.config, golden.inputs["text_ids"]
    assert [clean(text) for text in config["raw_texts"]] == config["texts"]
    ours, mask = golden.tokenizer(config["raw_texts"], max_words=golden.sizes["max_txt_l"])
    assert torch.equal(ours, ids)
    assert torch.equal(mask, golden.inputs["text_mask"])
    rows = zip(ours, mask.bool(), strict=True)
    strings = [[config["vocab"][number] for number in row[seen]] for row, seen in rows]
    assert strings == config["token_strings"]


@torch.no_grad()
def check_words_look_at_videos(golden: GoldenUmt, variant: str) -> None:
    model, expected, facts = golden.umt(variant), golden.tensors("b_text"), golden.facts("b_text")
    batch = len(golden.videos)
    videos, words = seen_by(golden, variant), golden.words(model, slice(batch))
    fused = model.text.fuse(words, seen(videos)).x_CND
    near(fused, expected[f"fusion.{variant}.last"])
    near_facts(fused, facts[f"fusion.{variant}"])
    near(model.match(words, videos), expected[f"fusion.{variant}.itm_logits"])
    near(model.vision.project(videos), expected[f"vision_proj.{variant}"])
    if f"multimodal.{variant}.last" in expected:
        near(fused, expected[f"multimodal.{variant}.last"])
    if f"fusion.{variant}_logsize_bias.last" in expected:
        by_size = model.text.fuse(words, seen(videos), log_sizes(videos)).x_CND
        near(by_size, expected[f"fusion.{variant}_logsize_bias.last"])
    if f"fusion.{variant}_first_half_of_tokens.last" in expected:
        watched = seen(videos)
        mask = torch.ones(watched.shape[:2])
        mask[:, watched.shape[1] // 2 :] = 0
        half = model.text.fuse(words, watched, hidden_bias(mask)).x_CND
        near(half, expected[f"fusion.{variant}_first_half_of_tokens.last"])


def asked(golden: GoldenUmt, model: UmtAnswerer) -> Tokens:
    expected = golden.tensors("e_qa")
    ids, mask = expected["question_ids"], expected["question_mask"]
    return model.ask(ids, mask, model.encode_videos(golden.videos[: len(ids)]))


def check_words_of_questions_and_answers(golden: GoldenUmt) -> None:
    expected, facts, tokenizer = golden.tensors("e_qa"), golden.facts("e_qa"), golden.tokenizer
    ids, mask = tokenizer(facts["raw_questions"], max_words=expected["question_ids"].shape[1])
    assert torch.equal(ids, expected["question_ids"])
    assert torch.equal(mask, expected["question_mask"])
    assert [clean(text) for text in facts["raw_questions"]] == facts["questions"]
    width = expected["list_ids"].shape[1]
    ids, mask = tokenizer(facts["answer_list"], max_words=width, end=True)
    assert torch.equal(ids, expected["list_ids"])
    assert torch.equal(mask, expected["list_mask"])
    shares = [
        answer_weights([given] if isinstance(given, str) else given)
        for given in facts["raw_answers"]
    ]
    assert [len(share) for share in shares] == facts["k"]
    answers = [answer for share in shares for answer in share]
    assert [f"{answer} [SEP]" for answer in answers] == facts["train_answers"]
    assert [w for share in shares for w in share.values()] == pytest.approx(facts["train_weights"])
    ids, mask = tokenizer(answers, max_words=expected["train_answer_ids"].shape[1], end=True)
    assert torch.equal(ids, expected["train_answer_ids"])
    assert torch.equal(mask, expected["train_answer_mask"])


def check_learning_to_answer(golden: GoldenUmt, variant: str) -> None:
    model, expected, facts = golden.answerer(variant), golden.tensors("e_qa"), golden.facts("e_qa")
    questions = asked(golden, model)
    near(questions.x_CND, expected[f"{variant}.question_states"])
    ids, mask = expected["train_answer_ids"], expected["train_answer_mask"]
    of_answer = torch.repeat_interleave(torch.tensor(facts["k"]))
    each = questions.rows(of_answer, clips_per_video=1)
    near(model.decoder(ids, mask, each), expected[f"{variant}.train_logits"])
    losses = model.decoder.losses(ids, mask, each)
    torch.testing.assert_close(
        losses, expected[f"{variant}.train_answer_loss"], rtol=LOSS, atol=LOSS
    )
    loss = answering_loss(
        model.decoder,
        questions,
        ids,
        mask,
        question_of_A=of_answer,
        weights_A=expected["train_weights"],
    )
    near_number(loss, facts[variant]["loss"])
    loss.backward()
    head = f"{variant}.grad."
    whole = {n.removeprefix(head): v for n, v in expected.items() if n.startswith(head)}
    check_gradients(model, facts[variant]["grad_norms"], whole)


@torch.no_grad()
def check_ranking_answers(golden: GoldenUmt, variant: str) -> None:
    model, expected, facts = golden.answerer(variant), golden.tensors("e_qa"), golden.facts("e_qa")
    questions, ids, mask = asked(golden, model), expected["list_ids"], expected["list_mask"]
    start = ids[:1, :1].expand(len(questions.x_CND), 1)
    near(model.decoder(start, None, questions)[:, 0], expected[f"{variant}.start_logits"])
    first = first_words(model.decoder, questions, ids)
    near(first, expected[f"{variant}.first_token_probs"])
    for tag in (name for name in facts[variant] if re.fullmatch(r"k\d+", name)):
        k = int(tag[1:])
        chosen = first.topk(k, dim=1).indices
        losses = candidate_losses(model.decoder, questions, ids, mask, chosen)
        wanted = expected[f"{variant}.{tag}.answer_loss"]
        torch.testing.assert_close(losses, wanted, rtol=LOSS, atol=TOKENS)
        ranked = rank_answers(model.decoder, questions, ids, mask, k=k, rule="official")
        assert torch.equal(ranked.ids, expected[f"{variant}.{tag}.topk_ids"])
        near(ranked.probabilities, expected[f"{variant}.{tag}.topk_probs"])
        best = [facts["answer_list"][row[0]] for row in ranked.ids.tolist()]
        assert best == [one["answer"] for one in facts[variant][tag]["predictions"]]


def check_accuracy_is_exact_match(golden: GoldenUmt, variant: str) -> None:
    facts = golden.facts("e_qa")[variant]
    tag = next(name for name in facts if re.fullmatch(r"k\d+", name))
    given = {one["question_id"]: one["answer"] for one in facts[tag]["predictions"]}
    check = facts["accuracy_exact_match_check"]
    ours = accuracy(given, dict(enumerate(check["gt"])))
    assert ours.percent == pytest.approx(check["acc"], abs=0.005)
