"""Published weights by name, fetched once through huggingface_hub into its cache.

What is in the cache is used without a look at the network. The licence of weights is their
publisher's: read the page of the repository before you build on them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tempme.backbones.config import OPENAI_MEAN, OPENAI_STD
from tempme.backbones.sizes import BACKBONES
from tempme.errors import BadWeights, NoNetwork, UnknownName
from tempme.weights.files import FOLDER_FILES, read_json

OPEN_CLIP_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
HALVES = (0.5, 0.5, 0.5)
_CONFIGS = (
    *("open_clip_config.json", "config.json", "preprocessor_config.json"),
    *("tokenizer_config.json", "vocab.json"),  # whose words they read
)
_TIMEOUT_SECONDS = 5.0


_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+(?<!\.pt)(?<!\.pth)(?<!\.bin)(?<!\.safetensors)")


@dataclass(frozen=True)
class Published:
    """Where weights are, and what the weights themselves do not tell."""

    repository: str
    activation: str
    mean: tuple[float, float, float] = OPENAI_MEAN
    std: tuple[float, float, float] = OPENAI_STD
    files: tuple[str, ...] = OPEN_CLIP_FILES


# Tags and activations as in open_clip's `pretrained.py`.
PUBLISHED: dict[tuple[str, str], Published] = {
    ("ViT-B/32", "openai"): Published("timm/vit_base_patch32_clip_224.openai", "quick_gelu"),
    ("ViT-B/32", "laion400m_e31"): Published(
        "timm/vit_base_patch32_clip_224.laion400m_e31", "quick_gelu"
    ),
    ("ViT-B/32", "laion400m_e32"): Published(
        "timm/vit_base_patch32_clip_224.laion400m_e32", "quick_gelu"
    ),
    ("ViT-B/32", "laion2b_s34b_b79k"): Published("laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "gelu"),
    ("ViT-B/32", "datacomp_xl_s13b_b90k"): Published(
        "laion/CLIP-ViT-B-32-DataComp.XL-s13B-b90K", "gelu"
    ),
    ("ViT-B/32", "metaclip_400m"): Published(
        "timm/vit_base_patch32_clip_224.metaclip_400m", "quick_gelu"
    ),
    ("ViT-B/32", "metaclip_fullcc"): Published(
        "timm/vit_base_patch32_clip_224.metaclip_2pt5b", "quick_gelu"
    ),
    ("ViT-B/16", "openai"): Published("timm/vit_base_patch16_clip_224.openai", "quick_gelu"),
    ("ViT-B/16", "laion400m_e31"): Published(
        "timm/vit_base_patch16_clip_224.laion400m_e31", "gelu"
    ),
    ("ViT-B/16", "laion400m_e32"): Published(
        "timm/vit_base_patch16_clip_224.laion400m_e32", "gelu"
    ),
    ("ViT-B/16", "laion2b_s34b_b88k"): Published("laion/CLIP-ViT-B-16-laion2B-s34B-b88K", "gelu"),
    ("ViT-B/16", "datacomp_xl_s13b_b90k"): Published(
        "laion/CLIP-ViT-B-16-DataComp.XL-s13B-b90K", "gelu"
    ),
    ("ViT-B/16", "dfn2b"): Published("apple/DFN2B-CLIP-ViT-B-16", "quick_gelu"),
    ("ViT-B/16", "metaclip_400m"): Published(
        "timm/vit_base_patch16_clip_224.metaclip_400m", "quick_gelu"
    ),
    ("ViT-B/16", "metaclip_fullcc"): Published(
        "timm/vit_base_patch16_clip_224.metaclip_2pt5b", "quick_gelu"
    ),
    ("ViT-L/14", "openai"): Published("timm/vit_large_patch14_clip_224.openai", "quick_gelu"),
    ("ViT-L/14", "laion400m_e32"): Published(
        "timm/vit_large_patch14_clip_224.laion400m_e32", "gelu"
    ),
    ("ViT-L/14", "laion2b_s32b_b82k"): Published(
        "laion/CLIP-ViT-L-14-laion2B-s32B-b82K", "gelu", mean=HALVES, std=HALVES
    ),
    ("ViT-L/14", "datacomp_xl_s13b_b90k"): Published(
        "laion/CLIP-ViT-L-14-DataComp.XL-s13B-b90K", "gelu"
    ),
    ("ViT-L/14", "dfn2b"): Published("apple/DFN2B-CLIP-ViT-L-14", "quick_gelu"),
    ("ViT-L/14", "dfn2b_s39b"): Published("apple/DFN2B-CLIP-ViT-L-14-39B", "gelu"),
    ("ViT-L/14", "metaclip_400m"): Published(
        "timm/vit_large_patch14_clip_224.metaclip_400m", "quick_gelu"
    ),
    ("ViT-L/14", "metaclip_fullcc"): Published(
        "timm/vit_large_patch14_clip_224.metaclip_2pt5b", "quick_gelu"
    ),
}


def published(backbone: str, tag: str) -> Published:
    """The row of the table; UnknownName lists the tags of the backbone."""
    tags = {name: row for (model, name), row in PUBLISHED.items() if model == backbone}
    if not tags:
        models = dict.fromkeys(model for model, _ in PUBLISHED)
        raise UnknownName.among("backbone with published weights", backbone, models)
    if tag not in tags:
        raise UnknownName.among(f"weights of {backbone} called", tag, tags)
    return tags[tag]


def fetch(backbone: str, tag: str) -> Path:
    """The file of published weights, from the cache or downloaded with a progress bar."""
    row = published(backbone, tag)
    for name in row.files:
        if cached := _cached(row.repository, name):
            return cached
    held = _listed(row.repository)
    for name in row.files:
        if name in held:
            return _download(row.repository, name)
    raise BadWeights(f"{row.repository} on the hub no longer holds {' or '.join(row.files)}")


def fetch_repository(repository: str) -> Path:
    """The folder of a hub repository `owner/name` with its weights and config files in it."""
    if cached := _cached_weights(repository):
        return cached.parent
    held = _listed(repository)
    name = next((name for name in FOLDER_FILES if name in held), None)
    if name is None:
        raise BadWeights(f"{repository} on the hub holds none of {', '.join(FOLDER_FILES)}")
    for config in _CONFIGS:
        if config in held:
            _download(repository, config)
    path = _download(repository, name)
    for part in _parts(path):
        _download(repository, part)
    return path.parent


def is_repository(source: str) -> bool:
    """Whether `source` has the form of a hub id, `owner/name`, not the name of a backbone."""
    return bool(_REPOSITORY.fullmatch(source)) and source not in BACKBONES


def fetch_saved(repository: str, names: Sequence[str]) -> Path | None:
    """The folder of a hub repository that holds all `names`; None where it lacks the first.

    The first is fetched first: a cache that holds weights without it holds plain weights.
    """
    cached = [_cached(repository, name) for name in names]
    if cached[0] is None and (_cached_weights(repository) or names[0] not in _listed(repository)):
        return None
    paths = [path or _download(repository, name) for path, name in zip(cached, names, strict=True)]
    return paths[0].parent


def _cached_weights(repository: str) -> Path | None:
    """The first file of weights that the cache holds with all its parts."""
    for name in FOLDER_FILES:
        cached = _cached(repository, name)
        if cached and all(_cached(repository, part) for part in _parts(cached)):
            return cached
    return None


def _parts(path: Path) -> list[str]:
    """The shards that an index lists; none for a file of weights."""
    if not path.name.endswith(".index.json"):
        return []
    return sorted(set(read_json(path).get("weight_map", {}).values()))


def _cached(repository: str, name: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repository, name)
    return Path(found) if isinstance(found, str) else None


def _listed(repository: str) -> frozenset[str]:
    """The files that the hub holds: one short request, so that being offline is known fast.

    `list_repo_files` would try again for half a minute, and takes no time limit.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    try:
        info = HfApi().model_info(repository, timeout=_TIMEOUT_SECONDS)
    except HfHubHTTPError as reason:
        raise BadWeights(f"the hub refuses {repository}: {_first_line(reason)}") from reason
    except Exception as reason:  # the HTTP library, and with it its errors, differ by version
        raise _no_network(repository, reason) from reason
    return frozenset(file.rfilename for file in info.siblings or ())


def _download(repository: str, name: str) -> Path:
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(repository, name))
    except Exception as reason:  # as above; what was fetched is kept and continued next time
        raise _no_network(repository, reason) from reason


def _no_network(repository: str, reason: Exception) -> NoNetwork:
    return NoNetwork(
        f"cannot fetch {repository} ({type(reason).__name__}), and the cache does not hold it; "
        f"connect once, or give --model a weights file, a saved retriever, or scenes-tiny"
    )


def _first_line(reason: Exception) -> str:
    return str(reason).strip().split("\n")[0]
