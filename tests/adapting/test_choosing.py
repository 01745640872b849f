"""The system of a new index: what agrees with the dense model, unless a person says otherwise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from adapting_material import dense_folder, films, plain_weights
from tempme.adapting import choosing
from tempme.adapting.choosing import LEAST, WINDOWS, Wanted, measured, open_index
from tempme.adapting.models import dense_model, merging_model, row_for
from tempme.errors import BadSetting, WrongModel
from tempme.index import Index
from tempme.index.header import Cutting
from tempme.systems.budget import share_of_dense
from terminals import Terminal

CUT = {"every_seconds": 0.5}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return plain_weights(tmp_path_factory.mktemp("weights") / "clip.pt")


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return films(tmp_path_factory.mktemp("films"))


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(monkeypatch, capfd, "index")


def name_of(index: Path) -> str:
    return Index.open(index).header.fingerprint.rpartition("-")[0]


@pytest.mark.slow
def test_what_is_measured_is_quick_and_the_same_every_time(weights: Path, videos: Path) -> None:
    dense = dense_model(weights)
    merging = merging_model(dense, row_for(dense, "tempme", None))
    cutting = Cutting(every_seconds=0.5, fit="squash")
    found, again = (measured(dense, merging, [videos], cutting=cutting) for _ in range(2))
    assert found is not None
    assert found == again
    assert LEAST <= found.num_windows <= WINDOWS
    assert found.cosine.mean > 0.9  # untrained LoRA and positions are zero
    same = measured(dense, dense, [videos], cutting=cutting)
    assert same is not None
    assert same.overlap.low == 1
    assert measured(dense, merging, [videos / "film-0.mp4"], cutting=cutting) is None
    assert measured(dense, merging, [Path(__file__)], cutting=cutting) is None


@pytest.mark.slow
@pytest.mark.parametrize(("limit", "chosen"), [(0.0, "earlytom"), (1.1, "clip4clip")])
def test_an_index_merges_where_the_agreement_holds_the_limit(
    run: Terminal,
    weights: Path,
    videos: Path,
    tmp_path: Path,
    limit: float,
    chosen: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(choosing, "LIMIT", limit)
    words = (videos, "--index", tmp_path / "i", "--model", weights, "--every-seconds", "0.5")
    done = run(*words)
    assert done.code == 0, done.err
    (line,) = (line for line in done.err.splitlines() if line.startswith("system: "))
    assert line.startswith(f"system: {chosen} (")
    assert "of the nearest phrases are the same in" in line
    assert ("`tempme adapt` teaches it" in line) == (chosen == "clip4clip")
    assert name_of(tmp_path / "i") == chosen
    monkeypatch.setattr(choosing, "measured", None)  # an index keeps what it has
    again = run(*words)
    assert again.code == 0, again.err
    assert "6 unchanged" in again.out
    assert "system: " not in again.err
    assert run(*words[:3]).code == 0  # and needs no --model


@pytest.mark.slow
def test_a_person_overrules_it_and_an_index_keeps_it(
    run: Terminal, weights: Path, videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choosing, "measured", None)
    folder = tmp_path / "half"
    words = (videos, "--index", folder, "--every-seconds", "0.5")
    half = ("--system", "tome", "--budget", "0.5")
    done = run(*words, "--model", weights, *half)
    assert done.code == 0, done.err
    assert "system: tome (" in done.err
    assert "as asked; it is untrained" in done.err
    assert name_of(folder) == "tome"
    assert share_of_dense(Index.open(folder).retriever.system) <= 0.5  # type: ignore[attr-defined]
    assert run(*words, "--model", weights, *half).code == 0
    assert run(*words, *half).code == 0
    assert run(*words, "--model", weights).code == 0
    assert "has the system tome, not tempme" in run(*words, "--system", "tempme").refusal
    assert run(*words, "--budget", "0.5").code == 0  # of the system that it has
    assert "not with a budget of 0.4" in run(*words, "--budget", "0.4").refusal
    other = run(*words, "--system", "tome", "--budget", "0.9").refusal
    assert "not with a budget of 0.9: leave --system and --budget out" in other
    dense = tmp_path / "dense"
    asked = run(videos, "--index", dense, "--model", weights, "--system", "clip4clip")
    assert "system: clip4clip, as asked" in asked.err
    refused = run(videos, "--index", dense, "--system", "clip4clip", "--budget", "0.5").refusal
    assert "keeps every token" in refused
    assert "not earlytom" in run(videos, "--index", dense, "--budget", "0.5").refusal


@pytest.mark.slow
def test_the_same_weights_are_told_from_others(weights: Path, videos: Path, tmp_path: Path) -> None:
    wanted = Wanted(str(weights), "tempme", cutting=CUT)
    index = open_index(tmp_path / "i", [videos], wanted).index
    index.add(videos, workers=1)
    again = open_index(tmp_path / "i", [videos], Wanted(str(weights))).index
    assert np.allclose(
        again.retriever.encode_texts(["a dog"]), index.retriever.encode_texts(["a dog"])
    )
    other = plain_weights(tmp_path / "other.pt")
    state = torch.load(other, weights_only=True)
    torch.save({name: 1.1 * value for name, value in state.items()}, other)
    with pytest.raises(WrongModel, match="was made by the model tempme-"):
        open_index(tmp_path / "i", [videos], Wanted(str(other)))


@pytest.mark.slow
def test_a_saved_retriever_keeps_its_own_system(
    run: Terminal, videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choosing, "measured", None)
    saved = dense_folder(tmp_path / "saved")
    words = (videos, "--index", tmp_path / "i", "--model", saved)
    refused = run(*words, "--system", "tempme").refusal
    assert "is a saved retriever, whose system is its own: leave --system and --budget" in refused
    assert not (tmp_path / "i").exists()
    done = run(*words)
    assert done.code == 0, done.err
    assert "system: " not in done.err
    assert name_of(tmp_path / "i") == "lora"


def test_what_cannot_be_leaves_no_index(weights: Path, videos: Path, tmp_path: Path) -> None:
    for wanted, said in (
        (Wanted(str(weights), "tempme", 0.001), r"tempme costs .* at least"),
        (Wanted(str(weights), "lora", 0.5), "lora keeps every token"),
        (Wanted(str(weights), "clip4clip", 0.5), "clip4clip keeps every token"),
    ):
        with pytest.raises(BadSetting, match=said):
            open_index(tmp_path / "i", [videos], wanted)
    assert not (tmp_path / "i").exists()
