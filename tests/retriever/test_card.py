"""Cards say what is known and no more; what is pushed to a hub comes back from it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import tempme
from clip_states import SMALL
from pushing_hub import TOKEN, PushingHub
from results_material import put, run
from tempme.errors import BadDataset, BadSetting
from tempme.results.runs import summarize
from tempme.retriever.card import model_card, read_result
from tempme.retriever.publish import push
from tempme.retriever.retriever import Retriever
from tempme.systems import table as zoo

REPOSITORY = "someone/scenes-tempme"


@pytest.fixture
def retriever() -> Retriever:
    made = Retriever.build(zoo.system("tempme", backbone=SMALL, frames=4), None, seed=0)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return made


def result(seed: int = 0, **more: Any) -> dict[str, Any]:
    """A run of the retriever above."""
    made = run("tempme", seed, **more)
    made["cost"]["tokens"] = TOKENS
    return made


TOKENS = sum(step.tokens_out for step in zoo.system("tempme", backbone=SMALL, frames=4).plan()[-1:])


def metadata(card: str) -> dict[str, Any]:
    """The YAML that a hub reads."""
    found: dict[str, Any] = yaml.safe_load(card.split("---\n")[1])
    return found


def test_card_states_data_metrics_and_cost(retriever: Retriever) -> None:
    summary = summarize([result(0, r1=40.0), result(1, r1=44.0)])
    card = str(model_card(retriever, REPOSITORY, result=summary, license="apache-2.0"))
    assert 'tempme.load("someone/scenes-tempme")' in card
    assert "| static | text to video | 42.0 ± 2.8 | 95.0 ± 0.0 |" in card
    assert "seeds 0, 1" in card
    assert "a-machine-2-cores" in card
    assert "steps = 300" in card
    assert f"| tokens after the last block | {TOKENS} |" in card
    assert f"| parameters that learn | {retriever.system.trainable_parameters():,} |" in card
    assert "Licence" not in card
    told = metadata(card)
    assert told["license"] == "apache-2.0"
    assert told["library_name"] == "tempme"
    assert told["pipeline_tag"] == "feature-extraction"
    assert {"tempme", "text-video-retrieval"} <= set(told["tags"])
    (index,) = told["model-index"]
    assert index["name"] == "scenes-tempme"
    first = index["results"][0]
    assert first["task"]["type"] == "text-to-video-retrieval"
    assert first["dataset"] == {
        "name": "scenes (static)",
        "type": "scenes",
        "config": "static",
        "split": "test",
    }
    assert first["metrics"][0]["value"] == 42.0
    assert first["metrics"][0]["name"] == "R@1 (42.0 ± 2.8, seeds 0, 1)"


def test_card_without_a_result_states_nothing_about_accuracy(retriever: Retriever) -> None:
    card = str(model_card(retriever, REPOSITORY))
    assert card.count("Nothing is stated") == 2
    assert "model-index" not in metadata(card)
    assert metadata(card)["license"] == "other"
    assert "Not stated by who pushed this" in card
    assert "± " not in card


def test_results_are_read_from_all_that_training_leaves(tmp_path: Path) -> None:
    put(tmp_path, result(0), result(1))
    folder = tmp_path / "scenes" / "tempme"
    wanted = summarize([result(0), result(1)])
    assert read_result(folder) == wanted
    (tmp_path / "summary.json").write_text(json.dumps(wanted))
    assert read_result(tmp_path / "summary.json") == wanted
    assert read_result(str(folder / "seed-1.json")) == summarize([result(1)])
    assert read_result(result(1)) == summarize([result(1)])
    with pytest.raises(BadDataset, match="is not a result"):
        read_result(tmp_path / "none.json")
    with pytest.raises(BadDataset, match="tempme train --result"):
        read_result({"r1": 99.0})


def test_metrics_of_another_system_are_refused(retriever: Retriever) -> None:
    with pytest.raises(BadSetting, match="of lora with 97 tokens, the retriever is tempme"):
        model_card(retriever, REPOSITORY, result=run("lora", 0))
    with pytest.raises(BadSetting, match="with 97 tokens"):
        model_card(retriever, REPOSITORY, result=run("tempme", 0))


def test_paths_of_a_machine_are_not_told(retriever: Retriever) -> None:
    one = result()
    one["settings"]["data"] |= {"videos": "/home/someone/videos", "annotations": "/home/a"}
    retriever.origin = "/home/someone/runs/backbone"
    card = str(model_card(retriever, REPOSITORY, result=one))
    assert "/home" not in card
    assert "It started from backbone." in card


def test_names_without_an_owner_are_refused(retriever: Retriever) -> None:
    for name in ("scenes-tempme", "a/b/c", "ViT-B/32"):
        with pytest.raises(BadSetting, match="OWNER/NAME"):
            push(retriever, name)


@pytest.fixture
def hub() -> Iterator[PushingHub]:
    served = PushingHub()
    yield served
    served.server.shutdown()
    served.server.server_close()


Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run_code(tmp_path: Path) -> Cli:
    """Fresh processes with a cache of their own: the hub's address is read at import."""

    def in_process(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        inherited = {
            k: v
            for k, v in os.environ.items()
            if "proxy" not in k.lower() and not k.startswith(("HF_", "TRANSFORMERS_", "HUGGING"))
        }
        own = {"HF_HOME": str(tmp_path / "cache"), "HF_HUB_DISABLE_XET": "1"}
        return subprocess.run(
            [sys.executable, *command],
            capture_output=True,
            text=True,
            env={**inherited, **own, **environment},
            check=False,
        )

    return in_process


CLI = ("-c", "from tempme.cli import main; main()", "push")
ROUND_TRIP = """
import sys, torch, tempme
folder, repository, result, token = sys.argv[1:]
pushed = tempme.load(folder)
print(pushed.push_to_hub(repository, result=result, private=True, token=token))
again = tempme.load(repository)
frames = torch.randn(2, 4, 3, 32, 32)
assert torch.equal(again.encode_videos(frames), pushed.encode_videos(frames))
assert again.fingerprint == pushed.fingerprint
"""


@pytest.mark.slow
def test_what_is_pushed_comes_back(
    hub: PushingHub, run_code: Cli, retriever: Retriever, tmp_path: Path
) -> None:
    retriever.origin = str(tmp_path / "backbone")
    folder = retriever.save(tmp_path / "model")
    put(tmp_path, result(0), result(1))
    done = run_code(
        *("-c", ROUND_TRIP, str(folder), REPOSITORY, str(tmp_path / "scenes/tempme"), TOKEN),
        HF_ENDPOINT=hub.address,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"{hub.address}/{REPOSITORY}"
    assert hub.repositories[REPOSITORY]["visibility"] == "private"
    names = {path.removeprefix(f"/{REPOSITORY}/") for path in hub.files}
    assert names == {"README.md", "system.toml", "weights.safetensors", "tokenizer.json"}
    card = hub.files[f"/{REPOSITORY}/README.md"].decode()
    assert set(hub.cards) == {card}  # whose metadata the hub was asked about
    assert "seeds 0, 1" in card
    assert hub.files[f"/{REPOSITORY}/weights.safetensors"] == (
        (folder / "weights.safetensors").read_bytes()
    )
    assert str(tmp_path) not in hub.files[f"/{REPOSITORY}/system.toml"].decode()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({}, "no token to push someone/scenes-tempme with: `hf auth login`"),
        ({"HF_TOKEN": "hf_may_not"}, "the hub does not let this token write to someone/"),
        ({"HF_TOKEN": TOKEN, "HF_HUB_OFFLINE": "1"}, "cannot push someone/scenes-tempme (Offline"),
        ({"HF_TOKEN": TOKEN, "HF_ENDPOINT": "http://127.0.0.1:9"}, "cannot push someone/scenes"),
    ],
    ids=["no token", "no right", "asked to be offline", "no connection"],
)
def test_what_cannot_be_pushed_is_one_line(
    hub: PushingHub,
    run_code: Cli,
    retriever: Retriever,
    tmp_path: Path,
    environment: dict[str, str],
    message: str,
) -> None:
    folder = retriever.save(tmp_path / "model")
    done = run_code(*(*CLI, str(folder), REPOSITORY), **{"HF_ENDPOINT": hub.address, **environment})
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(f"error: {message}"), done.stderr
    assert done.stderr.count("\n") == 1
    assert not hub.files


@pytest.mark.slow
def test_the_verb_prints_the_page(
    hub: PushingHub, run_code: Cli, retriever: Retriever, tmp_path: Path
) -> None:
    folder = retriever.save(tmp_path / "model")
    done = run_code(
        *(*CLI, str(folder), REPOSITORY, "--license", "mit", "--json"),
        HF_ENDPOINT=hub.address,
        HF_TOKEN=TOKEN,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "repo_id": REPOSITORY,
        "page": f"{hub.address}/{REPOSITORY}",
    }
    assert metadata(hub.files[f"/{REPOSITORY}/README.md"].decode())["license"] == "mit"
    assert "visibility" not in hub.repositories[REPOSITORY] or (
        hub.repositories[REPOSITORY]["visibility"] == "public"
    )
    assert tempme.load(folder).system.name == "tempme"
