"""What a run keeps, of a bad end and of another run; and what it goes on from."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from own_videos import own_videos
from tempme.errors import BadDataset, BadSetting, BadWeights
from tempme.experiments import Experiment, run
from tempme.experiments.start import is_run, of_checkpoint
from tempme.retriever.retriever import Retriever
from tempme.scenes import write
from tempme.training import CHECKPOINT, weights_of


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight videos, of which the rows for training have four and those for a test two."""
    made = tmp_path_factory.mktemp("films")
    write(8, made / "videos", size=64, fps=6)
    names = sorted(path.stem for path in (made / "videos").glob("*.mp4"))
    splits = ["train"] * 4 + ["test"] * 2 + ["spare"] * 2
    rows = [f"{name};what is in {name};{split}" for name, split in zip(names, splits, strict=True)]
    rows += ["gone;it is not here;train"]
    (made / "mine.csv").write_text("\n".join(["id;text;split", *rows]))
    return made


def experiment(films: Path, *changes: str) -> Experiment:
    videos = f"data.videos={json.dumps(str(films / 'videos'))}"
    return own_videos(films / "small.toml", films / "mine.csv", videos, *changes)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("data.test=tset", "no caption with split=tset: split is train, test, spare there"),
        ("data.videos=/nowhere", "is not a folder"),
        ("data.on_bad=fail", r"gone of .* .train. is missing"),
        ("data.validation=val", "no caption with split=val"),
        ("recipe.validate_every=1", r"data\.validation is not set"),
    ],
)
def test_what_the_end_needs_is_looked_at_first(
    films: Path, tmp_path: Path, change: str, said: str
) -> None:
    with pytest.raises((BadDataset, BadSetting), match=said):
        run(experiment(films, change), seed=0, folder=tmp_path / "run", show_progress=False)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_test_split_of_which_nothing_can_be_read(films: Path, tmp_path: Path) -> None:
    broken = tmp_path / "films"
    shutil.copytree(films, broken)
    for name in sorted((broken / "videos").glob("*.mp4"))[4:6]:
        name.write_bytes(b"no video" * 99)
    with pytest.raises(BadDataset, match=r"no video of .*test can be read"):
        run(experiment(broken), seed=0, folder=tmp_path / "run", show_progress=False)
    for name in sorted((broken / "videos").glob("*.mp4"))[4:6]:
        name.unlink()
    with pytest.raises(BadDataset, match=r"none of the 2 videos of .* .test. is there"):
        run(experiment(broken), seed=0, folder=tmp_path / "run", show_progress=False)


@pytest.mark.slow
def test_a_bad_end_loses_nothing(films: Path, tmp_path: Path) -> None:
    there, folder = tmp_path / "films", tmp_path / "run"
    shutil.copytree(films, there)
    lines: list[str] = []

    def vanish(line: str) -> None:
        lines.append(line)
        if len(lines) == 1:
            for name in sorted((there / "videos").glob("*.mp4"))[4:6]:
                name.unlink()

    with pytest.raises(BadDataset, match=r"none of the 2 videos .* .what was learnt is in"):
        run(experiment(there), seed=0, folder=folder, show_progress=False, tell=vanish)
    assert lines == [
        "train (mine.csv/train): 4 captions of 4 videos are used, 1 of 5 videos are left out: "
        f"missing ({there / 'videos' / 'gone'})",
        "test (mine.csv/test): 2 captions of 2 videos are used",
    ]
    saved = Retriever.load(folder / "retriever").state_dict()
    for name, value in weights_of(folder / CHECKPOINT).items():
        assert torch.equal(saved[name], value), name
    # Mended, and typed in another way, the same run ends without another step.
    shutil.move(there, tmp_path / "elsewhere")
    mended = experiment(tmp_path / "elsewhere", "data.test=spare", "data.workers=2")
    trained, result = run(mended, seed=0, folder=folder, show_progress=False)
    assert result is not None
    assert (result["steps"], result["metrics"]["test"]["num_videos"]) == (1, 2)
    for name, value in trained.state_dict().items():
        assert torch.equal(saved[name], value), name


@pytest.mark.slow
def test_a_finished_run_goes_on_as_itself_alone(films: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    _, first = run(experiment(films), seed=0, folder=folder, show_progress=False)
    assert first is not None
    more = experiment(films, "recipe.steps=3", "recipe.save_every=7", "recipe.micro_batch=1")
    _, second = run(more, seed=0, folder=folder, show_progress=False)
    assert second is not None
    assert (second["steps"], [point["step"] for point in second["history"]]) == (3, [1, 2, 3])
    with pytest.raises(BadSetting, match=r"3 steps behind it, but recipe\.steps are 1"):
        run(experiment(films), seed=0, folder=folder, show_progress=False)
    for change, key in {
        "recipe.learning_rate=0.1": r"recipe\.learning_rate is 0\.0006 there, 0\.1 here",
        "data.train=spare": r"data\.train is 'train' there, 'spare' here",
        "system.tuning.vision_from=7": r"system\.tuning\.vision_from",
        "system.frames=4": r"system\.frames is 6 there, 4 here",
    }.items():
        with pytest.raises(BadSetting, match=f"holds a run of other settings .*{key}"):
            run(experiment(films, change), seed=0, folder=folder, show_progress=False)
    (folder / CHECKPOINT).unlink()
    with pytest.raises(BadSetting, match=r"cannot go on without its last\.ckpt"):
        run(more, seed=0, folder=folder, show_progress=False)
    (folder / "experiment.toml").unlink()
    with pytest.raises(BadSetting, match=r"but no experiment\.toml that says of what"):
        run(more, seed=0, folder=folder, show_progress=False)


@pytest.mark.slow
def test_other_captions_are_another_run(films: Path, tmp_path: Path) -> None:
    there, folder = tmp_path / "films", tmp_path / "run"
    shutil.copytree(films, there)
    run(experiment(there), seed=0, folder=folder, show_progress=False)
    captions = there / "mine.csv"
    captions.write_text(captions.read_text().replace("what is", "this is"))
    with pytest.raises(BadSetting, match="other captions or videos are in the split train"):
        run(experiment(there), seed=0, folder=folder, show_progress=False)


@pytest.mark.slow
def test_a_checkpoint_is_a_retriever(films: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    trained, _ = run(experiment(films), seed=0, folder=folder, show_progress=False)
    assert is_run(folder)
    assert is_run(folder / CHECKPOINT)
    assert not is_run(films)
    for path in (folder, folder / CHECKPOINT):
        assert of_checkpoint(path).fingerprint == trained.fingerprint
    (folder / CHECKPOINT).write_bytes(b"no checkpoint")
    with pytest.raises(BadWeights, match="is no checkpoint of"):
        of_checkpoint(folder / CHECKPOINT)


@pytest.mark.slow
def test_a_retriever_that_learnt_is_trained_on(films: Path, tmp_path: Path) -> None:
    trained, _ = run(experiment(films), seed=0, folder=tmp_path / "one", show_progress=False)
    source = tmp_path / "one" / "retriever"
    dropped = experiment(films, f"system.weights={source}")
    with pytest.raises(BadWeights, match=r"is a trained tempme: .* would be lost.*continue_from"):
        run(dropped, seed=0, folder=tmp_path / "two", show_progress=False)
    table = {"system": {"name": "tempme", "continue_from": str(source)}}
    data = {
        "name": "folder",
        "annotations": str(films / "mine.csv"),
        "videos": str(films / "videos"),
        "workers": 1,
    }
    recipe = {"steps": 1, "batch": 2, "learning_rate": 1e-12, "loggers": []}
    on = Experiment.of("on", table | {"data": data, "recipe": recipe}, "here")
    again, result = run(on, seed=0, folder=tmp_path / "three", show_progress=False)
    assert result is not None
    assert result["cost"]["trainable_parameters"] == trained.system.trainable_parameters()
    assert again.system == trained.system
    for name, value in trained.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], value, msg=name)
    for system, said in (
        ({"name": "tome", "continue_from": str(source)}, r"system\.name is 'tome', but"),
        ({"name": "tempme", "continue_from": str(source), "frames": 4}, r"system\.frames is 4"),
        ({"name": "tempme", "continue_from": str(films)}, "which is not a saved retriever"),
    ):
        wrong = Experiment.of("on", {"system": system, "data": data, "recipe": recipe}, "here")
        with pytest.raises(BadSetting, match=said):
            run(wrong, seed=0, folder=tmp_path / "four", show_progress=False)
    with pytest.raises(BadSetting, match=r"system\.tuning is given beside continue_from"):
        Experiment.of("on", {"system": table["system"] | {"tuning": {"rank": 4}}}, "here")


@pytest.mark.slow
def test_a_validation_is_called_so(films: Path, tmp_path: Path) -> None:
    chosen = experiment(films, "data.validation=spare", "evaluation.select=validation")
    _, result = run(chosen, seed=0, folder=tmp_path / "run", show_progress=False)
    assert result is not None
    assert [sorted(told) for told in result["validations"]] == [
        ["step", "validation", "validation_r1"]
    ]
    assert result["metrics"].keys() == {"test"}
    assert result["selection"].keys() == {"by", "last", "best", "best_score"}
