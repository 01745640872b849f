"""Frames that are not square are taken as an experiment says, where it learns and where it ends."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import tempme
from drawn_videos import draw
from own_videos import own_videos
from tempme.datasets import load_folder
from tempme.datasets.frames import read_moment
from tempme.datasets.pairs import Split
from tempme.errors import BadSetting
from tempme.evaluation.evaluate import examine
from tempme.experiments import Experiment, run
from tempme.experiments.settings import SystemSettings
from tempme.experiments.start import of_checkpoint
from tempme.retriever.fitted import load_as
from tempme.retriever.retriever import Retriever
from tempme.systems.table import system
from tempme.video import Fit, Frames, Reading, read_video


def wide(number: int) -> np.ndarray:
    """Twice as wide as high, with a colour on the left that is nowhere else."""
    rng = np.random.default_rng(number)
    picture = np.full((64, 128, 3), rng.integers(60, 200, 3), dtype=np.uint8)
    picture[:, :32] = (255, 0, 0)
    picture[16:48, 48:80] = rng.integers(0, 255, 3)
    return picture


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("films")
    for name in "abc":
        draw(made / f"{name}.mp4", frames=20, picture=lambda i, n=name: wide(i // 5 + ord(n)))
    rows = [f"{name}.mp4,film {name},all" for name in "abc"]
    (made / "captions.csv").write_text("\n".join(["file,caption,split", *rows]))
    return made


def experiment(films: Path, folder: Path, *changes: str) -> Experiment:
    every = ("data.train=all", "data.test=all")
    return own_videos(folder / "wide.toml", films, *every, *changes)


def features_by_hand(retriever: Retriever, split: Split, fit: Fit) -> torch.Tensor:
    reading = Reading(frames=retriever.num_frames, size=retriever.image_size, fit=fit)
    rows = []
    for moment in split.moments:
        read = read_moment(Path(moment.video), moment, reading)
        assert isinstance(read, Frames)
        rows.append(read.pixels)
    frozen = retriever.for_inference("fp32")
    with torch.inference_mode():
        return frozen.encode_videos(frozen.transform(np.stack(rows)))


@pytest.mark.slow
@pytest.mark.parametrize("fit", ["crop", "squash", "pad"])
def test_a_test_sees_what_the_system_says(films: Path, fit: Fit) -> None:
    split = Split("films", load_folder(films))
    retriever = Retriever.build(
        replace(system("tempme", backbone="scenes-tiny"), fit=fit), None, seed=0
    )
    report, features = examine(retriever, split, workers=1)
    expected = features_by_hand(retriever, split, fit).numpy()
    assert np.abs(features.videos - expected).max() < 2e-6
    assert report.fit == fit
    paths = [Path(moment.video) for moment in split.moments]
    pixels = [read_video(path, size=retriever.image_size, fit=fit) for path in paths]
    from_paths = retriever.encode_videos(paths)
    assert torch.equal(from_paths, retriever.encode_videos(np.stack(pixels)))
    red = (pixels[0][0].astype(int) - (255, 0, 0)).__abs__().sum(-1) < 60
    assert bool(red.any()) == (fit != "crop")


@pytest.mark.slow
def test_several_devices_find_the_same_features(films: Path) -> None:
    split = Split("films", load_folder(films))
    retriever = Retriever.build(system("tempme", backbone="scenes-tiny"), None, seed=0)
    (one, alone), (several, together) = (
        examine(retriever, split, workers=1, batch=1, devices=n) for n in (1, 3)
    )
    assert one.scores == several.scores
    assert np.abs(alone.videos - together.videos).max() < 2e-6
    with pytest.raises(BadSetting, match="devices is 0"):
        examine(retriever, split, devices=0)


def test_more_devices_than_there_are(films: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    retriever = Retriever.build(system("tempme", backbone="scenes-tiny"), None, seed=0)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(BadSetting, match="devices is 3, but this machine has 2: ask for 2"):
        examine(retriever, Split("films", load_folder(films)), devices=3)


@pytest.mark.slow
def test_a_run_keeps_how_it_took_its_frames(films: Path, tmp_path: Path) -> None:
    padded = experiment(films, tmp_path, "system.fit=pad")
    trained, result = run(padded, seed=0, folder=tmp_path / "run", show_progress=False)
    assert result is not None
    assert result["settings"]["system"]["fit"] == trained.system.fit == "pad"
    saved = tmp_path / "run" / "retriever"
    assert tomllib.loads((saved / "system.toml").read_text())["fit"] == "pad"
    for loaded in (tempme.load(saved), load_as(saved), of_checkpoint(tmp_path / "run/last.ckpt")):
        assert loaded.system.fit == "pad"
    assert load_as(saved, fit="squash").system.fit == "squash"
    assert load_as(saved, fit="squash").fingerprint == trained.fingerprint  # of pixels, not files
    again, _ = run(padded, seed=0, folder=tmp_path / "run", show_progress=False)
    assert again.system.fit == "pad"
    with pytest.raises(BadSetting, match=r"system\.fit is 'pad' there, None here"):
        run(experiment(films, tmp_path), seed=0, folder=tmp_path / "run", show_progress=False)
    on = experiment(films, tmp_path)
    on = replace(on, system=SystemSettings("tempme", continue_from=str(saved)))
    went_on, _ = run(on, seed=0, folder=tmp_path / "on", show_progress=False)
    assert went_on.system.fit == "pad"


@pytest.mark.slow
def test_a_run_that_says_nothing_is_as_those_of_before(films: Path, tmp_path: Path) -> None:
    plain = experiment(films, tmp_path)
    _, result = run(plain, seed=0, folder=tmp_path / "run", show_progress=False)
    assert result is not None
    assert result["settings"]["system"]["fit"] is None
    assert "fit" not in (tmp_path / "run/retriever/system.toml").read_text()
    assert "fit" not in (tmp_path / "run/experiment.toml").read_text()
    spelled = experiment(films, tmp_path, "system.fit=crop")
    run(spelled, seed=0, folder=tmp_path / "run", show_progress=False)  # the same run


@pytest.mark.parametrize("fit", ["stretch", 1, ""])
def test_fits_that_there_are_not(films: Path, tmp_path: Path, fit: object) -> None:
    with pytest.raises(BadSetting, match=r"fit is .*crop.*squash.*pad"):
        experiment(films, tmp_path, f"system.fit={json.dumps(fit)}")
