"""How fast: figures worked out by hand, turns in their order, prompts given or made."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import jobs
from jobs import Shared, TimedJob
from tempme.evaluation import timing


def test_rates_are_videos_by_seconds() -> None:
    told = timing.summary([0.5, 2.0, 1.0], videos=4)
    assert told == {"videos_per_second": 4.0, "least": 2.0, "most": 8.0}


def test_a_ratio_is_that_of_neighbours() -> None:
    assert timing.ratio([2.0, 30.0, 8.0], [1.0, 10.0, 2.0]) == 3.0  # of 2, 3 and 4
    with pytest.raises(ValueError, match="shorter"):
        timing.ratio([1.0, 2.0], [1.0])


def test_jobs_run_in_turns_after_one_to_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    now, ran = [0.0], []

    def job(name: str, seconds: float) -> None:
        ran.append(name)
        now[0] += seconds * (10 if len(ran) <= 2 else 1)  # the first is slow, and not counted

    for clock in ("perf_counter", "process_time"):
        monkeypatch.setattr(timing.time, clock, lambda: now[0])
    jobs = {"a": lambda: job("a", 1.0), "b": lambda: job("b", 3.0)}
    assert timing.in_turns(jobs, rounds=2) == {"a": [1.0, 1.0], "b": [3.0, 3.0]}
    assert "".join(ran) == "ab" + "ab" * 2


@pytest.mark.parametrize(
    ("threads", "has_gpu", "clock"),
    [(1, False, "processor"), (1, True, "wall"), (2, False, "wall")],
)
def test_the_clock_is_that_of_the_processor_where_it_works_alone(
    threads: int, has_gpu: bool, clock: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_gpu)
    assert timing.clock() == clock
    read: list[str] = []
    monkeypatch.setattr(timing.time, "perf_counter", lambda: read.append("wall") or 0.0)
    monkeypatch.setattr(timing.time, "process_time", lambda: read.append("processor") or 0.0)
    timing.in_turns({"a": lambda: None}, rounds=1)
    assert read == [clock, clock]


def test_the_peak_is_the_best_of_shapes_and_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "_PRODUCTS", ((10, 20, 30), (40, 50, 60)))
    told = iter([[2e-3, 1e-3], [3e-3, 4e-3]])
    monkeypatch.setattr(jobs, "in_turns", lambda *_, **__: {"product": next(told)})
    assert jobs.matmul_peak("fp32") == pytest.approx(40 * 50 * 60 / 3e-3 / 1e9)


def test_equal_tensors_are_held_once() -> None:
    first, same, other = nn.Linear(3, 2), nn.Linear(3, 2), nn.Linear(3, 2)
    same.load_state_dict(first.state_dict())
    shared = Shared()
    for module in (first, same, other):
        shared.take(module)
    assert same.weight.data_ptr() == first.weight.data_ptr()
    assert other.weight.data_ptr() != first.weight.data_ptr()
    # Equal sums are no equal tensors.
    swapped = nn.Linear(3, 2)
    swapped.load_state_dict({**first.state_dict(), "weight": first.weight.flip(0)})
    shared.take(swapped)
    assert torch.equal(swapped.weight, first.weight.flip(0))


@pytest.mark.parametrize(
    ("system", "asked", "kind"),
    [
        ("tempme", None, None),
        ("tempme", "made", None),
        ("vop-c", None, "made"),
        ("vop-c", "given", "given"),
        ("dgl", None, "given"),
        ("dgl", "made", "made"),
    ],
)
def test_how_prompts_come_about(system: str, asked: jobs.Prompts | None, kind: str | None) -> None:
    job = TimedJob(system, prompts=asked, batch=2)
    assert job.kind_of_prompts == kind
    cost = job.row.cost()
    made = kind == "made"
    shares = {"vop-c": 1, "dgl": 2}  # once for a batch of two, or once for every video
    more = cost.gmacs_prompts / shares[system] if made else 0
    assert job.gmacs == pytest.approx(cost.gmacs + more)
    assert not made or more > 0


def test_a_batch_of_noise_is_encoded() -> None:
    class Counting(nn.Module):
        image_size, num_frames, device = 4, 3, torch.device("cpu")

        def encode_videos(self, frames: torch.Tensor) -> torch.Tensor:
            shapes.append(tuple(frames.shape))
            assert torch.is_inference_mode_enabled()
            return torch.ones(len(frames), 2)

    shapes: list[tuple[int, ...]] = []
    encode = timing.encoding(Counting(), 5)  # type: ignore[arg-type]
    assert encode() == 10.0
    assert encode() == 10.0
    assert shapes == [(5, 3, 3, 4, 4)] * 2
