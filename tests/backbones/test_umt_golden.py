"""UMT, and UMT with frames apart and merged, compute what the official code computes."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
import torch

from golden_umt import (
    VARIANTS,
    GoldenUmt,
    golden_folders,
)
from golden_umt_learning import (
    check_four_steps,
    check_losses_and_gradients,
    check_negatives_are_drawn_as_in_the_original,
    check_schedule,
    check_soft_targets,
    check_temperature_stays_in_its_range_and_weighs_negatives,
)
from golden_umt_merging import check_ends, check_merges
from golden_umt_near import layer_by_layer, near, near_facts
from golden_umt_retrieval import check_metrics_of_given_matrices, check_retrieval_in_two_stages
from golden_umt_words import (
    check_accuracy_is_exact_match,
    check_learning_to_answer,
    check_ranking_answers,
    check_words_alone,
    check_words_look_at_videos,
    check_words_of_captions,
    check_words_of_questions_and_answers,
)
from tempme.backbones.umt.names import to_official, to_ours
from tempme.backbones.umt.vision import seen
from tempme.pooling import TokenMean

FOLDERS = golden_folders()


@pytest.fixture(scope="module", params=FOLDERS, ids=lambda golden: golden.folder.name)
def golden(request: pytest.FixtureRequest) -> GoldenUmt:
    found: GoldenUmt = request.param
    return found


# (a) vision: attention over all frames


@pytest.mark.slow
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
    near(vision.pool(tokens, TokenMean(whole_video=True)), expected["pooled_no_temporal"])


@torch.no_grad()
def test_one_frame(golden: GoldenUmt) -> None:
    vision, expected = golden.umt().vision, golden.tensors("a_vision")
    tokens = vision.encode(vision.embed(golden.videos[:, :1]))
    near(tokens.x_CND, expected["image.tokens"])
    near(vision.pool(tokens), expected["image.pooled"])


@pytest.mark.slow
@torch.no_grad()
def test_positions_stretched_along_time(golden: GoldenUmt) -> None:
    expected = golden.tensors("a_vision")
    found = [name for name in expected if re.fullmatch(r"(alt\.)?interp_from\d+\.tokens", name)]
    assert found
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


# (g) frames that merge


@pytest.mark.slow
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


# (b) text, and words that look at a video


def test_words_alone(golden: GoldenUmt) -> None:
    check_words_alone(golden)


def test_words_of_captions(golden: GoldenUmt) -> None:
    check_words_of_captions(golden)


@pytest.mark.parametrize("variant", VARIANTS)
def test_words_look_at_videos(golden: GoldenUmt, variant: str) -> None:
    check_words_look_at_videos(golden, variant)


# (c) losses, gradients, four steps


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_losses_and_gradients(golden: GoldenUmt, variant: str) -> None:
    check_losses_and_gradients(golden, variant)


def test_temperature_stays_in_its_range_and_weighs_negatives(golden: GoldenUmt) -> None:
    check_temperature_stays_in_its_range_and_weighs_negatives(golden)


def test_soft_targets(golden: GoldenUmt) -> None:
    check_soft_targets(golden)


def test_negatives_are_drawn_as_in_the_original(golden: GoldenUmt) -> None:
    check_negatives_are_drawn_as_in_the_original(golden)


@pytest.mark.slow
def test_four_steps(golden: GoldenUmt) -> None:
    check_four_steps(golden)


def test_schedule(golden: GoldenUmt) -> None:
    check_schedule(golden)


# (d) retrieval in two stages


@pytest.mark.slow
def test_retrieval_in_two_stages(golden: GoldenUmt) -> None:
    check_retrieval_in_two_stages(golden)


def test_metrics_of_given_matrices(golden: GoldenUmt) -> None:
    check_metrics_of_given_matrices(golden)


# (e) questions


def test_words_of_questions_and_answers(golden: GoldenUmt) -> None:
    check_words_of_questions_and_answers(golden)


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_learning_to_answer(golden: GoldenUmt, variant: str) -> None:
    check_learning_to_answer(golden, variant)


@pytest.mark.parametrize("variant", VARIANTS)
def test_ranking_answers(golden: GoldenUmt, variant: str) -> None:
    check_ranking_answers(golden, variant)


@pytest.mark.parametrize("variant", VARIANTS)
def test_accuracy_is_exact_match(golden: GoldenUmt, variant: str) -> None:
    check_accuracy_is_exact_match(golden, variant)


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
