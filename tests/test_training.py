"""Training: a run that was cut off ends as one that was not; settings say what they cannot be."""

from __future__ import annotations

import csv
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from training_material import RECIPE, TINY, CutOff, Drawn, learnt, retriever

from tempme.checkpoint import build
from tempme.clip.tokenizer import Tokenizer
from tempme.datasets.batches import Pool, SceneBatches
from tempme.errors import BadSetting, BadWeights, MissingExtra
from tempme.experiments import Experiment, judge
from tempme.retriever import Retriever
from tempme.training import CHECKPOINT, Batch, BegunBatches, ContrastiveTask, Devices, Recipe, fit
from tempme.zoo import system


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
        hot.clip.logit_scale.fill_(20)
    fit(hot, Drawn(), replace(RECIPE, steps=1), folder=tmp_path, show_progress=False)
    assert hot.clip.logit_scale.exp().item() == pytest.approx(100)


def groups(recipe: Recipe, name: str = "tempme") -> dict[tuple[float, float], int]:
    """How many numbers learn at each rate and weight decay."""
    optimizer = ContrastiveTask(retriever(name), recipe).configure_optimizers()["optimizer"]
    return {
        (group["initial_lr"], group["weight_decay"]): sum(p.numel() for p in group["params"])
        for group in optimizer.param_groups
    }


def count(part: str = "") -> int:
    """How many numbers learn in the parameters whose name holds `part`."""
    return sum(p.numel() for name, p in learnt(retriever()).items() if part in name)


def test_parts_learn_at_rates_of_their_own() -> None:
    assert groups(RECIPE) == {(1e-2, 0.2): count()}
    positions = count("clip_position")
    assert 0 < positions < count()
    given = groups(replace(RECIPE, rates={"clip_position": 0.5}))
    assert given == {(0.5, 0.2): positions, (1e-2, 0.2): count() - positions}


def test_vectors_may_be_spared_from_weight_decay() -> None:
    sizes = learnt(retriever("clip4clip")).values()
    vectors = sum(p.numel() for p in sizes if p.ndim < 2)
    matrices = sum(p.numel() for p in sizes if p.ndim >= 2)
    assert groups(RECIPE, "clip4clip") == {(1e-2, 0.2): vectors + matrices}
    spared = groups(replace(RECIPE, decay_vectors=False), "clip4clip")
    assert spared == {(1e-2, 0.0): vectors, (1e-2, 0.2): matrices}


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"steps": 0}, r"recipe\.steps is 0; it must be 1 or more"),
        ({"batch": -1}, r"recipe\.batch is -1"),
        ({"save_every": 0}, r"recipe\.save_every is 0"),
        ({"warmup": 1.0}, r"recipe\.warmup is 1\.0; it is a share"),
        ({"average": -0.1}, r"recipe\.average is -0\.1"),
        ({"patience": 2}, r"set recipe\.validate_every"),
        ({"optimizer": "sgd"}, r"recipe\.optimizer is 'sgd'; possible: adamw, official"),
        ({"loggers": ("mlflow",)}, r"recipe\.loggers is 'mlflow'"),
        ({"precision": "fp8"}, r"recipe\.precision is 'fp8'; possible: .*bf16"),
    ],
)
def test_what_a_recipe_cannot_be(setting: dict[str, object], said: str) -> None:
    with pytest.raises(BadSetting, match=said):
        Recipe(**setting)  # type: ignore[arg-type]


def test_frozen_layers_run_once_for_every_scene_of_a_pool() -> None:
    pool = Pool.of(6, static=0.5, lookalikes=0, seed=0)
    words = Tokenizer.of_words(
        [caption for scene in pool.scenes for caption in scene.captions], context=TINY.context
    )
    row = system("tempme", backbone=replace(TINY, vocab=words.vocab), frames=2)
    row = replace(row, tuning=replace(row.tuning, vision_from=8))
    begun = BegunBatches(build(row, tokenizer=words, seed=0), pool, batch=4, seed=0)
    (tokens, _), captions, others, _ = begun.part(3, 0, 1)
    assert tokens.shape[:2] == (4, 2)
    assert len(captions) == len(others) == 4
    again = begun.part(3, 0, 1)
    assert torch.equal(tokens, again.frames[0])
    assert captions == again.captions
    parts = [begun.part(3, rank, 2) for rank in (0, 1)]
    assert torch.equal(tokens, torch.cat([part.frames[0] for part in parts]))
    assert [*parts[0].captions, *parts[1].captions] == captions


def test_batches_are_a_function_of_their_number() -> None:
    one, other = (SceneBatches(batch=4, frames=2, size=32, seed=1) for _ in range(2))
    frames, captions, paraphrases = one[5]
    assert frames.shape == (4, 2, 32, 32, 3)
    assert np.array_equal(frames, other[5][0])
    assert (captions, paraphrases) == other[5][1:]
    assert captions != one[6][1]
    assert all(a != b for a, b in zip(captions, paraphrases, strict=True))


EXPERIMENT = """
[system]
name = "tempme"
frames = 6
tuning = { vision_from = 8 }
[recipe]
steps = 10
betas = [0.9, 0.98]
[recipe.rates]
clip_position = 0.5
"""


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(EXPERIMENT, "utf-8")
    return path


def test_an_experiment_is_a_file(experiment: Path) -> None:
    read = Experiment.read(experiment)
    assert read.name == f"{experiment.parent.name}/small"
    assert read.recipe == Recipe(steps=10, betas=(0.9, 0.98), rates={"clip_position": 0.5})
    made = read.system.system()
    assert (made.name, made.frames) == ("tempme", 6)
    assert made.tuning.vision_from == 8  # type: ignore[attr-defined]


def test_keys_can_be_overruled(experiment: Path) -> None:
    changes = ["recipe.steps=3", "system.name=tome", "data.static = 0.25", "recipe.warmup=0"]
    read = Experiment.read(experiment, changes)
    assert (read.recipe.steps, read.recipe.warmup, read.data.static) == (3, 0, 0.25)
    assert read.system.name == "tome"
    assert Experiment.read(experiment, ["system.weights=scenes-tiny"]).system.weights


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("recipe.steps", r"--set 'recipe\.steps' is not of the form table\.key=value"),
        ("steps=3", "is not of the form"),
        ("recipe.speed=3", "speed"),
        ("recipe.steps=0", r"recipe\.steps is 0"),
        ("machine.cores=2", r"it needs \[system\] and may have data, evaluation, recipe"),
    ],
)
def test_changes_that_cannot_be(experiment: Path, change: str, said: str) -> None:
    with pytest.raises(BadSetting, match=said):
        Experiment.read(experiment, [change])


def test_files_that_are_no_experiment(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match=r"nowhere\.toml is no experiment"):
        Experiment.read(tmp_path / "nowhere.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("[system\n", "utf-8")
    with pytest.raises(BadSetting, match=r"broken\.toml is no experiment"):
        Experiment.read(broken)
    broken.write_text("[recipe]\nsteps = 3\n", "utf-8")
    with pytest.raises(BadSetting, match=r"it needs \[system\]"):
        Experiment.read(broken)


@pytest.mark.parametrize("path", sorted(Path(__file__).parents[1].glob("experiments/*/*.toml")))
def test_experiments_of_the_repository_are_whole(path: Path) -> None:
    assert Experiment.read(path).system.system().plan()


def test_a_retriever_is_judged_on_pairs_of_twins() -> None:
    found = judge(
        build(system("tome", backbone="scenes-tiny"), "scenes-tiny", seed=0), "temporal", gallery=8
    )
    assert set(found) == {"t2v", "v2t", "twins"}
    assert 0 <= found["t2v"]["r1"] <= 100


def gradients(recipe: Recipe) -> dict[str, torch.Tensor]:
    """Of the parameters that learn, in one step."""
    made = retriever()
    task = ContrastiveTask(made, recipe)
    task.log = lambda *_, **__: None  # type: ignore[method-assign,assignment]
    task.training_step(Drawn().part(0, 0, 1), 0).backward()
    return {name: p.grad for name, p in learnt(made).items() if p.grad is not None}


@pytest.mark.parametrize(
    "saving", [{"micro_batch": 1}, {"micro_batch": 3}, {"checkpoint_layers": True}]
)
def test_less_memory_leaves_the_gradients(saving: dict[str, Any]) -> None:
    recipe = replace(RECIPE, paraphrase=0.5)
    whole, saved = gradients(recipe), gradients(replace(recipe, **saving))
    assert whole.keys() == saved.keys()
    for name, gradient in whole.items():
        torch.testing.assert_close(gradient, saved[name], msg=name, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("saving", [{"micro_batch": 1}, {"checkpoint_layers": True}])
def test_less_memory_is_held_until_the_way_back(saving: dict[str, Any]) -> None:
    def held(recipe: Recipe) -> int:
        sizes: dict[int, int] = {}

        def note(x: torch.Tensor) -> torch.Tensor:
            sizes[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
            return x

        task = ContrastiveTask(retriever("clip4clip"), recipe)
        task.log = lambda *_, **__: None  # type: ignore[method-assign,assignment]
        with torch.autograd.graph.saved_tensors_hooks(note, lambda x: x):
            loss = task.training_step(Drawn().part(0, 0, 1), 0)
        assert loss.requires_grad
        return sum(sizes.values())

    assert held(replace(RECIPE, **saving)) < 0.6 * held(RECIPE)


PAGES_OF_TENSORS = """
import resource, torch
from tempme.training.memory import keep_freed_memory
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(8):
        torch.ones(10_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
asked = faults()
can = keep_freed_memory()
faults()
print(can, asked, faults())
"""


def test_freed_memory_is_there_for_the_next_step() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PAGES_OF_TENSORS], capture_output=True, text=True, check=True
    )
    can, before, after = ended.stdout.split()
    if can == "False":
        pytest.skip("this C library has no mallopt")
    assert int(after) < int(before) / 8


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


def test_half_precision_needs_a_gpu(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="'fp16', which needs a GPU"):
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
