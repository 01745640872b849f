"""Adapting, from videos to a saved retriever: what it gains, keeps, refuses, and goes on from."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from adapting_material import SMALL, dense_folder, films
from tempme.adapting import learning
from tempme.adapting.keeping import CARD, RUN, Folder
from tempme.adapting.run import adapt
from tempme.adapting.settings import Adapting
from tempme.errors import BadSetting, BadVideo, BadWeights, UnknownName
from tempme.index import Index
from tempme.index.header import Cutting
from tempme.retriever.retriever import Retriever
from tempme.scenes import write
from tempme.training.distillation import DistillationTask


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dense_folder(tmp_path_factory.mktemp("dense") / "model")


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return films(tmp_path_factory.mktemp("films"))


@pytest.fixture(scope="module")
def whole(
    model: Path, videos: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    """A run that nothing disturbed, and what it told."""
    out = tmp_path_factory.mktemp("whole") / "made"
    return out, adapt(videos, model, out, SMALL)


@pytest.mark.slow
def test_what_comes_out_is_a_saved_retriever_that_costs_less(
    whole: tuple[Path, dict[str, Any]], model: Path, videos: Path, tmp_path: Path
) -> None:
    out, report = whole
    made, dense = Retriever.load(out), Retriever.load(model)
    assert made.system.name == "tempme"
    assert made.fingerprint == report["fingerprint"]
    assert report["cost"]["merged_gmacs"] == pytest.approx(made.system.cost().gmacs, abs=1e-3)
    assert report["cost"]["share"] <= 0.6
    texts = ["a red circle", "a blue star on sand"]
    assert torch.allclose(made.encode_texts(texts), dense.encode_texts(texts), atol=1e-6)
    assert report["windows"] == {"all": 24, "learnt": 20, "held_out": 4}
    assert report["videos"]["read"] == report["videos"]["found"] == 6
    index = Index.open(tmp_path / "i", retriever=str(out), create=True, every_seconds=0.5)
    assert index.add(videos, workers=1).videos.indexed == 6
    assert len(index.search("a red circle", 3)) == 3


def test_a_report_says_what_was_gained(whole: tuple[Path, dict[str, Any]]) -> None:
    out, report = whole
    assert json.loads((out / "adapted.json").read_text()) == json.loads(json.dumps(report))
    for kind in ("untrained", "adapted"):
        found = report["agreement"][kind]
        for of in ("cosine", "overlap"):
            assert 0 <= found[of]["low"] <= found[of]["mean"] <= found[of]["high"] <= 1 + 1e-6
        assert (found["num_windows"], found["nearest"], found["num_phrases"]) == (4, 10, 1000)
    for kind in ("alone", "overlapping"):
        assert report["speed"][kind].keys() == {"dense", "merged", "times"}
    assert report["validations"][0]["step"] == 2
    card = (out / CARD).read_text("utf-8")
    assert "over 4 windows that it did not learn from" in card
    assert "film-" not in card  # nothing of the videos is told to whoever reads it
    assert not (out / RUN).exists()


def test_a_finished_run_is_told_again(
    whole: tuple[Path, dict[str, Any]], model: Path, videos: Path
) -> None:
    out, report = whole
    before = (out / "weights.safetensors").stat().st_mtime_ns
    assert adapt(videos, model, out, SMALL) == json.loads(json.dumps(report))
    assert (out / "weights.safetensors").stat().st_mtime_ns == before


class Cut(Exception):
    """The end of a run before its time."""


@pytest.mark.slow
@pytest.mark.parametrize("step", [0, 3])
def test_a_run_that_was_cut_off_ends_as_one_that_was_not(
    whole: tuple[Path, dict[str, Any]],
    model: Path,
    videos: Path,
    tmp_path: Path,
    step: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    part = learning.TaughtBatches.part

    def cut(self: learning.TaughtBatches, number: int, rank: int, world: int) -> Any:
        if number == step:
            raise Cut
        return part(self, number, rank, world)

    out = tmp_path / "made"
    with monkeypatch.context() as patched:
        patched.setattr(learning.TaughtBatches, "part", cut)
        with pytest.raises(Cut):
            adapt(videos, model, out, SMALL)
    assert (out / RUN / "features.npz").exists()
    gone = tmp_path / "gone"
    shutil.copytree(videos, gone)  # what was read is kept: the videos are not read again
    with monkeypatch.context() as patched:
        patched.setattr("tempme.adapting.run.sample_windows", None)
        patched.setattr("tempme.adapting.run.background_of", None)
        report = adapt(videos, model, out, SMALL)
    undisturbed = whole[1]
    for key in ("fingerprint", "validations", "history", "best_score", "agreement", "steps"):
        assert report[key] == undisturbed[key], key
    names = ("weights.safetensors", "system.toml")
    assert all((out / name).read_bytes() == (whole[0] / name).read_bytes() for name in names)


@pytest.mark.slow
def test_learning_brings_the_video_encoder_nearer_and_leaves_texts_alone(tmp_path: Path) -> None:
    write(24, tmp_path / "videos", size=112, fps=4)
    hard = Adapting(
        budget=0.35,
        windows=40,
        steps=16,
        batch=8,
        validate_every=8,
        cutting=Cutting(every_seconds=0.4, fit="squash"),
    )
    report = adapt(tmp_path / "videos", "scenes-tiny", tmp_path / "made", hard)
    assert report["helped"]
    assert report["best_score"] > report["untrained_score"]
    near = [report["agreement"][kind]["cosine"]["mean"] for kind in ("adapted", "untrained")]
    assert near[0] > near[1]
    made = Retriever.load(tmp_path / "made")
    learnt = {n: v for n, v in made.backbone.state_dict().items() if n.endswith("up.weight")}
    assert {name.split(".")[0]: bool(value.any()) for name, value in learnt.items()} == {
        "vision": True,
        "text": False,
    }


@pytest.mark.slow
def test_what_does_not_help_is_not_kept(
    model: Path, videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = DistillationTask.training_step
    monkeypatch.setattr(DistillationTask, "training_step", lambda *a: -step(*a))  # it unlearns
    wild = replace(SMALL, steps=4, learning_rate=0.05)
    report = adapt(videos, model, tmp_path / "wild", wild)
    assert not report["helped"]
    assert report["agreement"]["adapted"] == report["agreement"]["untrained"]


@pytest.mark.parametrize("name", ["tempme-full", "tome", "evit", "sta", "testa"])
@pytest.mark.one_in(6)
def test_rows_whose_compression_can_learn(
    model: Path, videos: Path, tmp_path: Path, name: str
) -> None:
    few = replace(SMALL, system=name, steps=1, budget=0.8)
    report = adapt(videos, model, tmp_path / name, few)
    assert Retriever.load(tmp_path / name).system.name == name
    assert report["cost"]["share"] <= 0.8


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"system": "lora"}, "lora keeps every token"),
        ({"system": "prompt-tempme"}, "prompt-tempme reads texts otherwise than the dense model"),
        ({"system": "dgl"}, "dgl keeps every token|needs a pooling|pooling"),
        ({"budget": 0.01}, "tempme costs .* at least"),
        ({"budget": 2.0}, "it is a share of the dense multiply-adds"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(
    model: Path, videos: Path, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(BadSetting, match=said):
        adapt(videos, model, tmp_path / "made", replace(SMALL, **changes))
    assert not (tmp_path / "made").exists()


def test_no_such_row_model_or_folder(model: Path, videos: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="did you mean 'tempme'"):
        adapt(videos, model, tmp_path / "made", replace(SMALL, system="tempmee"))
    with pytest.raises(BadWeights, match="no model"):
        adapt(videos, tmp_path / "nowhere", tmp_path / "made", SMALL)
    with pytest.raises(BadSetting, match=r"no such file or folder: .*gone"):
        adapt(tmp_path / "gone", model, tmp_path / "made", SMALL)
    with pytest.raises(BadSetting, match="no paths given"):
        adapt([], model, tmp_path / "made", SMALL)
    assert not (tmp_path / "made").exists()


def test_a_teacher_that_merges_or_is_more_than_its_backbone(videos: Path, tmp_path: Path) -> None:
    merging = dense_folder(tmp_path / "tempme", "tempme")
    with pytest.raises(BadSetting, match="is a tempme, which leaves tokens out by itself"):
        adapt(videos, merging, tmp_path / "made", SMALL)
    more = dense_folder(tmp_path / "adapter", "adapter")
    with pytest.raises(BadWeights, match="is more than its backbone"):
        adapt(videos, more, tmp_path / "made", SMALL)


@pytest.mark.slow
def test_the_teacher_keeps_what_it_learnt(videos: Path, tmp_path: Path) -> None:
    dense = Retriever.load(dense_folder(tmp_path / "model"))
    with torch.no_grad():
        for name, value in dense.named_parameters():
            if name.endswith("up.weight"):
                value.normal_(std=0.1, generator=torch.Generator().manual_seed(0))
    dense.save(tmp_path / "tuned")
    report = adapt(videos, tmp_path / "tuned", tmp_path / "made", replace(SMALL, steps=1))
    made, tuned = Retriever.load(tmp_path / "made"), Retriever.load(tmp_path / "tuned")
    texts = ["a red circle", "a blue star on sand"]
    assert torch.allclose(made.encode_texts(texts), tuned.encode_texts(texts), atol=1e-5)
    assert report["agreement"]["untrained"]["cosine"]["mean"] > 0.8


def test_a_folder_of_something_else_and_another_run(
    whole: tuple[Path, dict[str, Any]], model: Path, videos: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(BadSetting, match=r"holds letter\.txt already: give --out another folder"):
        adapt(videos, model, tmp_path / "mine", SMALL)
    with pytest.raises(BadSetting, match=r"is a file: give --out a folder"):
        adapt(videos, model, tmp_path / "mine" / "letter.txt", SMALL)
    with pytest.raises(BadSetting, match=r"another run \(.*budget is 0\.6 there, 0\.5 here"):
        adapt(videos, model, whole[0], replace(SMALL, budget=0.5))
    with pytest.raises(BadSetting, match=r"\(system is 'tempme' there, not given here\)"):
        adapt(videos, model, whole[0], replace(SMALL, system=None))
    adapt(videos, model, whole[0], replace(SMALL, save_every=4))  # which decides nothing


@pytest.mark.slow
def test_too_few_windows_broken_videos_and_one_video(model: Path, tmp_path: Path) -> None:
    (tmp_path / "some").mkdir()
    out = tmp_path / "made"
    with pytest.raises(BadVideo, match="no video was found there"):
        adapt(tmp_path / "some", model, out, SMALL)
    broken = tmp_path / "some" / "broken.mp4"
    broken.write_bytes(b"no video" * 500)
    with pytest.raises(BadVideo, match="no video could be read"):
        adapt(tmp_path / "some", model, out, SMALL)
    films(tmp_path / "some", 1)
    with pytest.raises(BadVideo, match=r"give \d+ windows, \d+ to learn .* a window being 4 s"):
        adapt(
            tmp_path / "some",
            model,
            out,
            replace(SMALL, cutting=replace(SMALL.cutting, every_seconds=1.0)),
        )
    finer = replace(SMALL, steps=1, cutting=replace(SMALL.cutting, every_seconds=0.1))
    report = adapt(
        tmp_path / "some", model, out, finer
    )  # what failed before left nothing in the way
    assert report["videos"]["read"] == 1
    assert [Path(one["path"]).name for one in report["videos"]["failures"]] == ["broken.mp4"]
    assert report["agreement"]["adapted"]["drawn"] == "windows"


@pytest.mark.slow
def test_what_was_kept_and_is_damaged_says_so(model: Path, videos: Path, tmp_path: Path) -> None:
    folder = Folder(tmp_path / "made")
    adapt(videos, model, folder.path, replace(SMALL, steps=1))
    (folder.path / "system.toml").unlink()
    folder.run.mkdir()
    (folder.run / "windows.json").write_text("{}")
    with pytest.raises(BadSetting, match=r"damaged, so that the run cannot go on: remove .*run"):
        adapt(videos, model, folder.path, replace(SMALL, steps=1))
