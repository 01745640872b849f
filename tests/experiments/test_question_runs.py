"""From an experiment file to a model that answers: on scenes, on videos, and in the terminal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from index_material import write_video
from tempme.answering.asking import answers_to
from tempme.datasets.published import msvd_qa
from tempme.errors import BadDataset, BadSetting, UnknownName
from tempme.experiments import Experiment, run, run_questions
from tempme.experiments.scene_questions import SceneQuestionBatches
from tempme.retriever.answerer import Answerer
from tempme.scenes.questions import every_answer
from terminals import Terminal

SYSTEM = """
[system]
name = "umt4clip-tempme"
frames = 4
"""
RECIPE = """
[recipe]
steps = 2
batch = 4
save_every = 1
decay_vectors = false
dropout = 0.1
loggers = []
[evaluation]
gallery = 4
"""
SCENES = SYSTEM + '[data]\nname = "scenes-questions"\n' + RECIPE
ASKED = [
    {"video": "red.mp4", "question": "what colour is it", "answer": "red"},
    {"video": "red.mp4", "question": "who is there", "answer": "nobody"},
    {"video": "blue.mp4", "question": "what colour is it", "answer": "blue"},
    {"video": "lost.mp4", "question": "what is lost", "answer": "red"},
]


def saved(folder: Path, text: str) -> Path:
    path = folder / "small.toml"
    path.write_text(text, "utf-8")
    return path


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("questions")
    experiment = Experiment.read(saved(folder, SCENES))
    _, result = run_questions(experiment, seed=0, folder=folder / "run", show_progress=False)
    assert result is not None
    return folder, result


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    for colour in ("red", "blue"):
        write_video(folder / f"{colour}.mp4", [colour])
    for split in msvd_qa.SPLITS:
        (folder / f"msvd_qa_{split}.json").write_text(json.dumps(ASKED), "utf-8")
    (folder / msvd_qa.ANSWERS).write_text(json.dumps(["red", "blue", "green", "nobody"]), "utf-8")
    return folder


def of_films(folder: Path, films: Path) -> Path:
    data = f'[data]\nname = "msvd-qa"\nannotations = "{films}"\nworkers = 1\n'
    weights = 'backbone = "UMT-scenes"\n'
    return saved(folder, SYSTEM + weights + data + RECIPE)


def test_a_run_on_scenes(done: tuple[Path, dict[str, Any]]) -> None:
    folder, result = done
    assert result["metrics"].keys() == {"static", "temporal"}
    for part in result["metrics"].values():
        assert part["num_questions"] == 8
        right = sum(one["percent"] * one["num_questions"] for one in part["by_type"].values())
        assert right / 8 == pytest.approx(part["accuracy"], abs=0.01)
    assert result["steps"] == 2
    assert result["cost"]["tokens"] > 0
    assert result["videos_per_second"] > 0
    model = Answerer.load(folder / "run" / "answerer")
    assert model.answers == every_answer()
    assert model.num_frames == 4


def test_a_run_begins_with_what_another_learnt(
    tmp_path: Path, done: tuple[Path, dict[str, Any]]
) -> None:
    folder, before = done
    text = (folder / "small.toml").read_text("utf-8").replace('backbone = "UMT-scenes"\n', "")
    again = text.replace("[data]", f'weights = "{folder / "run" / "answerer"}"\n\n[data]', 1)
    experiment = Experiment.read(saved(tmp_path, again), ["recipe.steps=1"])
    _, result = run_questions(experiment, seed=0, folder=tmp_path / "run", show_progress=False)
    assert result is not None
    assert result["backbone"] == before["backbone"]
    assert result["history"][0] != before["history"][0]


@pytest.mark.slow
def test_a_run_goes_on(done: tuple[Path, dict[str, Any]]) -> None:
    folder, before = done
    experiment = Experiment.read(folder / "small.toml", ["recipe.steps=3"])
    _, result = run_questions(experiment, seed=0, folder=folder / "run", show_progress=False)
    assert result is not None
    assert result["steps"] == 3
    assert result["history"][:2] == before["history"]


def test_batches_put_twins_side_by_side_with_the_same_question(
    done: tuple[Path, dict[str, Any]],
) -> None:
    model = Answerer.load(done[0] / "run" / "answerer")
    batches = SceneQuestionBatches(model, 0.0, 16, 3)
    whole = batches.part(5, 0, 1)
    halves = [batches.part(5, rank, 2) for rank in (0, 1)]
    assert whole.questions == [*halves[0].questions, *halves[1].questions]
    twins = [
        (one, other)
        for one, other in zip(range(15), range(1, 16), strict=True)
        if whole.questions[one] == whole.questions[other]
        and whole.answers[one] != whole.answers[other]
    ]
    assert twins
    for one, other in twins:
        assert (whole.frames[one] == whole.frames[other][::-1]).all()


@pytest.mark.slow
def test_a_run_on_videos(tmp_path: Path, films: Path) -> None:
    told: list[str] = []
    experiment = Experiment.read(of_films(tmp_path, films), ["recipe.batch=2"])
    model, result = run_questions(
        experiment, seed=0, folder=tmp_path / "run", show_progress=False, tell=told.append
    )
    assert told == [
        "train (train): 3 of 4 questions are used",
        "test (test): 3 of 4 questions are used",
    ]
    assert result is not None
    found = result["metrics"]["test"]
    assert found["num_questions"] == 3
    assert {kind: one["num_questions"] for kind, one in found["by_type"].items()} == {
        "what": 2,
        "who": 1,
    }
    assert model.answers == ("red", "blue", "green", "nobody")
    assert result["data"]["splits"]["test"]["questions"] == 4


def test_films_that_are_not_there(tmp_path: Path, films: Path) -> None:
    changes = [f"data.videos={tmp_path}"]
    experiment = Experiment.read(of_films(tmp_path, films), changes)
    with pytest.raises(BadDataset, match="none of the videos of msvd-qa"):
        run_questions(experiment, seed=0, folder=tmp_path / "run", show_progress=False)


@pytest.mark.slow
def test_settings_that_make_no_sense(tmp_path: Path) -> None:
    experiment = Experiment.read(saved(tmp_path, SCENES))
    with pytest.raises(BadSetting, match="has questions: learn to answer them"):
        run(experiment, seed=0, folder=tmp_path / "run", show_progress=False)
    other = Experiment.read(saved(tmp_path, SYSTEM + RECIPE))
    with pytest.raises(BadSetting, match="has captions, not questions"):
        run_questions(other, seed=0, folder=tmp_path / "run", show_progress=False)
    clip = Experiment.read(saved(tmp_path, SCENES), ["system.name=tempme"])
    with pytest.raises(BadSetting, match="which answers no questions"):
        run_questions(clip, seed=0, folder=tmp_path / "run", show_progress=False)
    matching = Experiment.read(saved(tmp_path, SCENES), ["recipe.matching=1"])
    with pytest.raises(BadSetting, match=r"recipe.matching is of retrieval"):
        run_questions(matching, seed=0, folder=tmp_path / "run", show_progress=False)
    with pytest.raises(UnknownName):
        Experiment.read(saved(tmp_path, SCENES), ["data.name=scenes-answers"])


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(monkeypatch, capfd, "answer")


def test_in_the_terminal(answer: Terminal, done: tuple[Path, dict[str, Any]], films: Path) -> None:
    model, asked = done[0] / "run" / "answerer", "what colour is the circle"
    told = answer(films / "red.mp4", asked, "--model", model, "--json")
    assert told.code == 0
    answers = told.document["answers"]
    assert len(answers) == 5
    loaded = Answerer.load(model)
    from tempme.video import Reading, load

    read = load(films / "red.mp4", Reading(frames=4, size=80, sampling="exact", fit="squash"))
    pixels = read.pixels  # type: ignore[union-attr]
    (ranked,) = answers_to(loaded, loaded.transform(pixels[None]), [asked])
    assert [one["answer"] for one in answers] == [one.answer for one in ranked[:5]]
    assert answers[0]["probability"] == pytest.approx(ranked[0].probability, abs=1e-3)
    lines = answer(films / "red.mp4", asked, "--model", model, "-k", 3).out.splitlines()
    assert lines[0].split() == ["probability", "answer"]
    assert len(lines) == 4
    odd = answer(films / "red.mp4", "zebra circle", "--model", model, "--json")
    assert "zebra" in odd.document["notes"][0]


def test_what_the_terminal_refuses(
    answer: Terminal, done: tuple[Path, dict[str, Any]], films: Path, tmp_path: Path
) -> None:
    model, film = done[0] / "run" / "answerer", films / "red.mp4"
    assert "is no saved answerer" in answer(film, "what", "--model", tmp_path).refusal
    assert "the question is empty" in answer(film, " ", "--model", model).refusal
    assert "rule is 'best'" in answer(film, "what", "--model", model, "--rule", "best").refusal
    (tmp_path / "junk.mp4").write_bytes(b"junk" * 99)
    assert "junk.mp4" in answer(tmp_path / "junk.mp4", "what", "--model", model).refusal
    assert answer(tmp_path / "none.mp4", "what", "--model", model).code == 1


@pytest.mark.slow
def test_trained_in_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    train = Terminal(monkeypatch, capfd, "train")
    told = train(saved(tmp_path, SCENES), "--out", tmp_path / "run")
    assert told.code == 0
    assert told.out.startswith("static: ")
    assert "answerer: " in told.err
    assert torch.is_tensor(Answerer.load(tmp_path / "run" / "answerer").backbone.decoder.head_bias)


def test_an_answerer_is_tested_on_questions(
    done: tuple[Path, dict[str, Any]],
    films: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    evaluate = Terminal(monkeypatch, capfd, "eval")
    model = done[0] / "run" / "answerer"
    words = (model, "msvd-qa", "--annotations", films)
    out = tmp_path / "report.json"
    told = evaluate(*words, "--json", "--out", out)
    assert told.document["answers"]["num_questions"] == 3
    assert set(told.document["answers"]["by_type"]) == {"what", "who"}
    assert json.loads(out.read_text()) == told.document
    assert evaluate(*words).out.startswith("test: ")
    assert "--rerank is of retrieval" in evaluate(*words, "--rerank", 3).refusal
    assert "has no answers" in evaluate(model, "msvd", "--annotations", films).refusal
