"""The folder of a run: one run at a time, and models that cannot be taught."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from adapting_material import SMALL, dense_folder, films, plain_weights
from small_models import small
from tempme.adapting.keeping import Folder
from tempme.adapting.models import dense_model, learning_videos, merging_model, row_for
from tempme.adapting.run import adapt
from tempme.errors import BadWeights, IndexBusy
from tempme.index.lock import writing
from tempme.retriever.retriever import Retriever
from tempme.systems.budget import share_of_dense
from tempme.systems.table import system


@pytest.mark.slow
def test_two_runs_in_one_folder(tmp_path: Path) -> None:
    model, videos = dense_folder(tmp_path / "model"), films(tmp_path / "films", 1)
    folder = Folder(tmp_path / "made")
    folder.run.mkdir(parents=True)
    with (
        writing(folder.run, what="the run in"),
        pytest.raises(
            IndexBusy, match=r"another run is writing to the run in .*made.run \(process"
        ),
    ):
        adapt(videos, model, folder.path, SMALL)
    assert not (folder.path / "adapting.json").exists()  # the other run's is not touched


def test_a_folder_that_is_not_there_is_no_name_on_a_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Folder(Path("mine") / "made")  # as owner/name would be
    folder.check({})
    assert folder.report() is None


def test_weights_without_words(tmp_path: Path) -> None:
    state = torch.load(plain_weights(tmp_path / "clip.pt"), weights_only=True)
    images = {name: value for name, value in state.items() if name.startswith("visual")}
    torch.save(images, tmp_path / "images.pt")
    with pytest.raises(BadWeights, match=r"images\.pt"):
        dense_model(tmp_path / "images.pt")


def test_a_shipped_model_gives_its_backbone() -> None:
    teacher = dense_model("scenes-tiny")
    assert teacher.system.name == "clip4clip"
    row = row_for(teacher, "tempme", 0.5)
    student = merging_model(teacher, row)
    texts = ["a red circle above a blue star"]
    assert torch.allclose(student.encode_texts(texts), teacher.encode_texts(texts), atol=1e-6)
    assert student.unread("zebra") == teacher.unread("zebra") != ""


@pytest.mark.parametrize("tuning", ["clip4clip", "lora"])
def test_a_student_that_does_not_learn_shares_what_it_has_from_its_teacher(tuning: str) -> None:
    teacher = small(tuning)  # what LoRA learnt is not zero
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    row = row_for(teacher, "tempme", None)
    apart, shared = (merging_model(teacher, row, shared=shares) for shares in (False, True))
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())
    learnt, same = apart.state_dict(), shared.state_dict()
    assert all(torch.equal(value, same[name]) for name, value in learnt.items())
    own = {value.data_ptr() for value in teacher.state_dict().values()}
    embedding = "backbone.text.token_embedding.weight"
    assert same[embedding].data_ptr() in own
    assert not own & {value.data_ptr() for value in learnt.values()}


def test_where_nobody_says_what_merges_it_costs_half() -> None:
    teacher = dense_model("scenes-tiny")
    chosen, cheaper = row_for(teacher, None, None), row_for(teacher, None, 0.3)
    assert chosen.name == cheaper.name == "earlytom"
    assert 0.4 < share_of_dense(chosen) <= 0.5
    assert 0.2 < share_of_dense(cheaper) <= 0.3
    assert row_for(teacher, "earlytom", None) == replace(
        system("earlytom", backbone=chosen.backbone), max_words=chosen.max_words
    )


def test_what_learns_is_what_it_was_once_learning_is_over(tmp_path: Path) -> None:
    teacher = Retriever.load(dense_folder(tmp_path / "model"))
    for name in ("tempme", "tempme-full"):
        student = merging_model(teacher, row_for(teacher, name, None))
        before = {n for n, p in student.named_parameters() if p.requires_grad}
        with learning_videos(student):
            inside = {n for n, p in student.named_parameters() if p.requires_grad}
            assert inside
            assert all(n.startswith("backbone.vision.") for n in inside)
        assert {n for n, p in student.named_parameters() if p.requires_grad} == before > inside
