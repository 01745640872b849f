"""Rules that follow the content: single layers against loops over tokens."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import reference_rules as reference
from compression_material import quick
from golden_compression import followed
from tempme.backbones.layers import Block
from tempme.compression import EVS, RLT, Average, PiToMe
from tempme.compression.aligned import match_places
from tempme.compression.evs import Turned
from tempme.compression.packing import kept_patches
from tempme.compression.pitome import match_crowds
from tempme.compression.rlt import Changed
from tempme.errors import BadSetting
from tempme.merging import fuse
from tempme.schedule import Step
from tempme.tokens import Beside, Tokens

WIDTH, HEADS = 8, 2
kinds = st.sampled_from(["any", "tied", "still"])


def drawn(kind: str, *shape: int) -> Tensor:
    """Numbers without ties; few directions of exact length, so that ties abound; all equal."""
    if kind == "any":
        return torch.randn(*shape)
    if kind == "tied":
        which = torch.randint(0, min(3, shape[-1]), shape[:-1])
        return torch.nn.functional.one_hot(which, shape[-1]).float()
    return torch.ones(*shape)


def close(a: Tensor, b: object) -> None:
    torch.testing.assert_close(a.double(), torch.as_tensor(np.array(b)), atol=1e-5, rtol=1e-5)


@quick
@given(frames=st.integers(1, 5), grid=st.integers(1, 4), patch=st.integers(1, 4), kind=kinds)
def test_changes_against_loops(frames: int, grid: int, patch: int, kind: str) -> None:
    pixels = drawn(kind, 2, frames, 3, grid * patch, grid * patch)
    patches = drawn(kind, 2, frames, grid * grid, WIDTH)
    moved, turned = Changed()(pixels, patches), Turned()(pixels, patches)
    for video in range(2):
        close(moved[video], reference.changed(pixels[video].double().numpy(), patch))
        close(turned[video], reference.turned(patches[video].double().tolist()))


@quick
@given(frames=st.integers(2, 5), patches=st.integers(1, 6), data=st.data(), tied=st.booleans())
def test_what_stays_against_loops(
    frames: int, patches: int, data: st.DataObject, tied: bool
) -> None:
    drop = data.draw(st.integers(0, (frames - 1) * patches))
    change = torch.rand(2, frames, patches)
    change = (3 * change).floor() if tied else change
    kept, last = kept_patches(change, drop)
    for clip in range(2):
        stay = reference.survivors(change[clip].tolist(), drop)
        assert kept[clip].tolist() == [f * patches + p for f, p in stay]
        held = reference.runs(stay, frames, patches)
        shown = {at: row for row, run in enumerate(held) for at in run}
        wanted = [[shown[f, p] for p in range(patches)] for f in range(frames)]
        assert last[clip].tolist() == wanted


def packing_layer(method: EVS | RLT, step: Step) -> tuple[Block, nn.Module]:
    block = Block(WIDTH, HEADS, "gelu")
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.4)
    return block, method.wrap(block, step, WIDTH)


@quick
@given(
    frames=st.integers(2, 4),
    patches=st.integers(1, 5),
    keep=st.floats(0.1, 1),
    led=st.integers(0, 2),
    share=st.booleans(),
    kind=kinds,
)
def test_a_block_of_frames_apart_against_loops(
    frames: int, patches: int, keep: float, led: int, share: bool, kind: str
) -> None:
    method = (RLT if share else EVS)(r=0, joins={}, keep=keep)
    plan = method.plan(tokens=led + patches, frames=frames, depth=2, protected=led)
    block, layer = packing_layer(method, plan[0])
    change = torch.rand(frames, patches) if kind == "any" else torch.zeros(frames, patches)
    x = drawn(kind, frames, led + patches, WIDTH)
    start = Tokens(x, None, frames, led, beside=Beside(change_VFP=change[None]))
    out, cues = layer.attend(start)  # type: ignore[operator]
    stay = reference.survivors(change.tolist(), plan[0].cross + plan[0].unseen)
    assert len(out) == plan[0].attended == frames * led + len(stay)
    rows = torch.cat([x[:, :led].flatten(0, 1), torch.stack([x[f, led + p] for f, p in stay])])
    held = reference.runs(stay, frames, patches)
    shows: list[list[int | None]] = [list(range(f * led, f * led + led)) for f in range(frames)]
    for f in range(frames):
        for p in range(patches):
            at = next(n for n, run in enumerate(held) if (f, p) in run)
            hidden = not share and (f, p) not in stay
            shows[f].append(None if hidden else frames * led + at)
    asks = [n // led for n in range(frames * led)] + [f for f, _ in stay]
    q, k, v = (part[0] for part in block.attn.project(block.ln_1(rows[None])))
    seen = reference.frame_attention(
        *(part.detach().double().numpy() for part in (q, k, v)), shows, asks
    )
    answer = block.attn.gather(torch.as_tensor(seen)[None].float())[0]
    close(out.x_CND[0].detach(), (rows + answer).detach().double().numpy())
    torch.testing.assert_close(cues.k[0], k)
    if share:
        assert out.sizes[0, frames * led :, 0].tolist() == [len(run) for run in held]
        assert out.sizes.sum() == frames * (led + patches)
    ends = followed(out, frames * (led + patches)).view(frames, -1)
    wanted = [[token if token is not None else -1 for token in shows[f]] for f in range(frames)]
    assert ends.tolist() == wanted
    served = layer.finish(start)  # type: ignore[operator]
    if led:
        whole = block.feed(out).x_CND[:, : frames * led]
        torch.testing.assert_close(served.x_CND, whole, atol=1e-5, rtol=1e-5)


@quick
@given(
    clips=st.integers(2, 4), n=st.integers(1, 6), data=st.data(), kind=kinds, led=st.integers(0, 1)
)
def test_aligned_against_loops(
    clips: int, n: int, data: st.DataObject, kind: str, led: int
) -> None:
    free, p = clips * n, led * clips
    r = data.draw(st.integers(1, max(1, free // 2)))
    still = data.draw(st.sampled_from([-1.0, 0.2, 0.9, 1.0]))
    x = drawn(kind, 2, p + free, WIDTH)
    place = torch.stack([torch.randint(0, n + 1, (p + free,)) for _ in range(2)])
    sizes = torch.randint(1, 4, (2, p + free, 1)).float()
    tokens = replace(Tokens(x, sizes, 1, p), place_CN=place)
    out = fuse(tokens, match_places(tokens, r, clips=clips, still=still - 1e-6))
    assert len(out) == p + free - r
    ends = followed(out, 2 * (p + free)).view(2, -1)
    for clip in range(2):
        rows = x[clip, p:].double().view(clips, n, WIDTH).tolist()
        places = place[clip, p:].view(clips, n).tolist()
        into = reference.aligned(rows, places, r, still - 1e-6, p % 2)
        held = reference.held_by(into, free)
        assert len(into) == r
        for row, members in enumerate(held):
            for member in members:
                assert ends[clip, p + member] == clip * len(out) + p + row
        flat, weights = x[clip, p:].double().tolist(), sizes[clip, p:, 0].tolist()
        close(out.x_CND[clip, p:], reference.means(flat, weights, held))
        close(out.sizes[clip, p:, 0], [sum(weights[m] for m in members) for members in held])


@quick
@given(
    free=st.integers(2, 9),
    data=st.data(),
    kind=kinds,
    led=st.integers(0, 2),
    margin=st.sampled_from([0.95, 0.4, 0.0]),
)
def test_crowds_against_loops(
    free: int, data: st.DataObject, kind: str, led: int, margin: float
) -> None:
    r = data.draw(st.integers(1, free // 2))
    x, sizes = drawn(kind, 2, led + free, WIDTH), torch.randint(1, 4, (2, led + free, 1)).float()
    tokens = Tokens(x, sizes, 1, led)
    out = fuse(tokens, match_crowds(x, r, led, margin=margin))
    assert len(out) == led + free - r
    assert torch.equal(out.x_CND[:, :led], x[:, :led])
    for clip in range(2):
        flat, weights = x[clip, led:].double().tolist(), sizes[clip, led:, 0].tolist()
        into = reference.crowded(flat, r, margin)
        assert len(into) == r
        assert not {*into} & {*into.values()}
        held = reference.held_by(into, free)
        close(out.x_CND[clip, led:], reference.means(flat, weights, held))
        close(out.sizes[clip, led:, 0], [sum(weights[m] for m in members) for members in held])


def test_the_margin_falls_and_all_cosines_are_counted() -> None:
    plan = PiToMe(r=3).plan(tokens=9, frames=2, depth=4)
    assert [step.margin for step in plan] == pytest.approx([0.95, 0.7125, 0.475, 0.2375])
    assert [step.attended for step in plan] == [9, 6, 4, 3]
    assert [step.dots.tokens for step in plan if step.dots] == [2 * 64, 2 * 25, 2 * 9, 2 * 4]
    for setting, said in (({"r": -1}, r"pitome\.r is -1"), ({"margin": 2.0}, "it is a cosine")):
        with pytest.raises(BadSetting, match=said):
            PiToMe(**setting)  # type: ignore[arg-type]


@quick
@given(clips=st.integers(1, 4), k=st.integers(2, 4), n=st.integers(1, 5), led=st.integers(0, 1))
def test_average_against_loops(clips: int, k: int, n: int, led: int) -> None:
    method = Average(joins={0: k})
    plan = method.plan(tokens=led + n, frames=clips * k, depth=1, protected=led)
    layer = method.wrap(Block(WIDTH, HEADS, "gelu"), plan[0], WIDTH)
    position = torch.randn(clips * k, 1, WIDTH)
    layer.clip_position.data.copy_(position)  # type: ignore[union-attr, operator]
    x = torch.randn(clips * k, led + n, WIDTH)
    sizes = torch.randint(1, 4, (clips * k, led + n, 1)).float()
    out = layer.join(Tokens(x, sizes, clips * k, led))  # type: ignore[operator]
    placed = (x + position).double()
    for clip in range(clips):
        members = range(clip * k, clip * k + k)
        wanted = [placed[c, i] for c in members for i in range(led)]
        for i in range(led, led + n):
            total = sum(sizes[c, i, 0] for c in members)
            wanted.append(sum(sizes[c, i, 0] * placed[c, i] for c in members) / total)
        close(out.x_CND[clip].detach(), torch.stack(wanted).numpy())
    assert out.sizes.sum() == sizes.sum()


def test_gradients_of_frames_apart() -> None:
    """In double precision, against differences."""
    method = RLT(r=1, joins={}, keep=0.6)
    plan = method.plan(tokens=4, frames=2, depth=1)
    _, layer = packing_layer(method, plan[0])
    layer.double()
    x = torch.randn(2, 4, WIDTH, dtype=torch.float64, requires_grad=True)
    beside = Beside(change_VFP=torch.rand(1, 2, 3))

    def encode(x: Tensor) -> Tensor:
        made: Tensor = layer(Tokens(x, None, 2, beside=beside)).x_CND
        return made

    assert torch.autograd.gradcheck(encode, (x,), atol=1e-5)
