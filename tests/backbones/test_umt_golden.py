"""UMT, and UMT with frames apart and merged, compute what the official code computes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from golden_umt import (
    VARIANTS,
    Facts,
    GoldenUmt,
    assignment,
    golden_folders,
    merges,
    seen_by,
)
from tempme.answering.accuracy import accuracy, answer_weights
from tempme.answering.ranking import candidate_losses, first_words, rank_answers
from tempme.backbones.umt.answerer import UmtAnswerer
from tempme.backbones.umt.bert import hidden_bias
from tempme.backbones.umt.model import Umt, mean_cosines
from tempme.backbones.umt.names import to_official, to_ours
from tempme.backbones.umt.vision import log_sizes, seen
from tempme.backbones.umt.wordpiece import clean
from tempme.evaluation.metrics import summarize
from tempme.evaluation.ranks import ranks
from tempme.evaluation.two_stage import official_ranks, two_stages
from tempme.tokens import Tokens
from tempme.training.matching import (
    Negatives,
    Pairs,
    draw_negatives,
    matching_logits,
    negative_weights,
    retrieval_losses,
    soft_contrastive_loss,
    soft_targets,
)
from tempme.training.optimizers import decay_groups, warmup_cosine
from tempme.training.questions import answering_loss

TOKENS, LOSS = 5e-5, 2e-5  # fp32 is up to 1e-5 from fp64 on tokens as large as 5
GRADIENT = 1e-4  # of the largest number of a tensor

FOLDERS = golden_folders()
NUMBERED = re.compile(r"(?:(?P<option>\w+)\.)?block(?P<layer>\d+)\.video0")


@pytest.fixture(scope="module", params=FOLDERS, ids=lambda golden: golden.folder.name)
def golden(request: pytest.FixtureRequest) -> GoldenUmt:
    found: GoldenUmt = request.param
    return found


def near(ours: Tensor, theirs: Tensor, *, within: float = TOKENS) -> None:
    torch.testing.assert_close(ours, theirs.to(ours.dtype), atol=within, rtol=1e-6)


def near_number(ours: Tensor | float, theirs: float, *, within: float = LOSS) -> None:
    number = ours.item() if isinstance(ours, Tensor) else ours
    assert number == pytest.approx(theirs, abs=within, rel=within)


def near_facts(ours: Tensor, facts: Facts) -> None:
    """Mean, spread and length of a tensor, and a sum that every number enters."""
    flat = ours.detach().double().flatten()
    angles = 0.37 * torch.arange(len(flat), dtype=torch.float64)
    found = {
        "mean": flat.mean(),
        "std": flat.std(),
        "l2": flat.norm(),
        "probe": flat @ angles.sin(),
    }
    for name, value in found.items():
        loose = TOKENS * (len(flat) ** 0.5 if name in ("l2", "probe") else 1)
        assert float(value) == pytest.approx(facts[name], abs=loose), name
    near(flat[:8].float(), torch.tensor(facts["first8"]))


def layer_by_layer(vision: nn.Module, tokens: Tokens) -> Iterator[Tokens]:
    for layer in vision.layers:
        tokens = layer(tokens)
        yield tokens


# (a) vision: attention over all frames


@torch.no_grad()
def test_joint_attention(golden: GoldenUmt) -> None:
    vision, expected, facts = (
        golden.umt().vision,
        golden.tensors("a_vision"),
        golden.facts("a_vision"),
    )
    frames = golden.sizes["frames"]
    near(vision.places(frames).flatten(0, 1), expected["pos_embed"], within=1e-6)
    near(vision.places(1)[0], expected["img_pos_embed"], within=1e-6)
    near(vision.patches(golden.videos[0]).flatten(0, 1), expected["patch_embed.video0"])
    start = vision.embed(golden.videos)
    assert (start.clips_per_video, start.num_protected) == (1, 0)
    for block, after in enumerate(layer_by_layer(vision, start)):
        if f"block{block}.video0" in expected:
            near(after.x_CND[0], expected[f"block{block}.video0"])
        near_facts(after.x_CND[0], facts["blocks"][block]["video0"])
        near_facts(after.x_CND, facts["blocks"][block]["all"])
    tokens = vision.encode(start)
    near(tokens.x_CND, expected["tokens"])
    near(vision.pool(tokens), expected["pooled"])
    near(vision.pool(tokens, whole=True), expected["pooled_no_temporal"])


@torch.no_grad()
def test_one_frame(golden: GoldenUmt) -> None:
    vision, expected = golden.umt().vision, golden.tensors("a_vision")
    tokens = vision.encode(vision.embed(golden.videos[:, :1]))
    near(tokens.x_CND, expected["image.tokens"])
    near(vision.pool(tokens), expected["image.pooled"])


@torch.no_grad()
def test_positions_stretched_along_time(golden: GoldenUmt) -> None:
    expected = golden.tensors("a_vision")
    found = [name for name in expected if re.fullmatch(r"(alt\.)?interp_from\d+\.tokens", name)]
    assert len(found) == len(golden.sizes["ckpt_interp"])
    for name in found:
        head = name.removesuffix("tokens")
        changes: dict[str, Any] = {"trained_frames": int(re.findall(r"\d+", head)[0])}
        videos = golden.videos
        if head.startswith("alt."):
            videos, changes["image_size"] = golden.videos_alt, golden.config["alt"]["px"]
        vision = golden.umt(**changes).vision
        near(vision.places(videos.shape[1]).flatten(0, 1), expected[f"{head}pos_embed"])
        tokens = vision.encode(vision.embed(videos))
        near(tokens.x_CND[: len(expected[name])], expected[name])
        if f"{head}pooled" in expected:
            near(vision.pool(tokens), expected[f"{head}pooled"])


@torch.no_grad()
@pytest.mark.parametrize(("file", "variant"), [("a_vision", "joint"), ("f_perframe", "perframe")])
def test_other_frames_and_sizes(golden: GoldenUmt, file: str, variant: str) -> None:
    expected, alt = golden.tensors(file), golden.config["alt"]
    vision = golden.umt(variant, image_size=alt["px"]).vision
    assert golden.videos_alt.shape[1] == alt["frames"]
    if "alt.pos_embed" in expected:
        near(vision.places(alt["frames"]).flatten(0, 1), expected["alt.pos_embed"], within=1e-6)
    tokens = vision.encode(vision.embed(golden.videos_alt))
    near(seen(tokens), expected["alt.tokens"])
    near(vision.pool(tokens), expected["alt.pooled"])


# (f) vision: attention within every frame


@torch.no_grad()
def test_frame_by_frame(golden: GoldenUmt) -> None:
    vision, expected, facts = (
        golden.umt("perframe").vision,
        golden.tensors("f_perframe"),
        golden.facts("f_perframe"),
    )
    start = vision.embed(golden.videos)
    frames = golden.sizes["frames"]
    assert (start.clips_per_video, start.num_protected) == (frames, 0)
    for block, after in enumerate(layer_by_layer(vision, start)):
        if f"block{block}.video0" in expected:
            near(after.x_CND[:frames], expected[f"block{block}.video0"])
        near_facts(after.x_CND, facts["blocks"][block])
    tokens = vision.encode(start)
    near(seen(tokens), expected["tokens"])
    near(vision.pool(tokens), expected["pooled"])


@torch.no_grad()
def test_positions_of_a_frame(golden: GoldenUmt) -> None:
    vision, expected = (
        golden.umt("perframe", frame_positions=True).vision,
        golden.tensors("f_perframe"),
    )
    tokens = vision.encode(vision.embed(golden.videos))
    some = expected["imgtable.tokens"]
    near(seen(tokens)[: len(some)], some)
    near(vision.pool(tokens), expected["imgtable.pooled"])


# (b) text, and words that look at a video


@torch.no_grad()
def test_words_alone(golden: GoldenUmt) -> None:
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


def test_words_of_captions(golden: GoldenUmt) -> None:
    config, ids = golden.config, golden.inputs["text_ids"]
    assert [clean(text) for text in config["raw_texts"]] == config["texts"]
    ours, mask = golden.tokenizer(config["raw_texts"], max_words=golden.sizes["max_txt_l"])
    assert torch.equal(ours, ids)
    assert torch.equal(mask, golden.inputs["text_mask"])
    rows = zip(ours, mask.bool(), strict=True)
    strings = [[config["vocab"][number] for number in row[seen]] for row, seen in rows]
    assert strings == config["token_strings"]


@torch.no_grad()
@pytest.mark.parametrize("variant", VARIANTS)
def test_words_look_at_videos(golden: GoldenUmt, variant: str) -> None:
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


# (c) losses, gradients, four steps


def pairs(golden: GoldenUmt, model: Umt, videos: Tokens | None = None) -> Pairs:
    videos = model.encode_videos(golden.videos) if videos is None else videos
    words = golden.words(model, slice(len(golden.videos)))
    return Pairs.of(model, videos, words, torch.tensor(golden.sizes["idx"]))


def negatives_of(expected: dict[str, Tensor]) -> Negatives:
    return Negatives(expected["neg.video_for_text"], expected["neg.text_for_video"])


def set_temperature(model: Umt, value: float) -> None:
    with torch.no_grad():
        model.temperature.fill_(value)


def check_gradients(model: nn.Module, norms: dict[str, float], whole: dict[str, Tensor]) -> None:
    named = {
        name.replace(".layer.", "."): p.grad  # compressions wrap layers
        for name, p in model.named_parameters()
        if p.grad is not None and not name.endswith("clip_position")
    }
    ours = to_official(named)
    assert set(ours) == set(norms)
    total = sum(norm**2 for norm in norms.values()) ** 0.5
    for name, norm in norms.items():
        assert float(ours[name].norm()) == pytest.approx(norm, rel=5e-4, abs=1e-6 * total), name
    for name, value in whole.items():  # some are sums that all but cancel out
        near(ours[name], value, within=GRADIENT * float(value.abs().max()) + 1e-9 * total)


@pytest.mark.parametrize("variant", VARIANTS)
def test_losses_and_gradients(golden: GoldenUmt, variant: str) -> None:
    model, expected = golden.umt(variant), golden.tensors("c_losses")
    facts = golden.facts("c_losses")[variant]
    set_temperature(model, facts["temp_after_clamp"])
    own, negatives = pairs(golden, model), negatives_of(expected)
    cosines = expected[f"{variant}.sim_v2t"] * facts["temp_after_clamp"]
    near(mean_cosines(own.videos, own.texts), cosines, within=5e-6)
    near(matching_logits(model, own, own, negatives), expected[f"{variant}.vtm_logits"])
    losses = retrieval_losses(model, own, negatives=negatives)
    near_number(losses.contrastive, facts["loss_vtc"])
    near_number(losses.matching, facts["loss_vtm"])
    (losses.contrastive + losses.matching).backward()
    head = f"{variant}.grad."
    whole = {n.removeprefix(head): v for n, v in expected.items() if n.startswith(head)}
    check_gradients(model, facts["grad_norms"], whole)


@torch.no_grad()
def test_temperature_stays_in_its_range_and_weighs_negatives(golden: GoldenUmt) -> None:
    expected, facts = golden.tensors("c_losses"), golden.facts("c_losses")
    negatives = negatives_of(expected)
    for tag in (name for name in facts if re.fullmatch(r"\w+(\.temp[\d.]+)?", name)):
        variant, _, value = tag.partition(".temp")
        if variant not in VARIANTS:
            continue
        model = golden.umt(variant)
        set_temperature(model, float(value) if value else facts[tag]["temp_after_clamp"])
        model.keep_temperature()
        near_number(model.temperature, facts[tag]["temp_after_clamp"], within=1e-9)
        own = pairs(golden, model, seen_by(golden, variant))
        losses = retrieval_losses(model, own, negatives=negatives)
        near_number(losses.contrastive, facts[tag]["loss_vtc"])
        near_number(losses.matching, facts[tag]["loss_vtm"])
        logits = mean_cosines(own.videos, own.texts) / model.temperature
        for name, ours in (("v2t", logits), ("t2v", logits.T)):
            weights = negative_weights(ours, own.ids, own.ids)
            near(
                weights, expected[f"{tag}.weights_{name}"], within=1e-3 if "0.0002" in tag else 1e-4
            )


@torch.no_grad()
def test_soft_targets(golden: GoldenUmt) -> None:
    expected, facts = golden.tensors("c_losses"), golden.facts("c_losses")
    own = pairs(golden, golden.umt(), seen_by(golden, "joint"))
    assert torch.equal(soft_targets(own.ids), expected["targets"])
    cosines, warm = mean_cosines(own.videos, own.texts), facts["joint"]["temp_after_clamp"]
    different, equal = torch.arange(len(own.ids)), torch.zeros_like(own.ids)
    for name, temperature, ids in (
        ("vtc_all_ids_different", warm, different),
        ("vtc_ids_none", warm, None),
        ("vtc_temp_1", 1.0, own.ids),
        ("vtc_all_ids_equal", warm, equal),
    ):
        near_number(soft_contrastive_loss(cosines, temperature, video_ids=ids), facts[name])


@torch.no_grad()
def test_negatives_are_drawn_as_in_the_original(golden: GoldenUmt) -> None:
    model, wanted = golden.umt(), negatives_of(golden.tensors("c_losses"))
    own = pairs(golden, model, seen_by(golden, "joint"))
    torch.manual_seed(golden.sizes["seed_neg"])
    drawn = draw_negatives(own, own, model.temperature)
    assert torch.equal(drawn.videos, wanted.videos)
    assert torch.equal(drawn.texts, wanted.texts)


@pytest.mark.slow
def test_four_steps(golden: GoldenUmt) -> None:
    model, expected = golden.umt(), golden.tensors("c_losses")
    facts, negatives = golden.facts("c_losses")["train4"], negatives_of(golden.tensors("c_losses"))
    groups = decay_groups(model.named_parameters(), weight_decay=facts["weight_decay"])
    decays = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    named = dict(model.named_parameters())
    by_name = to_official({n: torch.full_like(p, decays[id(p)]) for n, p in named.items()})
    for name, decay in facts["weight_decay_of"].items():
        near_number(by_name[name].flatten()[0], decay, within=1e-8)
    optimizer = torch.optim.AdamW(groups, lr=facts["lr"])
    share = facts["warmup"] / facts["total"]
    for step, (lr, wanted) in enumerate(zip(facts["lr_of_step"], facts["losses"], strict=True)):
        rate = facts["lr"] * warmup_cosine(
            step, total_steps=facts["total"], warmup=share, floor=facts["min_lr_multi"]
        )
        assert rate == pytest.approx(lr, rel=1e-6)
        for group in optimizer.param_groups:
            group["lr"] = rate
        model.keep_temperature()
        losses = retrieval_losses(model, pairs(golden, model), negatives=negatives)
        near_number(losses.contrastive, wanted[0], within=5e-5)
        near_number(losses.matching, wanted[1], within=5e-5)
        if step < len(facts["losses"]) - 1:
            optimizer.zero_grad()
            (losses.contrastive + losses.matching).backward()
            optimizer.step()
    near_number(model.temperature, facts["temp_after"], within=1e-6)
    after = to_official({n: p.data for n, p in model.named_parameters()})
    for name, value in expected.items():
        if name.startswith("after4."):
            near(after[name.removeprefix("after4.")], value, within=2e-5)


def test_schedule(golden: GoldenUmt) -> None:
    name = next(name for name in golden.facts("c_losses") if name.startswith("lr_multiplier"))
    found = re.fullmatch(r"lr_multiplier_warm(\d+)_total(\d+)_min([\d.]+)", name)
    assert found is not None
    rising, total, floor = int(found[1]), int(found[2]), float(found[3])
    for step, wanted in enumerate(golden.facts("c_losses")[name]):
        ours = warmup_cosine(step, total_steps=total, warmup=rising / total, floor=floor)
        assert ours == pytest.approx(wanted, rel=1e-9, abs=1e-12)


# (d) retrieval in two stages


def texts_of_videos(golden: GoldenUmt) -> list[list[int]]:
    texts = golden.config["img2txt"]
    return [[one] if isinstance(one, int) else list(one) for one in texts]


def as_targets(table: dict[str, Any]) -> list[list[int]]:
    rows = [table[str(place)] for place in range(len(table))]
    return [[row] if isinstance(row, int) else row for row in rows]


def check_ranks(matrix: Tensor, targets: list[list[int]], facts: list[Facts]) -> bool:
    """Whether all ranks are the original's; among equals that is up to numpy and the processor."""
    better = ranks(matrix, targets) - 1
    ours = official_ranks(matrix, targets) - 1
    for place, fact in enumerate(facts):
        assert better[place] == fact["strictly_greater"]
        assert 0 <= ours[place] - better[place] < fact["equal_scores"]
        if fact["equal_scores"] == 1:
            assert ours[place] == fact["official"]
    return bool((ours == [fact["official"] for fact in facts]).all())


def recalls(v2t: Tensor, t2v: Tensor, texts: list[list[int]], videos: list[list[int]]) -> Facts:
    """The original's table: "txt" is video to text, "img" text to video."""
    found: Facts = {}
    for name, matrix, targets in (("txt", v2t, texts), ("img", t2v, videos)):
        metrics = summarize(official_ranks(matrix, targets))
        each = (metrics.r1, metrics.r5, metrics.r10)
        found |= dict(zip((f"{name}_r1", f"{name}_r5", f"{name}_r10"), each, strict=True))
        found[f"{name}_r_mean"] = sum(each) / 3
    found["r_mean"] = (found["txt_r_mean"] + found["img_r_mean"]) / 2
    return found


@torch.no_grad()
def test_retrieval_in_two_stages(golden: GoldenUmt) -> None:
    expected, facts = golden.tensors("d_retrieval"), golden.facts("d_retrieval")
    texts = texts_of_videos(golden)
    videos = [[v for v, own in enumerate(texts) if t in own] for t in range(sum(map(len, texts)))]
    tags = [tag for tag in facts if tag.partition(".")[0] in VARIANTS]
    assert {tag.partition(".")[0] for tag in tags} == set(VARIANTS)
    for tag in tags:
        variant, k = tag.split(".k")
        model = golden.umt(variant)
        tokens, words = seen_by(golden, variant), golden.words(model)
        cosines = mean_cosines(model.vision.project(tokens), model.text.project(words))
        near(cosines, expected[f"{tag}.v2t_emb"])
        near(cosines.T, expected[f"{tag}.t2v_emb"])
        watched = seen(tokens)

        def of_video(
            v: int, some: Tensor, m: Umt = model, w: Tokens = words, x: Tensor = watched
        ) -> Tensor:
            return m.fits(w.rows(some, clips_per_video=1), x[v : v + 1])[:, 1]

        def of_text(
            t: int, some: Tensor, m: Umt = model, w: Tokens = words, x: Tensor = watched
        ) -> Tensor:
            same = torch.full_like(some, t)
            return m.fits(w.rows(same, clips_per_video=1), x[some])[:, 1]

        v2t = two_stages(cosines, of_video, k=min(int(k), len(words.x_CND))).official
        t2v = two_stages(cosines.T, of_text, k=min(int(k), len(watched))).official
        near(v2t, expected[f"{tag}.v2t_rerank"])
        near(t2v, expected[f"{tag}.t2v_rerank"])
        same = [
            check_ranks(v2t, texts, facts[tag]["v2t_ranks"]),
            check_ranks(t2v, videos, facts[tag]["t2v_ranks"]),
        ]
        wanted = facts[tag]["metrics"]
        ours = recalls(cosines, cosines.T, texts, videos)
        assert ours == pytest.approx(wanted["test_emb/"], abs=0.011)
        if all(same):
            again = recalls(v2t, t2v, texts, videos)
            assert again == pytest.approx(wanted["test/"], abs=0.011)


def test_metrics_of_given_matrices(golden: GoldenUmt) -> None:
    expected, cases = golden.tensors("d_retrieval"), golden.facts("d_retrieval")["metric_cases"]
    for name, case in cases.items():
        v2t, t2v = (expected[f"metric.{name}.{way}"] for way in ("v2t", "t2v"))
        texts, videos = as_targets(case["img2txt"]), as_targets(case["txt2img"])
        same = [
            check_ranks(v2t, texts, case["v2t_ranks"]),
            check_ranks(t2v, videos, case["t2v_ranks"]),
        ]
        if all(same):
            assert recalls(v2t, t2v, texts, videos) == pytest.approx(case["result"], abs=0.011)


# (e) questions


def asked(golden: GoldenUmt, model: UmtAnswerer) -> Tokens:
    expected = golden.tensors("e_qa")
    ids, mask = expected["question_ids"], expected["question_mask"]
    return model.ask(ids, mask, model.encode_videos(golden.videos[: len(ids)]))


def test_words_of_questions_and_answers(golden: GoldenUmt) -> None:
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


@pytest.mark.parametrize("variant", VARIANTS)
def test_learning_to_answer(golden: GoldenUmt, variant: str) -> None:
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
@pytest.mark.parametrize("variant", VARIANTS)
def test_ranking_answers(golden: GoldenUmt, variant: str) -> None:
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


@pytest.mark.parametrize("variant", VARIANTS)
def test_accuracy_is_exact_match(golden: GoldenUmt, variant: str) -> None:
    facts = golden.facts("e_qa")[variant]
    tag = next(name for name in facts if re.fullmatch(r"k\d+", name))
    given = {one["question_id"]: one["answer"] for one in facts[tag]["predictions"]}
    check = facts["accuracy_exact_match_check"]
    ours = accuracy(given, dict(enumerate(check["gt"])))
    assert ours.percent == pytest.approx(check["acc"], abs=0.005)


# (g) frames that merge


@torch.no_grad()
def test_merging_frames(golden: GoldenUmt) -> None:
    facts, expected = golden.facts("g_tempme"), golden.tensors("g_tempme")
    options = [name for name, fact in facts.items() if isinstance(fact, dict)]
    assert set(golden.config["tempme"]) <= set(options)
    for name in options:
        option, videos = golden.option(name), golden.videos
        changes: dict[str, Any] = {"frame_positions": option["table"] == "image"}
        if "px" in option:
            videos, changes["image_size"] = golden.videos_alt, option["px"]
        vision = golden.compress(golden.umt("perframe", **changes).vision, name)
        start = tokens = vision.embed(videos)
        for block, after in enumerate(layer_by_layer(vision, start)):
            fact = facts[name]["layers"][block]
            assert list(after.x_CND.shape) == fact["out_shape"], name
            near_facts(after.x_CND, fact["out_all"])
            if f"{name}.block{block}.video0" in expected:
                some = expected[f"{name}.block{block}.video0"]
                near(after.x_CND[: len(some)], some)
            tokens = after
        check_merges(name, tokens, facts[name], expected)
        check_ends(golden, name, vision, replace(tokens, x_CND=vision.ln_post(tokens.x_CND)), start)


def check_merges(name: str, tokens: Tokens, facts: Facts, expected: dict[str, Tensor]) -> None:
    found = merges(tokens)
    numbers = [n for layer in facts["layers"] for n in layer["merge_numbers"] if n]
    assert [matching.moved.shape[1] for matching in found] == numbers
    for place, matching in enumerate(found):
        assert matching.a_starts_at == 0
        head = f"{name}.merge{place:02d}."
        for kind, ours in (
            ("unm", matching.kept),
            ("src", matching.moved),
            ("dst", matching.target),
        ):
            if f"{head}{kind}.video0" in expected:
                wanted = expected[f"{head}{kind}.video0"].long()
                assert torch.equal(ours[: len(wanted)], wanted), (head, kind)


def check_ends(golden: GoldenUmt, name: str, vision: Any, tokens: Tokens, start: Tokens) -> None:
    expected, facts = golden.tensors("g_tempme"), golden.facts("g_tempme")[name]
    assert tokens.clips_per_video == facts["final_clips"]
    assert tokens.clips_per_video * len(tokens) == facts["final_tokens"]
    some = expected[f"{name}.tokens"]
    near(seen(tokens)[: len(some)], some)
    sizes = tokens.sizes.reshape(tokens.num_videos, -1)
    assert torch.equal(sizes, expected[f"{name}.size"])
    assert sizes.sum(dim=1).tolist() == facts["size_sum"]
    near(vision.pool(tokens, whole=True), expected[f"{name}.pooled_weighted"])
    near(vision.pool(tokens, whole=True, weighted=False), expected[f"{name}.pooled_plain"])
    if f"{name}.pooled_per_clip_weighted" in expected:
        near(vision.pool(tokens), expected[f"{name}.pooled_per_clip_weighted"])
    if f"{name}.assignment" in expected:
        patches = len(start.x_CND) * len(start)
        wanted = expected[f"{name}.assignment"].long()
        assert torch.equal(assignment(tokens, patches), wanted)


@torch.no_grad()
def test_merging_nothing_is_frame_by_frame(golden: GoldenUmt) -> None:
    facts = golden.facts("g_tempme")
    idle = [
        n
        for n, f in facts.items()
        if isinstance(f, dict)
        and not any(x for layer in f["layers"] for x in layer["merge_numbers"])
    ]
    for name in idle:
        apart = golden.umt("perframe").vision
        whole = apart.encode(apart.embed(golden.videos))
        assert facts["sanity_no_merge_equals_perframe_maxdiff"] == 0
        vision = golden.compress(golden.umt("perframe").vision, name)
        merged = vision.encode(vision.embed(golden.videos))
        assert merged.size_CN1 is None
        assert seen(merged).shape == seen(whole).shape


# weights


def test_names_both_ways(golden: GoldenUmt) -> None:
    theirs = golden.weights | {
        name: value
        for name, value in golden.decoder.items()
        if not name.startswith("text_decoder.cls.predictions.decoder.")
    }
    ours = to_ours(theirs)
    again = to_official(ours)
    assert set(again) == set(theirs)
    assert all(torch.equal(again[name], value) for name, value in theirs.items())
