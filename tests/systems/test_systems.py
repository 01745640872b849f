"""Every row of the table, on a tiny model of twelve layers, behaves as a system must."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn.functional import cosine_similarity

import tempme
from learning import assert_exactly_what_learns_has_gradients
from tempme.errors import BadSetting
from tempme.retriever.retriever import Retriever
from tempme.retriever.tracing import trace
from tempme.systems import table as zoo
from tiny_systems import TINY, texts, tiny, videos

# torch.compile itself makes the object that torch warns of.
compiling = pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
EVERY = zoo.PAPER | zoo.RULES
every_system = pytest.mark.parametrize("name", EVERY)


@every_system
@torch.no_grad()
@pytest.mark.one_in(4)
def test_features_are_unit_vectors_and_videos_do_not_meet(name: str) -> None:
    retriever = tiny(name)
    features = retriever.encode_videos(videos(3))
    assert features.shape == (3, TINY.embed)
    torch.testing.assert_close(features.norm(dim=1), torch.ones(3))
    alone = torch.cat([retriever.encode_videos(video[None]) for video in videos(3)])
    torch.testing.assert_close(features, alone, atol=1e-6, rtol=0)
    words = retriever.encode_texts(texts(3))
    torch.testing.assert_close(words.norm(dim=1), torch.ones(3))
    assert retriever.similarity(words, features).shape == (3, 3)


@every_system
@pytest.mark.one_in(4)
def test_the_encoder_runs_the_plan_it_states(name: str) -> None:
    retriever = tiny(name)
    planned = [step.clips_out * step.tokens_out for step in retriever.system.plan()]
    assert list(trace(retriever, videos()).tokens) == planned


@every_system
@pytest.mark.one_in(8)
def test_what_learns_and_nothing_else_receives_gradients(name: str) -> None:
    retriever = tiny(name).train()  # some learn by a relaxation of what they do then
    retriever.zero_grad()
    features, words = retriever.encode_videos(videos()), retriever.encode_texts(texts())
    retriever.eval()
    assert_exactly_what_learns_has_gradients(retriever, words, features)


@every_system
@torch.no_grad()
@pytest.mark.one_in(4)
def test_saved_and_loaded_again(name: str, tmp_path: Path) -> None:
    retriever = tiny(name)
    again = tempme.load(retriever.save(tmp_path / name))
    assert again.system == retriever.system
    assert again.fingerprint == retriever.fingerprint
    frames, ids = videos(), texts()
    assert torch.equal(again.encode_videos(frames), retriever.encode_videos(frames))
    assert torch.equal(again.encode_texts(ids), retriever.encode_texts(ids))
    learning = [n for n, p in retriever.named_parameters() if p.requires_grad]
    assert [n for n, p in again.named_parameters() if p.requires_grad] == learning


@every_system
@torch.no_grad()
@pytest.mark.one_in(4)
def test_folding_changes_nothing_but_the_speed(name: str) -> None:
    retriever = tiny(name)
    ready = retriever.for_inference("fp32")
    frames, ids = videos(), texts()
    close = {"atol": 1e-6, "rtol": 0}
    torch.testing.assert_close(
        ready.encode_videos(frames), retriever.encode_videos(frames), **close
    )
    torch.testing.assert_close(ready.encode_texts(ids), retriever.encode_texts(ids), **close)
    assert not any(p.requires_grad for p in ready.parameters())
    assert ready.fingerprint == retriever.fingerprint
    assert retriever.is_folded is False


@every_system
@torch.no_grad()
@pytest.mark.one_in(4)
def test_windows_share_frames(name: str) -> None:
    retriever = tiny(name)
    frames = videos(1, frames=20)[0]
    generator = torch.Generator().manual_seed(0)
    windows = torch.stack([torch.arange(12), torch.arange(8, 20), torch.arange(12).flip(0)])
    windows = torch.cat([windows, torch.randint(0, 20, (1, 12), generator=generator)])
    shared = retriever.encode_windows(frames, windows)
    torch.testing.assert_close(shared, retriever.encode_videos(frames[windows]), atol=1e-6, rtol=0)


@every_system
@torch.no_grad()
@pytest.mark.one_in(4)
def test_the_last_block_is_needed_for_class_tokens_alone(name: str) -> None:
    vision = tiny(name).backbone.vision
    *body, last = vision.layers
    tokens = vision.embed(videos())
    for layer in body:
        tokens = layer(tokens)
    short, full = last.finish(tokens), last(tokens)
    torch.testing.assert_close(vision.project(short), vision.project(full), atol=2e-6, rtol=0)


@every_system
@torch.no_grad()
@pytest.mark.one_in(4)
def test_no_patch_is_lost(name: str) -> None:
    retriever = tiny(name)
    way, plan = trace(retriever, videos()), retriever.system.plan()
    patches = 12 * TINY.tokens
    assert way.assignment.shape == (2, patches)
    for block in range(len(plan)):
        held = way.sizes(block).sum(dim=1)
        if getattr(retriever.system.compression, "drops_patches", False):
            assert held.le(patches).all()
        else:
            assert held.eq(patches).all()
    vision = retriever.backbone.vision
    tokens = vision.embed(videos())
    for layer in vision.layers:
        tokens = layer(tokens)
    # What attention counts is what the patches say; DiffRate weighs those that move by cosines.
    if tokens.size_CN1 is not None and name != "diffrate":
        counted = tokens.size_CN1.view(2, -1)
        torch.testing.assert_close(counted, way.sizes().float(), atol=0, rtol=0)


@every_system
@torch.no_grad()
@pytest.mark.one_in(8)
def test_half_precision_stays_near(name: str) -> None:
    retriever = tiny(name)
    frames, ids = videos(), texts()
    exact, words = retriever.encode_videos(frames), retriever.encode_texts(ids)
    for precision in ("bf16", "bf16-mixed"):
        ready = retriever.for_inference(precision)
        given = ready.encode_videos(frames)
        assert given.dtype == torch.float32
        assert cosine_similarity(given, exact).min() > 0.99, precision
        assert cosine_similarity(ready.encode_texts(ids), words).min() > 0.99, precision


@compiling
@pytest.mark.parametrize(
    "name", [n if n == "tempme" else pytest.param(n, marks=pytest.mark.slow) for n in EVERY]
)
@torch.no_grad()
@pytest.mark.slow
def test_one_graph_gives_the_same(name: str) -> None:
    torch.compiler.reset()
    ready = tiny(name).for_inference("fp32")
    encode = torch.compile(ready.encode_videos, fullgraph=True, backend="eager")
    frames = videos()
    torch.testing.assert_close(encode(frames), ready.encode_videos(frames), atol=1e-6, rtol=0)


@compiling
@pytest.mark.slow
@torch.no_grad()
def test_one_graph_of_tempme_and_its_gradients() -> None:
    torch.compiler.reset()
    retriever = tiny("tempme")
    encode = torch.compile(retriever.encode_videos, fullgraph=True, backend="aot_eager")
    frames = videos()
    torch.testing.assert_close(encode(frames), retriever.encode_videos(frames), atol=1e-6, rtol=0)
    learning = [p for p in retriever.backbone.vision.parameters() if p.requires_grad]
    with torch.enable_grad():
        ours = torch.autograd.grad(retriever.encode_videos(frames)[:, 0].sum(), learning)
        theirs = torch.autograd.grad(encode(frames)[:, 0].sum(), learning)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("image_size", "patch", "width", "heads", "layers", "frames"),
    [(35, 7, 24, 3, 1, 5), (48, 16, 20, 2, 2, 7), (16, 16, 8, 1, 3, 2), (33, 11, 36, 4, 13, 30)],
)
@torch.no_grad()
def test_odd_sizes(
    image_size: int, patch: int, width: int, heads: int, layers: int, frames: int
) -> None:
    odd = replace(TINY, image_size=image_size, patch=patch, width=width, heads=heads, layers=layers)
    for name in ("clip4clip", "tome", "tempme"):
        retriever = Retriever.build(zoo.system(name, backbone=odd, frames=frames), None, seed=0)
        features = retriever.encode_videos(videos(2, frames, image_size))
        torch.testing.assert_close(features.norm(dim=1), torch.ones(2))
        way = trace(retriever, videos(2, frames, image_size))
        assert way.sizes().sum(1).eq(frames * odd.tokens).all()


@torch.no_grad()
def test_order_of_frames_matters_to_tempme_alone() -> None:
    frames = videos(1)
    for name, sees_order in (("lora", False), ("tome", False), ("tempme", True)):
        forth, back = (tiny(name).encode_videos(x) for x in (frames, frames.flip(1)))
        assert torch.allclose(forth, back, atol=1e-6) is not sees_order


@torch.no_grad()
def test_nothing_to_encode() -> None:
    retriever = tiny("tempme")
    assert retriever.encode_texts([]).shape == (0, TINY.embed)
    assert retriever.encode_videos(videos(1)[:0]).shape == (0, TINY.embed)
    none = torch.empty(0, 12, dtype=torch.int64)
    assert retriever.encode_windows(videos(1)[0], none).shape == (0, TINY.embed)
    assert tempme.trace(retriever, videos(1)[:0]).assignment.shape == (0, 12 * (25 + 1))


def test_wrong_frames_are_refused_in_words() -> None:
    retriever = tiny("tempme")
    for wrong in (videos(1)[0], videos(1).movedim(2, -1), videos(1, size=64)):
        with pytest.raises(BadSetting, match=r"this model takes \(V, F, 3, 80, 80\)"):
            retriever.encode_videos(wrong)
        with pytest.raises(BadSetting, match=r"this model takes \(V, F, 3, 80, 80\)"):
            tempme.trace(retriever, wrong)
    with pytest.raises(BadSetting, match="videos of 6 frames, but tempme sees 12"):
        retriever.encode_videos(videos(1, frames=6))
    with pytest.raises(BadSetting, match="sees 12"):
        retriever.encode_windows(videos(1)[0], torch.arange(6)[None])
    with pytest.raises(BadSetting, match="list of texts"):
        retriever.encode_texts("a dog")
    with pytest.raises(BadSetting, match=r"the mask is \(1, 6\); for these frames it is \(1, 12\)"):
        retriever.encode_videos(videos(1), torch.ones(1, 6))
    with pytest.raises(BadSetting, match=r"pixels are \(12, 3, 80, 80\); they are"):
        retriever.transform(torch.zeros(12, 3, 80, 80, dtype=torch.uint8))


def test_unknown_names_are_refused_in_words() -> None:
    with pytest.raises(BadSetting, match="did you mean 'tempme'"):
        tempme.system("tempmee")
    with pytest.raises(BadSetting, match="did you mean 'ViT-B/32'"):
        tempme.system("tempme", backbone="ViT-B/31")
    with pytest.raises(BadSetting, match=r"keep_cross is 1\.5; it is the share kept"):
        replace(zoo.PAPER["tempme"].compression, keep_cross=1.5)
    with pytest.raises(BadSetting, match="precision"):
        tiny("lora").for_inference("fp8")
