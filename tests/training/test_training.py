"""Training: a run that was cut off ends as one that was not; the best weights stay."""

from __future__ import annotations

import csv
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from tempme.errors import BadSetting, BadWeights, MissingExtra
from tempme.retriever.retriever import Retriever
from tempme.training import (
    CHECKPOINT,
    Batch,
    Devices,
    History,
    fit,
    weights_of,
)
from training_material import RECIPE, CutOff, Drawn, learnt, retriever


def losses(folder: Path) -> list[float]:
    with (folder / "csv" / "version_0" / "metrics.csv").open(encoding="utf-8") as file:
        return [float(row["loss"]) for row in csv.DictReader(file) if row["loss"]]


def test_a_run_that_was_cut_off_ends_as_one_that_was_not(tmp_path: Path) -> None:
    undisturbed = fit(retriever(), Drawn(), RECIPE, folder=tmp_path / "whole", show_progress=False)
    whole = undisturbed.retriever
    folder = tmp_path / "cut"
    with pytest.raises(CutOff):
        fit(retriever(), Drawn(until=3), RECIPE, folder=folder, show_progress=False)
    assert (folder / CHECKPOINT).exists()
    rest = Drawn()
    again = fit(retriever(), rest, RECIPE, folder=folder, show_progress=False)
    resumed = again.retriever
    assert again.history.losses == undisturbed.history.losses
    assert rest.asked == [2, 3]  # the third batch came after the last checkpoint
    assert not resumed.training
    start = learnt(retriever())
    for name, parameter in learnt(whole).items():
        assert torch.equal(parameter, learnt(resumed)[name]), name
    assert any(not torch.equal(parameter, start[name]) for name, parameter in learnt(whole).items())


@pytest.mark.slow
def test_the_loss_falls_on_what_is_seen_again_and_again(tmp_path: Path) -> None:
    class Same(Drawn):
        def part(self, step: int, rank: int, world: int) -> Batch:
            return super().part(0 * step, rank, world)

    recipe = replace(RECIPE, steps=30, learning_rate=3e-3, paraphrase=0.1)
    fit(retriever("clip4clip"), Same(), recipe, folder=tmp_path, show_progress=False)
    told = losses(tmp_path)
    assert len(told) == 30
    assert told[-1] < 0.7 * told[0]


def test_only_what_learns_has_moved(tmp_path: Path) -> None:
    before, recipe = retriever(), replace(RECIPE, steps=2)
    after = fit(retriever(), Drawn(), recipe, folder=tmp_path, show_progress=False).retriever
    for name, parameter in before.named_parameters():
        if not parameter.requires_grad:
            assert torch.equal(parameter, after.get_parameter(name)), name


def test_the_temperature_stays_where_clip_keeps_it(tmp_path: Path) -> None:
    hot = retriever("clip4clip")
    with torch.no_grad():
        hot.backbone.logit_scale.fill_(20)
    fit(hot, Drawn(), replace(RECIPE, steps=1), folder=tmp_path, show_progress=False)
    assert hot.backbone.logit_scale.exp().item() == pytest.approx(100)


def test_the_saved_weights_can_be_a_running_mean(tmp_path: Path) -> None:
    plain = fit(retriever(), Drawn(), RECIPE, folder=tmp_path / "plain", show_progress=False)
    recipe = replace(RECIPE, average=0.5)
    mean = fit(retriever(), Drawn(), recipe, folder=tmp_path / "mean", show_progress=False)
    assert mean.history.losses == plain.history.losses  # training itself does not notice
    ends = learnt(mean.retriever)
    assert any(not torch.equal(p, ends[name]) for name, p in learnt(plain.retriever).items())


class Scores:
    """A validation whose answers are known beforehand."""

    def __init__(self, *scores: float) -> None:
        self.scores, self.seen = list(scores), []

    def __call__(self, asked: Retriever) -> tuple[float, dict[str, float]]:
        self.seen.append({name: p.detach().clone() for name, p in learnt(asked).items()})
        return self.scores[len(self.seen) - 1], {"r1": 1.0}


def test_the_best_weights_stay(tmp_path: Path) -> None:
    recipe = replace(RECIPE, validate_every=1)
    scores = Scores(1, 3, 2, 2.5)
    fitted = fit(
        retriever(), Drawn(), recipe, folder=tmp_path, validate=scores, show_progress=False
    )
    assert (fitted.best_score, fitted.steps) == (3, 4)
    assert [told["validation"] for told in fitted.history.validations] == [1, 3, 2, 2.5]
    assert [told["step"] for told in fitted.history.validations] == [1, 2, 3, 4]
    for name, value in learnt(fitted.retriever).items():
        assert torch.equal(value, scores.seen[3][name]), name
    for name, value in learnt(fitted.take_best()).items():
        assert torch.equal(value, scores.seen[1][name]), name


def test_training_stops_when_nothing_gets_better(tmp_path: Path) -> None:
    recipe = replace(RECIPE, steps=20, validate_every=1, patience=2)
    scores = Scores(1, 3, 2, 2.5, *range(20))
    fitted = fit(
        retriever(), Drawn(), recipe, folder=tmp_path, validate=scores, show_progress=False
    )
    assert fitted.steps == 4
    with pytest.raises(BadWeights, match="nothing was validated"):
        replace(fitted, folder=tmp_path / "elsewhere").take_best()


def test_a_loss_that_is_no_number_ends_the_run(tmp_path: Path) -> None:
    recipe = replace(RECIPE, steps=20, learning_rate=1e30, clip_norm=1e30, warmup=0.0)
    with pytest.raises(BadSetting, match=r"loss is nan at step \d+: try a lower recipe\.learning"):
        fit(retriever("clip4clip"), Drawn(), recipe, folder=tmp_path, show_progress=False)


def test_weights_that_are_no_numbers_are_neither_saved_nor_validated(tmp_path: Path) -> None:
    burst, scores = retriever("clip4clip"), Scores(1, 2, 3)
    burst.backbone.logit_scale.register_hook(lambda gradient: gradient * torch.nan)
    with pytest.raises(BadSetting, match=r"weights are no numbers after step 1; .* try a lower re"):
        fit(
            burst,
            Drawn(),
            replace(RECIPE, validate_every=1, save_every=50),
            folder=tmp_path,
            validate=scores,
            show_progress=False,
        )
    assert not scores.seen
    assert not (tmp_path / CHECKPOINT).exists()


@pytest.mark.parametrize("validate_every", [0, 2, 3])
def test_the_last_weights_are_saved_and_a_finished_run_can_have_more_steps(
    tmp_path: Path, validate_every: int
) -> None:
    recipe = replace(RECIPE, steps=3, save_every=2, validate_every=validate_every)
    first = fit(
        retriever(),
        Drawn(),
        recipe,
        folder=tmp_path,
        validate=Scores(*range(9)) if validate_every else None,
        show_progress=False,
    )
    saved = weights_of(tmp_path / CHECKPOINT)
    for name, value in first.retriever.state_dict().items():
        assert torch.equal(value, saved[name]), name
    rest = Drawn()
    more = fit(
        retriever(),
        rest,
        replace(recipe, steps=5),
        folder=tmp_path,
        validate=Scores(*range(9)) if validate_every else None,
        show_progress=False,
    )
    assert rest.asked == [3, 4]
    assert (more.steps, len(more.history.losses)) == (5, 5)
    asked_at = [told["step"] for told in more.history.validations]
    assert asked_at == {0: [], 2: [2, 4], 3: [3]}[validate_every]


def test_what_is_read_now_and_then_is_the_same() -> None:
    history = History(RECIPE, every=3)
    for loss in (3.0, 2.0, 1.0, 0.5):
        outputs = {"loss": torch.tensor(loss)}
        history.on_train_batch_end(None, None, outputs, None, 0)  # type: ignore[arg-type]
    assert history.state_dict()["losses"] == [3.0, 2.0, 1.0, 0.5]
    bad = {"loss": torch.tensor(torch.nan)}
    history.on_train_batch_end(None, None, bad, None, 0)  # type: ignore[arg-type]
    history.on_train_batch_end(None, None, outputs, None, 0)  # type: ignore[arg-type]
    with pytest.raises(BadSetting, match="the loss is nan at step 4"):
        history.on_train_batch_end(None, None, outputs, None, 0)  # type: ignore[arg-type]


@pytest.mark.slow
def test_what_is_said_of_a_run_is_its_own(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    fit(retriever(), Drawn(), replace(RECIPE, steps=1), folder=tmp_path, show_progress=True)
    out, err = capfd.readouterr()
    said = out + err + caplog.text
    assert "Tip" not in said
    assert "Epoch" not in said
    assert "Step" in said


def test_half_precision_needs_a_gpu(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="fp16-mixed, which needs a GPU"):
        fit(
            retriever(),
            Drawn(),
            replace(RECIPE, precision="fp16"),
            folder=tmp_path,
            devices=Devices(accelerator="cpu"),
        )


def test_logs_of_weights_and_biases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    recipe = replace(RECIPE, loggers=("csv", "wandb"))

    def train() -> None:
        fit(retriever(), Drawn(), recipe, folder=tmp_path, show_progress=False)

    if find_spec("wandb") is None:
        with pytest.raises(MissingExtra, match="pip install wandb"):
            train()
        return
    train()
    assert list(tmp_path.glob("wandb/offline-run-*"))


def test_earlier_logs_stay_where_a_run_goes_on(tmp_path: Path) -> None:
    with pytest.raises(CutOff):
        fit(retriever(), Drawn(until=3), RECIPE, folder=tmp_path, show_progress=False)
    before = losses(tmp_path)
    fit(retriever(), Drawn(), RECIPE, folder=tmp_path, show_progress=False)
    assert before == losses(tmp_path)
    assert (tmp_path / "csv" / "version_1" / "metrics.csv").exists()
