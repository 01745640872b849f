"""DGL's and MV-Adapter's image towers as slow loops over frames, heads and queries.

They read weights by name and share no code with the package: each line is meant to be checked
against the papers' equations. Double precision throughout.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

State = Mapping[str, Tensor]


def norm(x: Tensor, state: State, name: str) -> Tensor:
    mean = x.mean(dim=-1, keepdim=True)
    variance = ((x - mean) ** 2).mean(dim=-1, keepdim=True)
    return (x - mean) / (variance + 1e-5).sqrt() * state[f"{name}.weight"] + state[f"{name}.bias"]


def linear(x: Tensor, state: State, name: str) -> Tensor:
    y = x @ state[f"{name}.weight"].T
    return y + state[f"{name}.bias"] if f"{name}.bias" in state else y


def quick_gelu(x: Tensor) -> Tensor:
    return x / (1 + torch.exp(-1.702 * x))


def attend(asking: Tensor, answering: Tensor, state: State, name: str, heads: int) -> Tensor:
    """Normed rows that ask, normed rows that answer -> what each asking row hears."""
    width = asking.shape[-1]
    of_head = width // heads
    rows = []
    for row in asking:
        heard = []
        for head in range(heads):
            part = slice(head * of_head, (head + 1) * of_head)
            projected = []
            for index, source in enumerate((row[None], answering, answering)):
                weight = state[f"{name}.qkv.weight"][index * width : (index + 1) * width][part]
                bias = state[f"{name}.qkv.bias"][index * width : (index + 1) * width][part]
                projected.append(source @ weight.T + bias)
            q, k, v = projected
            scores = [float(q[0] @ key) / math.sqrt(of_head) for key in k]
            most = max(scores)
            weights = [math.exp(score - most) for score in scores]
            total = sum(weights)
            heard.append(sum(w / total * value for w, value in zip(weights, v, strict=True)))
        rows.append(torch.cat(heard))
    return linear(torch.stack(rows), state, f"{name}.out")


def mlp(x: Tensor, state: State, name: str) -> Tensor:
    return linear(quick_gelu(linear(x, state, f"{name}.c_fc")), state, f"{name}.c_proj")


def embedded(frames_F3HW: Tensor, state: State, patch: int) -> list[Tensor]:
    """Every frame's class token and patches, before the first block."""
    kernel = state["vision.patch_embedding.weight"].flatten(1)
    out = []
    for frame in frames_F3HW:
        rows = [state["vision.class_embedding"]]
        for top in range(0, frame.shape[1], patch):
            for left in range(0, frame.shape[2], patch):
                cell = frame[:, top : top + patch, left : left + patch]
                rows.append(kernel @ cell.flatten())
        x = torch.stack(rows) + state["vision.position_embedding"]
        out.append(norm(x, state, "vision.ln_pre"))
    return out


def dgl(frames_F3HW: Tensor, state: State, *, layers: int, heads: int, patch: int) -> Tensor:
    """One video -> its first global token in the space of texts (DGL-Linear)."""
    frames = embedded(frames_F3HW, state, patch)
    video = state["vision.layers.0.born.value"]
    for layer in range(layers):
        block = f"vision.layers.{layer}.layer"
        local = state["space.value"][layer]
        # Prompts take the rows behind the class token, as in the original.
        frames = [torch.cat([x[:1], local, x[-(len(x) - 1) :]]) for x in frames]
        normed = [norm(x, state, f"{block}.ln_1") for x in frames]
        normed_video = norm(video, state, f"{block}.ln_1")
        heard = [
            attend(x, torch.cat([normed_video, x]), state, f"{block}.attn", heads) for x in normed
        ]
        everything = torch.cat([normed_video, *normed])
        video = video + attend(normed_video, everything, state, f"{block}.attn", heads)
        frames = [x + y for x, y in zip(frames, heard, strict=True)]
        frames = [x + mlp(norm(x, state, f"{block}.ln_2"), state, f"{block}.mlp") for x in frames]
        video = video + mlp(norm(video, state, f"{block}.ln_2"), state, f"{block}.mlp")
        frames = [torch.cat([x[:1], x[1 + len(local) :]]) for x in frames]
    return norm(video[0], state, "vision.ln_post") @ state["vision.projection"]


def mv_adapter(
    frames_F3HW: Tensor, state: State, *, layers: int, heads: int, patch: int, scale: float
) -> Tensor:
    """One video -> every frame's class token in the space of texts, no block tied."""
    frames = embedded(frames_F3HW, state, patch)
    for layer in range(layers):
        block = f"vision.layers.{layer}.layer"
        for i, x in enumerate(frames):
            h = norm(x, state, f"{block}.ln_1")
            frames[i] = x + attend(h, h, state, f"{block}.attn", heads)
        inner = [mlp(norm(x, state, f"{block}.ln_2"), state, f"{block}.mlp") for x in frames]
        update = adapter(inner, state, f"vision.layers.{layer}.adapter")
        frames = [x + u + scale * a for x, u, a in zip(frames, inner, update, strict=True)]
    led = torch.stack([x[0] for x in frames])
    return norm(led, state, "vision.ln_post") @ state["vision.projection"]


def adapter(inner: list[Tensor], state: State, name: str) -> list[Tensor]:
    """The outputs of the MLP of all frames -> what the adapter adds to each."""
    z = [quick_gelu(linear(u, state, f"{name}.down")) for u in inner]
    sequence = [state[f"{name}.whole"], *(x[0] for x in z), *(x[1:].mean(dim=0) for x in z)]
    x = norm(torch.stack(sequence) + state[f"{name}.position"], state, f"{name}.norm")
    h = norm(x, state, f"{name}.block.ln_1")
    x = x + attend(h, h, state, f"{name}.block.attn", 2)
    x = x + mlp(norm(x, state, f"{name}.block.ln_2"), state, f"{name}.block.mlp")
    x = quick_gelu(x)
    whole, classes, patches = x[0], x[1 : 1 + len(z)], x[1 + len(z) :]
    out = []
    for i, own in enumerate(z):
        seen = torch.cat([classes[i] + patches[i], linear(whole, state, f"{name}.calibration.g")])
        hidden = linear(seen, state, f"{name}.calibration.a").clamp(min=0)
        alpha = 1 + linear(hidden, state, f"{name}.calibration.b")
        out.append(linear(torch.cat([(alpha * classes[i])[None], own[1:]]), state, f"{name}.up"))
    return out
