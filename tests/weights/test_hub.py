"""Published weights: fetched once from a hub (here a local one), then from the cache."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from clip_states import random_state
from local_hub import OTHER, REPOSITORY, Hub
from tempme.backbones.config import BACKBONES
from tempme.errors import UnknownName
from tempme.weights import published as hub


@pytest.fixture
def local_hub() -> Iterator[Hub]:
    served = Hub()
    yield served
    served.server.shutdown()
    served.server.server_close()


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run code in a fresh process with a cache of its own: the hub's address is read at import."""

    def run_code(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
        header = "from tempme.weights import published; from tempme.weights.read import *\n"
        # A proxy, or a wish to stay offline, is for the hub far away, not for the one served here.
        inherited = {
            k: v
            for k, v in os.environ.items()
            if "proxy" not in k.lower() and k not in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
        }
        settings = {**inherited, "HF_HOME": str(tmp_path / "cache"), **environment}
        command = [sys.executable, "-c", header + code]
        return subprocess.run(command, capture_output=True, text=True, env=settings, check=False)

    return run_code


@pytest.mark.slow
def test_fetched_once_then_from_the_cache(local_hub: Hub, run: Run) -> None:
    local_hub.files[f"/{REPOSITORY}/open_clip_model.safetensors"] = save(random_state())
    code = "w = read_published('ViT-B/32', 'openai'); print(w.summary, len(w.state))"
    # Position -1 asks for the bar that a terminal shows.
    first = run(code, HF_ENDPOINT=local_hub.address, TQDM_POSITION="-1")
    assert first.returncode == 0, first.stderr
    assert f"ViT-B/32 openai ({REPOSITORY})" in first.stdout
    assert "quick_gelu (table of published tags)" in first.stdout
    assert "100%" in first.stderr  # the progress bar
    asked = len(local_hub.requests)
    assert local_hub.requests.count(f"GET /api/models/{REPOSITORY}") == 1
    again = run(code, HF_ENDPOINT=local_hub.address)
    offline = run(code, HF_HUB_OFFLINE="1")
    assert again.stdout == offline.stdout == first.stdout
    assert len(local_hub.requests) == asked


@pytest.mark.slow
def test_older_form_is_fetched_where_the_safe_one_is_not(
    local_hub: Hub, run: Run, tmp_path: Path
) -> None:
    torch.save(random_state(), tmp_path / "clip.bin")
    content = (tmp_path / "clip.bin").read_bytes()
    local_hub.files[f"/{REPOSITORY}/open_clip_pytorch_model.bin"] = content
    done = run("print(hub.fetch('ViT-B/32', 'openai').name)", HF_ENDPOINT=local_hub.address)
    assert done.stdout.strip() == "open_clip_pytorch_model.bin", done.stderr


@pytest.mark.slow
def test_hub_id_is_fetched_with_its_config_and_shards(local_hub: Hub, run: Run) -> None:
    state = random_state()
    names = sorted(state)
    shards = {"model-1.safetensors": names[:20], "model-2.safetensors": names[20:]}
    for shard, held in shards.items():
        local_hub.files[f"/{OTHER}/{shard}"] = save({name: state[name] for name in held})
    index = {"weight_map": {name: shard for shard, held in shards.items() for name in held}}
    local_hub.files[f"/{OTHER}/model.safetensors.index.json"] = json.dumps(index).encode()
    local_hub.files[f"/{OTHER}/config.json"] = b"{}"
    code = f"w = read_weights('{OTHER}', activation='gelu'); print(w.config.width, len(w.state))"
    first = run(code, HF_ENDPOINT=local_hub.address)
    assert first.stdout.split() == ["64", str(len(state))], first.stderr
    asked = [request for request in local_hub.requests if "/api/models/" in request]
    assert asked == [f"GET /api/models/{OTHER}"]
    fetched = {r.rpartition("/")[2] for r in local_hub.requests if "/resolve/" in r}
    assert fetched == {*shards, "model.safetensors.index.json", "config.json"}  # none in vain
    code += f"\nfrom tempme.retriever.names import look_up; print(look_up('{OTHER}').__class__)"
    offline = run(code, HF_HUB_OFFLINE="1")  # whether it is a saved retriever is known, too
    assert offline.stdout.startswith(first.stdout), offline.stderr
    assert "names.Plain" in offline.stdout, offline.stderr


@pytest.mark.parametrize(
    "code", ["hub.fetch('ViT-B/32', 'openai')", f"read_weights('{OTHER}')"], ids=["tag", "hub id"]
)
@pytest.mark.parametrize(
    "environment",
    [{"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:9"}],
    ids=["asked to be offline", "no connection"],
)
@pytest.mark.one_in(4)
def test_offline_without_a_cache_says_what_to_give(
    run: Run, code: str, environment: dict[str, str]
) -> None:
    done = run(code, **environment)
    line = done.stderr.strip().split("\n")[-1]
    assert line.startswith("tempme.errors.NoNetwork: cannot fetch")
    for alternative in ("--model", "weights file", "saved retriever", "scenes-tiny"):
        assert alternative in line
    assert "Retrying" not in done.stderr  # as the library alone would, for half a minute


@pytest.mark.slow
def test_repository_without_weights_is_named(local_hub: Hub, run: Run) -> None:
    done = run(f"read_weights('{OTHER}')", HF_ENDPOINT=local_hub.address)
    assert f"BadWeights: {OTHER} on the hub holds none of" in done.stderr
    absent = run("read_weights('nobody/nothing')", HF_ENDPOINT=local_hub.address)
    assert "BadWeights: the hub refuses nobody/nothing" in absent.stderr


def test_table_of_tags_is_whole() -> None:
    for (backbone, tag), row in hub.PUBLISHED.items():
        assert backbone in BACKBONES
        assert row.activation in ("quick_gelu", "gelu")
        assert row.repository.count("/") == 1
        assert hub.published(backbone, tag) is row
    for backbone in ("ViT-B/32", "ViT-B/16", "ViT-L/14"):
        assert hub.published(backbone, "openai").activation == "quick_gelu"


def test_unknown_tags_list_the_known() -> None:
    with pytest.raises(UnknownName, match=r"did you mean 'openai'\?.*metaclip_400m"):
        hub.published("ViT-B/32", "opena")
    with pytest.raises(UnknownName, match="ViT-L/14"):
        hub.published("ViT-H/14", "openai")
