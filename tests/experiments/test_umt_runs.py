"""Retrieval with UMT from an experiment file to a result; and the files of the repository."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tempme.backbones.umt.wordpiece import WordPiece
from tempme.datasets.table import DATASETS
from tempme.errors import BadWeights
from tempme.experiments import Experiment, run
from tempme.experiments.looked_again import scores_again
from tempme.experiments.settings import VideoData
from tempme.retriever.matching import match_scores, read_texts, watch
from tempme.retriever.retriever import Retriever
from tempme.scenes import clip, scenes

ROOT = Path(__file__).parents[2] / "experiments"
PUBLISHED = sorted((ROOT / "umt").glob("*.toml"))
EXPERIMENT = """
[system]
name = "umt4clip-tempme"
frames = 4
[recipe]
steps = 2
batch = 4
save_every = 1
decay_vectors = false
matching = 1.0
drop_path = 0.1
dropout = 0.1
floor = 0.01
loggers = []
[evaluation]
gallery = 6
"""


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("umt")
    (folder / "small.toml").write_text(EXPERIMENT, "utf-8")
    run(Experiment.read(folder / "small.toml"), seed=0, folder=folder / "run", show_progress=False)
    return folder


@pytest.mark.slow
def test_a_run_reports_both_stages(done: Path) -> None:
    experiment = Experiment.read(done / "small.toml", ["recipe.steps=3"])
    retriever, result = run(experiment, seed=0, folder=done / "run", show_progress=False)
    assert result is not None
    assert result["steps"] == 3  # it went on
    assert result["backbone"] == "UMT4Clip-scenes"
    for part in ("static", "temporal"):
        again = result["metrics"][part]["again"]
        assert again["t2v"]["num_queries"] == result["metrics"][part]["t2v"]["num_queries"]
        assert 0 <= again["v2t"]["r1"] <= 100
    assert isinstance(retriever.tokenizer, WordPiece)
    assert not retriever.tokenizer.unknown("what colour is the circle")  # it may answer, too


@pytest.mark.slow
def test_a_backbone_for_the_other_rows(done: Path, tmp_path: Path) -> None:
    """What learnt on single frames sees them all at once, or merges them."""
    (tmp_path / "other.toml").write_text(EXPERIMENT, "utf-8")
    first = ["system.name=umt", "system.frames=1", "recipe.steps=1"]
    backbone, _ = run(
        Experiment.read(tmp_path / "other.toml", first),
        seed=0,
        folder=tmp_path / "backbone",
        show_progress=False,
    )
    weights = f"system.weights={tmp_path / 'backbone' / 'retriever'}"
    later = Experiment.read(tmp_path / "other.toml", [weights, "recipe.steps=1"])
    retriever, _ = run(later, seed=0, folder=tmp_path / "run", show_progress=False)
    assert (backbone.system.name, retriever.system.name) == ("umt", "umt4clip-tempme")
    assert retriever.num_frames == 4
    with pytest.raises(BadWeights, match=r"clip_position.* learnt beside its backbone"):
        run(
            Experiment.read(
                tmp_path / "other.toml", [f"system.weights={done / 'run' / 'retriever'}"]
            ),
            seed=0,
            folder=tmp_path / "lost",
            show_progress=False,
        )


def test_the_second_stage_is_that_of_the_match_head(done: Path) -> None:
    """Of all, where there are few: what the features found makes no difference then."""
    retriever = Retriever.load(done / "run" / "retriever")
    found = scenes(6, part="temporal", split="test")
    generator = np.random.default_rng(0)
    one, other = generator.normal(size=(2, 6, 6)).astype(np.float32)
    scores = scores_again(retriever, found, one)
    assert scores == scores_again(retriever, found, other)
    words = read_texts(retriever, [scene.captions[0] for scene in found])
    frames = np.stack([clip(scene, 4, size=80) for scene in found])
    with torch.no_grad():
        tokens = watch(retriever, retriever.transform(frames))
        matrix = torch.stack(
            [
                match_scores(retriever, words.rows(torch.tensor([t]), clips_per_video=1), tokens)
                for t in range(6)
            ]
        )
    ranks = (matrix > matrix.diagonal()[:, None]).sum(dim=1)
    assert scores["t2v"]["r1"] == pytest.approx(100 * (ranks == 0).float().mean().item())


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.stem)
def test_published_experiments_are_umts_recipe(path: Path) -> None:
    experiment = Experiment.read(path)
    assert isinstance(experiment.data, VideoData)
    known, data = DATASETS[experiment.data.name], experiment.data
    assert data.name == path.stem
    assert {data.train, data.test} | ({data.validation} - {None}) <= set(known.splits)
    assert experiment.asks == (known.ask is not None)
    recipe = experiment.recipe
    assert (recipe.weight_decay, recipe.floor, recipe.batch) == (0.02, 0.01, 256)
    assert bool(recipe.matching) != experiment.asks
    for name, gflops in (("umt", 304.3), ("umt4clip", 210.1), ("umt4clip-tempme", 111.5)):
        system = Experiment.read(path, [f"system.name={name}"]).system.system()
        assert round(system.cost().gflops_paper, 1) == gflops
        assert system.frames == 12


def test_weights_that_are_not_there(tmp_path: Path) -> None:
    experiment = Experiment.read(ROOT / "scenes-umt" / "umt.toml", ["system.weights=nowhere.pth"])
    with pytest.raises(BadWeights, match="nowhere"):
        run(experiment, seed=0, folder=tmp_path / "run", show_progress=False)
