from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tempme.datasets import load_folder
from tempme.datasets.frames import read_moment
from tempme.datasets.pairs import Moment, Pair, Split
from tempme.errors import BadDataset, BadSetting, WrongAnswer
from tempme.evaluation import known_answers as questions
from tempme.evaluation.evaluate import examine, score
from tempme.evaluation.known_answers import CHECKS, ask_known_answers
from tempme.evaluation.metrics import both_directions
from tempme.evaluation.report import EvaluationReport
from tempme.retriever.retriever import Retriever
from tempme.scenes import write
from tempme.systems.table import system
from tempme.video import Frames, Reading


@pytest.fixture(scope="module")
def retriever() -> Retriever:
    return Retriever.build(system("tempme", backbone="scenes-tiny"), None, seed=0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    write(4, folder, part="static", size=64, fps=4)
    return folder


@pytest.fixture(scope="module")
def report(retriever: Retriever, folder: Path) -> EvaluationReport:
    split = Split("scenes/test", load_folder(folder))
    return examine(retriever, split, batch=3, workers=2)[0]


def features_by_hand(retriever: Retriever, split: Split) -> tuple[torch.Tensor, torch.Tensor]:
    rows = []
    reading = Reading(frames=retriever.num_frames, size=retriever.image_size)
    for moment in split.moments:
        read = read_moment(Path(moment.video), moment, reading)
        assert isinstance(read, Frames)
        rows.append(retriever.encode_videos(retriever.transform(read.pixels[None])))
    return retriever.encode_texts(split.captions), torch.cat(rows)


@torch.inference_mode()
def test_a_report_holds_the_metrics_of_the_features(
    report: EvaluationReport, retriever: Retriever, folder: Path
) -> None:
    split = Split("scenes/test", load_folder(folder))
    texts, videos = features_by_hand(retriever.for_inference("fp32"), split)
    expected = both_directions(texts @ videos.T, split.text_targets)
    assert report.scores.plain == expected
    assert report.num_texts == len(split) >= 16
    assert (report.num_videos, report.num_moments, report.num_listed) == (4, 4, 4)
    assert report.scores.plain.v2t.num_queries == 4
    assert report.is_complete
    assert report.known_answers.checks == tuple(CHECKS)
    assert report.cost == retriever.system.cost()
    assert report.fingerprint == retriever.fingerprint


def test_a_report_is_json_and_lines(report: EvaluationReport, tmp_path: Path) -> None:
    report.save(tmp_path / "results/one.json")
    answer = json.loads((tmp_path / "results/one.json").read_text())
    assert answer["scores"]["plain"]["t2v"]["r1"] == report.scores.plain.t2v.r1
    assert answer["scores"]["dual_softmax"]["v2t"]["num_queries"] == 4
    lines = report.lines()
    assert lines[0].startswith(f"scenes/test, tempme: {report.num_texts} texts, 4 of 4 videos, ")
    assert lines[2].startswith("\t>>>  R@1: ")
    assert lines[2].endswith(f"(N = {report.num_texts})")
    assert lines[4].startswith("\t>>>  V2T$R@1: ")
    assert lines[5] == "With dual softmax over all queries (another protocol):"
    partial = replace(report, missing=("a",), failed={"b": "timeout"}).lines()
    assert "Not the whole split: 1 videos are missing, 1 cannot be read" in partial


@pytest.mark.slow
def test_what_is_not_there_is_left_out_and_counted(
    retriever: Retriever, folder: Path, tmp_path: Path
) -> None:
    names = sorted(path.name for path in folder.glob("*.mp4"))
    for name in names[:2]:
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    (tmp_path / names[2]).write_bytes(b"no video")
    split = Split("named/test", tuple(Pair(name, f"scene {name}") for name in names))
    report, _ = examine(retriever, split, videos=tmp_path, workers=1)
    assert report.missing == (names[3],)
    assert list(report.failed) == [names[2]]
    assert (report.num_videos, report.num_listed) == (2, 4)
    assert report.scores.plain.t2v.num_queries == 2
    assert not report.is_complete


@pytest.mark.slow
def test_nothing_to_evaluate_is_said(retriever: Retriever, tmp_path: Path) -> None:
    split = Split("named/test", (Pair("gone", "nothing"),))
    with pytest.raises(BadSetting, match="in which folder"):
        examine(retriever, split)
    with pytest.raises(BadDataset, match="none of the 1 videos"):
        examine(retriever, split, videos=tmp_path)
    (tmp_path / "gone.mp4").write_bytes(b"no video")
    with pytest.raises(BadDataset, match="no video of named/test can be read"):
        examine(retriever, split, videos=tmp_path, workers=1)


# ---- scores of features


def unit(rows: int, *, seed: int, size: int = 16) -> np.ndarray:
    made = np.random.default_rng(seed).standard_normal((rows, size)).astype(np.float32)
    return np.asarray(made / np.linalg.norm(made, axis=1, keepdims=True))


def test_texts_that_are_their_videos_find_them() -> None:
    pairs = [Pair(f"v{i % 5}", f"caption {i}") for i in range(12)]
    split = Split("made", tuple(pairs))
    videos = unit(5, seed=0)
    scores = score(videos[list(split.text_targets)], videos, split, ties="pessimistic")
    assert (scores.plain.t2v.r1, scores.plain.v2t.r1) == (100, 100)
    assert (scores.plain.t2v.num_queries, scores.plain.v2t.num_queries) == (12, 5)
    assert scores.num_tied == 0
    wrong = score(np.roll(videos, 1, axis=0)[list(split.text_targets)], videos, split)
    assert wrong.plain.t2v.r1 == 0


def test_a_collapsed_model_shows_its_ties() -> None:
    split = Split("made", tuple(Pair(f"v{i}", "x") for i in range(6)))
    same = np.repeat(unit(1, seed=0), 6, axis=0)
    scores = score(same, same, split)
    assert (scores.num_tied, scores.num_tied_videos) == (6, 6)
    assert scores.plain.t2v.r1 == scores.plain.v2t.r1 == pytest.approx(100 / 6)


@pytest.mark.parametrize("ties", ["expected", "optimistic", "legacy"])
@pytest.mark.parametrize("captions", [60, 200])
def test_blocks_score_like_the_matrix(ties: Any, captions: int) -> None:
    split = Split("made", tuple(Pair(f"v{i % 60}", "x") for i in range(captions)))
    rng = np.random.default_rng(0)
    texts, videos = (rng.integers(-2, 3, (n, 6)).astype(np.float32) for n in (captions, 60))
    whole = score(texts, videos, split, ties=ties)
    blocks = score(texts, videos, split, ties=ties, matrix_scores=100)
    assert blocks.plain == whole.plain
    assert blocks.num_tied == whole.num_tied > 0
    assert blocks.num_tied_videos == whole.num_tied_videos > 0
    assert blocks.dual_softmax is None


def test_features_of_another_split_are_refused() -> None:
    split = Split("made", (Pair("a", "x"), Pair("a", "y"), Pair("b", "z")))
    with pytest.raises(BadSetting, match="2 text and 3 video features"):
        score(unit(2, seed=0), unit(3, seed=1), split)


@pytest.mark.slow
def test_msrvtt_as_published_is_scored_in_little_memory() -> None:
    """2,990 videos of 20 captions: 179 million scores; a matrix of them is 0.7 GB in fp32."""
    split = Split("full", tuple(Pair(f"v{i // 20}", "x") for i in range(2990 * 20)))
    videos = unit(2990, seed=0, size=8)
    texts = np.repeat(videos, 20, axis=0)
    tracemalloc.start()
    scores = score(texts, videos, split)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.2e9
    assert scores.dual_softmax is None
    assert (scores.plain.t2v.r1, scores.plain.v2t.num_queries) == (100, 2990)


# ---- frames of moments


def test_moments_are_read_where_they_are(folder: Path) -> None:
    path = next(iter(sorted(folder.glob("*.mp4"))))

    def seconds(start: float | None, end: float | None) -> tuple[float, ...]:
        read = read_moment(path, Moment(str(path), start, end), Reading(frames=4, size=32))
        assert isinstance(read, Frames)
        assert len(read.seconds) == 4
        return read.seconds

    assert seconds(None, None)[0] == 0
    assert seconds(1.0, 3.0)[0] == 1.0
    assert seconds(1.0, 3.0)[-1] <= 3.0
    assert seconds(0.5, 1.5) == (0.5, 0.75, 1.0, 1.25)
    assert seconds(2.0, None)[0] >= 2.0


# ---- known questions find what is wrong


class Wrapped:
    def __init__(self, real: Retriever) -> None:
        self.real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


class ShuffledVideos(Wrapped):
    def encode_videos(self, frames: torch.Tensor) -> torch.Tensor:
        return self.real.encode_videos(frames).roll(1, dims=0)


class MixedBatch(Wrapped):
    def encode_videos(self, frames: torch.Tensor) -> torch.Tensor:
        mixed = self.real.encode_videos((frames + frames.flip(0)) / 2)
        return torch.nn.functional.normalize(mixed, dim=-1)


class Collapsed(Wrapped):
    def encode_videos(self, frames: torch.Tensor) -> torch.Tensor:
        return self.real.encode_videos(torch.zeros_like(frames))


class NotUnit(Wrapped):
    def encode_videos(self, frames: torch.Tensor) -> torch.Tensor:
        return 2 * self.real.encode_videos(frames)


class PerFrame(Wrapped):
    def encode_videos(self, frames: torch.Tensor) -> torch.Tensor:
        return self.real.encode_videos(frames).repeat_interleave(2, dim=0)


class SwappedColours(Wrapped):
    def transform(self, pixels: np.ndarray) -> torch.Tensor:
        return self.real.transform(pixels[..., ::-1].copy())


class Reshaped(Wrapped):
    def transform(self, pixels: np.ndarray) -> torch.Tensor:
        *rows, height, width, _ = pixels.shape
        return torch.as_tensor(pixels).float().reshape(*rows, 3, height, width) / 255


class ShuffledTexts(Wrapped):
    def encode_texts(self, texts: Any) -> torch.Tensor:
        return self.real.encode_texts(texts).roll(1, dims=0)


@pytest.mark.parametrize(
    ("defect", "check"),
    [
        (ShuffledVideos, "alone or in a batch"),
        (MixedBatch, "identity"),
        (Collapsed, "identity"),
        (NotUnit, "unit length"),
        (PerFrame, "unit length"),
        (SwappedColours, "channels"),
        (Reshaped, "channels"),
        (ShuffledTexts, "order of texts"),
    ],
)
def test_a_known_question_finds_a_defect(
    defect: type[Wrapped], check: str, retriever: Retriever
) -> None:
    with pytest.raises(WrongAnswer, match=f"wrongly, '{check}'"):
        ask_known_answers(defect(retriever))  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "damage"),
    [
        ("in reversed order", lambda pixels: pixels[::-1]),
        ("with red and blue swapped", lambda pixels: pixels[..., ::-1]),
        ("mirrored", lambda pixels: pixels[:, :, ::-1]),
        ("on their side", lambda pixels: pixels.swapaxes(1, 2)),
    ],
)
def test_a_known_question_finds_a_defect_of_reading(
    what: str,
    damage: Callable[[np.ndarray], np.ndarray],
    retriever: Retriever,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def read(path: Path, moment: Moment, reading: Reading) -> Frames:
        answer = read_moment(path, moment, reading)
        assert isinstance(answer, Frames)
        return replace(answer, pixels=damage(answer.pixels).copy())

    monkeypatch.setattr(questions, "read_moment", read)
    with pytest.raises(WrongAnswer, match=f"wrongly, 'from file to feature': .*{what}"):
        ask_known_answers(retriever)
