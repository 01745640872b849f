"""Experiments of the repository are whole; those on data sets run elsewhere, and are only read."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from tempme.datasets.table import DATASETS
from tempme.experiments.settings import Experiment, VideoData
from tempme.schedule import total_tokens
from tempme.systems.provenance import SOURCES

ROOT = Path(__file__).parents[2] / "experiments"
SETS = ("msrvtt", "activitynet", "didemo", "lsmdc", "msvd", "vatex")
FILES = sorted(path for name in SETS for path in (ROOT / name).glob("*.toml"))
ABLATIONS = sorted((ROOT / "scenes-ablations").glob("*.toml"))

# Tokens of a video after the last block, and "GFLOPs" as the paper prints them, by experiment.
COSTS: dict[str, tuple[int, float | None]] = {
    "msrvtt/prompt": (12 * 50, 58.2),
    "msrvtt/adapter": (12 * 50, 53.1),
    "msrvtt/lora": (12 * 50, 53.0),
    "msrvtt/tome": (12 * 26, 40.2),
    "msrvtt/evit": (12 * 21, 37.2),
    "msrvtt/diffrate": (12 * 20, 36.8),
    "msrvtt/sta": (12 * 22, 35.7),
    "msrvtt/tempme": (97, 34.8),
    "msrvtt/tempme-full": (97, 34.8),
    "msrvtt/tempme-no-positions": (97, 34.8),
    "msrvtt/imgme-only": (12 * 26, 40.2),
    "msrvtt/token-reduction": (12 * 9, None),
    "msrvtt/temporal-modelling": (600, 54.3),
    "msrvtt/prompt-b16": (12 * 197, 216.8),
    "msrvtt/adapter-b16": (12 * 197, 211.7),
    "msrvtt/lora-b16": (12 * 197, 211.3),
    "msrvtt/tome-b16": (12 * 77, 144.4),
    "msrvtt/diffrate-b16": (12 * 49, 138.5),
    "msrvtt/tempme-b16": (127, 121.4),
    "msrvtt/tempme-full-b16": (127, 121.4),
    **{
        f"{name}/{system}": cost
        for name in ("activitynet", "didemo")
        for system, cost in {
            "lora": (64 * 50, 276.7),
            "tome": (64 * 26, 208.5),
            "diffrate": (64 * 20, 190.1),
            "tempme": (500, 180.3),
        }.items()
    },
    "lsmdc/tempme": (97, 34.8),
    "msvd/tempme": (97, 34.8),
    "vatex/tempme": (97, 34.8),
}
# Pairs of the training split that a validation once an epoch counts with.
PAIRS = {"didemo": 8392, "lsmdc": 101_079, "msvd": 48_774, "vatex": 259_910}
POINT = re.compile(r"# +(--set .+?) +-> (\S+): (\d+) tokens(?:, ([\d.]+) GFLOPs)?")


class Point(NamedTuple):
    """One point of a family: what to change, and what comes out."""

    path: Path
    changes: tuple[str, ...]
    name: str
    tokens: int
    gflops: float | None


def points(files: Sequence[Path] = FILES) -> list[Point]:
    found = []
    for path in files:
        for sets, name, tokens, gflops in POINT.findall(path.read_text("utf-8")):
            words = shlex.split(sets)
            assert set(words[::2]) == {"--set"}
            cost = float(gflops) if gflops else None
            found.append(Point(path, tuple(words[1::2]), name, int(tokens), cost))
    return found


def read(path: Path, changes: tuple[str, ...] = ()) -> tuple[Experiment, VideoData]:
    experiment = Experiment.read(path, changes)
    assert isinstance(experiment.data, VideoData)
    return experiment, experiment.data


def name_of(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def check_cost(experiment: Experiment, tokens: int, gflops: float | None) -> None:
    system = experiment.system.system()
    assert total_tokens(system.plan()) == tokens
    if gflops is not None:
        assert system.cost().gflops_paper == pytest.approx(gflops, abs=0.11)


def test_experiments_of_the_repository_are_whole() -> None:
    paths = sorted(Path(__file__).parents[2].glob("experiments/*/*.toml"))
    assert len(paths) > len(FILES)
    for path in paths:
        assert Experiment.read(path).system.system().plan(), path


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_file_is_an_experiment_on_its_data_set(path: Path) -> None:
    experiment, data = read(path)
    known = DATASETS[data.name]
    assert data.name == path.parent.name
    assert known.read is not None
    assert {data.train, data.test} | ({data.validation} - {None}) <= set(known.splits)
    system = experiment.system.system()
    assert len(system.plan()) == 12
    assert experiment.system.weights == "openai"
    if not system.name.endswith("-original"):  # whose authors have lengths of their own
        words = min(known.max_words, system.config.context - system.tuning.text_rows)
        assert (system.frames, system.max_words) == (known.frames, words)
    text = path.read_text("utf-8")
    assert "--set data.annotations=FOLDER --set data.videos=FOLDER" in text
    assert not Path(data.annotations).is_absolute()


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_recipes_are_the_papers_or_the_authors(path: Path) -> None:
    experiment, data = read(path)
    recipe = experiment.recipe
    assert recipe.epochs == 5
    assert recipe.clip_norm == 1
    if path.stem.endswith(("-original", "-own-recipe")):
        own = SOURCES[experiment.system.name].recipe
        assert {key: getattr(recipe, key) for key in own} == dict(own)
        assert not data.augment
    elif experiment.system.name in ("clip4clip", "tempme-full", "tome-full"):
        own = SOURCES["clip4clip"].recipe
        assert {key: getattr(recipe, key) for key in own} == dict(own)
        assert (recipe.batch, data.augment) == (128, True)
    else:
        assert (recipe.learning_rate, recipe.weight_decay, recipe.warmup) == (6e-4, 0.2, 0.1)
        assert (recipe.batch, recipe.betas, data.augment) == (128, (0.9, 0.999), True)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_weights_are_chosen_without_the_test_set(path: Path) -> None:
    experiment, data = read(path)
    if data.validation is None:
        assert experiment.evaluation.select == "last"
        return
    assert experiment.evaluation.select == "validation"
    each = PAIRS[data.name] // experiment.recipe.batch
    assert experiment.recipe.validate_every == each


@pytest.mark.parametrize("name", COSTS)
def test_costs_are_those_of_the_paper(name: str) -> None:
    experiment, _ = read(ROOT / f"{name}.toml")
    check_cost(experiment, *COSTS[name])


@pytest.mark.parametrize("point", points(), ids=lambda point: point.name)
def test_points_of_a_family_do_what_their_line_says(point: Point) -> None:
    experiment, _ = read(point.path, point.changes)
    check_cost(experiment, point.tokens, point.gflops)


@pytest.mark.parametrize("point", points(ABLATIONS), ids=lambda point: point.name)
def test_ablations_on_scenes_do_what_their_line_says(point: Point) -> None:
    system = Experiment.read(point.path, point.changes).system.system()
    told = (total_tokens(system.plan()), round(system.cost().gflops_paper, 2))
    assert told == (point.tokens, point.gflops)


@pytest.mark.parametrize("path", ABLATIONS, ids=name_of)
def test_ablations_on_scenes_are_alike_but_for_what_they_ask(path: Path) -> None:
    base, one = Experiment.read(ROOT / "scenes/tempme.toml"), Experiment.read(path)
    assert one.data == base.data
    if path.stem == "no-positions":  # which have a learning rate of their own
        assert one.recipe == replace(base.recipe, rates={})
        assert one.system == replace(base.system, compression={"positions": False})
    else:
        assert (one.recipe, one.system) == (base.recipe, base.system)


def test_families_have_points_of_different_names_and_plans() -> None:
    found = points()
    assert len({point.name for point in found}) == len(found) == 10 + 10 + 8 + 3
    for path in {point.path for point in found}:
        family = [point for point in found if point.path == path]
        plans = {read(path, point.changes)[0].system.system().plan() for point in family}
        assert len(plans) == len(family)
        here = read(path)[0].system.system().plan()
        assert here in plans  # the file itself is one of its points


def test_every_table_of_the_paper_has_its_experiments() -> None:
    text = "\n".join(path.read_text("utf-8").splitlines()[0] for path in FILES)
    told = {
        int(n)
        for line in re.findall(r"Tables? ([\d, ]+)", text)
        for n in line.split(",")
        if n.strip()
    }
    assert {1, 2, 3, 4, 5, 8, 9, 10, 13, 15, 16} <= told


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_system_of_every_file_can_be_assembled(path: Path) -> None:
    experiment, _ = read(path)
    assert experiment.system.system().trainable_parameters() > 0
