"""From an experiment file to a result: on scenes, and on a folder of real video files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tempme.errors import BadSetting, UnknownName
from tempme.experiments import Experiment, judge, run
from tempme.experiments.settings import SceneData, VideoData
from tempme.retriever.retriever import Retriever
from tempme.scenes import write
from tempme.systems.table import system
from tempme.training import Recipe

TEMPME = Path(sys.executable).with_name("tempme")
SYSTEM = """
[system]
name = "tempme"
weights = "scenes-tiny"
tuning = { vision_from = 8 }
[system.compression]
keep_cross = 0.6
joins = { 8 = 3, 9 = 4 }
"""
SCENES = (
    SYSTEM
    + """
[data]
pool = 8
[recipe]
steps = 2
batch = 4
save_every = 1
validate_every = 1
[evaluation]
gallery = 6
select = "validation"
"""
)
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


def saved(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "small.toml"
    path.write_text(text, "utf-8")
    return path


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    return saved(tmp_path, EXPERIMENT)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine videos with captions, and one that is none."""
    made = tmp_path_factory.mktemp("films")
    write(4, made / "test", size=64)
    write(6, made / "train", split="train", size=64)
    (made / "train" / "broken.mp4").write_bytes(b"no video" * 99)
    rows = []
    for split in ("train", "test"):
        for line in (made / split / "captions.jsonl").read_text().splitlines():
            row = json.loads(line)
            rows.append(row | {"file": f"{split}/{row['file']}"})
    rows.append({"file": "train/broken.mp4", "caption": "a red circle", "split": "train"})
    (made / "captions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return made


def on_folder(folder: Path) -> str:
    return (
        SYSTEM
        + f"""
[data]
name = "folder"
annotations = {json.dumps(str(folder))}
train = "train"
test = "test"
augment = true
workers = 1
[recipe]
epochs = 2
batch = 2
"""
    )


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
        ("recipe.speed=3", "no setting of recipe 'speed'; known: steps"),
        ("recipe.steps=0", r"recipe\.steps is 0"),
        ("recipe.steps=abc", r"recipe\.steps is 'abc': it should be a valid integer"),
        ("recipe.steps=2.5", r"recipe\.steps is 2\.5: it should be a valid integer"),
        ("recipe.steps.more=3", r"'recipe\.steps\.more=3': steps is 10, which has no keys"),
        ("recipe.learning_rate=inf", r"recipe\.learning_rate is inf: .* finite number"),
        ("recipe.betas=[0.9]", r"recipe\.betas is \[0\.9\]: one more is required"),
        ("recipe.rates.text=fast", r"recipe\.rates is .*'fast'.*: it should be a valid number"),
        ("recipe.checkpoint_layers=no", r"checkpoint_layers is 'no': it should be a valid boolean"),
        ('system.frames="12"', r"system\.frames is '12': it should be a valid integer"),
        ("system.tuning=3", r"system\.tuning is 3: it should be a valid dictionary"),
        ("system.tuning.rank=2.5", r"system\.tuning\.rank is 2\.5: .* valid integer"),
        ("system.compression.joins.x=2", r"system\.compression\.joins is .*valid integer"),
        ("system.compression.speed=3", r"no setting of system\.compression 'speed'"),
        ("data.pool=-1", r"data\.pool is -1; it must be 0 or more"),
        ("data.static=2", r"data\.static is 2; it is a share"),
        ("data.twins=1", r"data\.twins is 1: it should be a valid boolean"),
        ("evaluation.gallery=0", r"evaluation\.gallery is 0; it must be 1 or more"),
        ("machine.cores=2", r"it needs \[system\] and may have data, evaluation, recipe"),
    ],
)
def test_changes_that_cannot_be(experiment: Path, change: str, said: str) -> None:
    with pytest.raises((BadSetting, UnknownName), match=said):
        Experiment.read(experiment, [change]).system.system()


def test_files_that_are_no_experiment(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match=r"nowhere\.toml is not an experiment"):
        Experiment.read(tmp_path / "nowhere.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("[system\n", "utf-8")
    with pytest.raises(BadSetting, match=r"broken\.toml is not an experiment"):
        Experiment.read(broken)
    broken.write_text("[recipe]\nsteps = 3\n", "utf-8")
    with pytest.raises(BadSetting, match=r"it needs \[system\]"):
        Experiment.read(broken)
    broken.write_text("system = 3\n", "utf-8")
    with pytest.raises(BadSetting, match="system is 3; it is a table"):
        Experiment.read(broken)
    broken.write_text("[system]\nframes = 12\n", "utf-8")
    with pytest.raises(BadSetting, match=r"system\.name is missing"):
        Experiment.read(broken)


def test_compressions_can_be_overruled(tmp_path: Path) -> None:
    made = Experiment.read(saved(tmp_path, SYSTEM)).system.system()
    assert [(step.join, step.clips_out) for step in made.plan()][8:10] == [(3, 4), (4, 1)]


def test_data_are_scenes_or_videos(tmp_path: Path) -> None:
    path = saved(tmp_path, SCENES)
    assert isinstance(Experiment.read(path).data, SceneData)
    videos = Experiment.read(saved(tmp_path / "videos", on_folder(tmp_path))).data
    assert isinstance(videos, VideoData)
    with pytest.raises(UnknownName, match="msrvtt"):
        Experiment.read(path, ["data.name=msrvt"])
    with pytest.raises(BadSetting, match="select is 'luck'; possible: last, validation, test"):
        Experiment.read(path, ["evaluation.select=luck"])
    with pytest.raises(BadSetting, match=r"recipe\.steps rather than recipe\.epochs"):
        run(Experiment.read(path, ["recipe.epochs=2"]), seed=0, folder=tmp_path / "run")


@pytest.mark.slow
def test_a_run_on_scenes_says_all_of_itself(tmp_path: Path) -> None:
    experiment = Experiment.read(saved(tmp_path, SCENES))
    _, result = run(experiment, seed=1, folder=tmp_path / "run", show_progress=False)
    assert result is not None
    assert result["metrics"].keys() == {"static", "temporal", "both"}
    assert result["metrics"]["both"]["t2v"]["num_queries"] == 12
    assert result["selection"]["by"] == "validation"
    assert result["selection"].keys() >= {"last", "best", "best_score"}
    assert [told["step"] for told in result["validations"]] == [1, 2]
    assert [point["step"] for point in result["history"]] == [1, 2]
    assert result["videos_per_second"] > 0
    assert result["peak_memory_mb"] > 50
    again = Experiment.read(tmp_path / "run" / "experiment.toml")
    assert (again.data, again.recipe) == (experiment.data, experiment.recipe)
    assert (again.system.backbone, again.system.max_words) == ("scenes-tiny", 32)
    assert result["backbone"] == "scenes-tiny"
    with pytest.raises(BadSetting, match=r"run of other settings .seed is 1 there, 2 here"):
        run(experiment, seed=2, folder=tmp_path / "run")
    data = json.loads((tmp_path / "run" / "data.json").read_text())
    assert data == result["data"]
    assert (tmp_path / "run" / "environment.json").exists()


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    experiment = Experiment.read(saved(tmp_path, SCENES))
    with pytest.raises(BadSetting, match=r"cannot write to .*file"):
        run(experiment, seed=0, folder=tmp_path / "file")


@pytest.mark.slow
def test_weights_chosen_on_the_test_set_are_called_so(tmp_path: Path) -> None:
    experiment = Experiment.read(saved(tmp_path, SCENES), ["evaluation.select=test"])
    _, result = run(experiment, seed=1, folder=tmp_path / "run", show_progress=False)
    assert result is not None
    assert result["selection"]["label"] == "weights chosen on the test set, as in the paper"


@pytest.mark.slow
def test_a_run_on_a_folder_of_videos(tmp_path: Path, folder: Path) -> None:
    experiment = Experiment.read(saved(tmp_path, on_folder(folder)))
    _, result = run(experiment, seed=1, folder=tmp_path / "run", show_progress=False)
    assert result is not None
    assert result["metrics"]["test"]["num_videos"] >= 1
    assert result["data"]["splits"].keys() == {"train", "test"}
    assert "broken.mp4" in "".join(result["data"]["failed"])
    assert result["steps"] >= 2
    changed = saved(tmp_path, on_folder(folder))
    unknown = Experiment.read(changed, ["evaluation.select=validation"])
    with pytest.raises(BadSetting, match=r"data\.validation is not set"):
        run(unknown, seed=1, folder=tmp_path / "other", show_progress=False)


@pytest.mark.slow
def test_a_retriever_is_judged_on_pairs_of_twins() -> None:
    found = judge(
        Retriever.build(system("tome", backbone="scenes-tiny"), "scenes-tiny", seed=0),
        "temporal",
        gallery=8,
    )
    assert set(found) == {"t2v", "v2t", "twins"}
    assert 0 <= found["t2v"]["r1"] <= 100


@pytest.mark.slow
def test_a_run_of_two_processes_reports_once(tmp_path: Path) -> None:
    path = saved(tmp_path, SCENES)
    command: list[Any] = [TEMPME, "train", path, "--out", tmp_path / "run", "--json"]
    answer = subprocess.run(
        [*command, "--devices", "2"],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr[-1000:]
    assert json.loads(answer.stdout)["steps"] == 2
    tomllib.loads((tmp_path / "run" / "experiment.toml").read_text())
