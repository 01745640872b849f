"""Stages that run beside each other: what they share, and what none does to another."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from tempme.serving.pipeline import Pipeline, Stage

SECONDS = 60.0


class Gate:
    """A stage that notes its batches, and lets none through before it is opened."""

    def __init__(self) -> None:
        self.batches: list[list[Any]] = []
        self.reached, self.opened = threading.Event(), threading.Event()

    def __call__(self, items: Sequence[Any]) -> list[Any]:
        self.batches.append(list(items))
        self.reached.set()
        assert self.opened.wait(SECONDS)
        return list(items)


def doubled(items: Sequence[int]) -> list[int]:
    return [2 * item for item in items]


def told(items: Sequence[int]) -> list[str]:
    return [f"is {item}" for item in items]


def answers(pipeline: Pipeline[Any, Any], items: Iterable[Any]) -> list[Any]:
    """Those of items that are asked for at once; errors among them."""

    async def asked() -> list[Any]:
        waiting = [pipeline.ask(item) for item in items]
        return await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), SECONDS)

    return asyncio.run(asked())


def test_every_item_gets_its_own_answer() -> None:
    pipeline: Pipeline[int, str] = Pipeline(Stage(doubled, 4), Stage(told, 3))
    assert answers(pipeline, range(50)) == [f"is {2 * item}" for item in range(50)]
    pipeline.close()


def test_what_comes_during_a_batch_is_the_next_one() -> None:
    gate = Gate()
    pipeline: Pipeline[int, int] = Pipeline(Stage(gate, 3))

    async def asked() -> list[int]:
        first = asyncio.ensure_future(pipeline.ask(0))
        assert await asyncio.to_thread(gate.reached.wait, SECONDS)
        later = [asyncio.ensure_future(pipeline.ask(item)) for item in (1, 2, 3, 4)]
        await asyncio.sleep(0)  # they are in line now
        gate.opened.set()
        return await asyncio.wait_for(asyncio.gather(first, *later), SECONDS)

    assert asyncio.run(asked()) == [0, 1, 2, 3, 4]
    assert gate.batches == [[0], [1, 2, 3], [4]]
    pipeline.close()


def test_a_stage_works_while_the_next_one_does() -> None:
    """Neither of two items gets through unless each is at a stage at the same time."""
    meeting = threading.Barrier(2, timeout=SECONDS)

    def first(items: Sequence[int]) -> list[int]:
        if items == [1]:
            meeting.wait()
        return list(items)

    def second(items: Sequence[int]) -> list[int]:
        if items == [0]:
            meeting.wait()
        return list(items)

    pipeline: Pipeline[int, int] = Pipeline(Stage(first, 1), Stage(second, 1))
    assert answers(pipeline, [0, 1]) == [0, 1]
    pipeline.close()


def test_an_answer_leaves_as_soon_as_it_is_there() -> None:
    is_out = threading.Event()

    def one_by_one(items: Sequence[int]) -> Iterable[int]:
        for item in items:
            if item == 1:
                assert is_out.wait(SECONDS)
            yield item

    gate = Gate()
    pipeline: Pipeline[int, int] = Pipeline(Stage(gate, 2), Stage(one_by_one, 2))

    async def asked() -> list[int]:
        both = [asyncio.ensure_future(pipeline.ask(item)) for item in (0, 1)]
        await asyncio.sleep(0)
        gate.opened.set()
        found = [await asyncio.wait_for(both[0], SECONDS)]
        is_out.set()
        return [*found, await asyncio.wait_for(both[1], SECONDS)]

    assert asyncio.run(asked()) == [0, 1]
    pipeline.close()


@pytest.mark.parametrize("stage", [0, 1])
@pytest.mark.parametrize("is_raised", [True, False], ids=["raised", "returned"])
def test_an_item_that_fails_fails_alone(stage: int, is_raised: bool) -> None:
    def picky(items: Sequence[int]) -> Iterable[Any]:
        for item in items:
            if item % 5 == 3:
                if is_raised:
                    raise ValueError(f"not {item}")
                yield ValueError(f"not {item}")
            else:
                yield item

    gate = Gate()
    gate.opened.set()
    stages = [Stage(gate, 8), Stage(gate, 8)]
    stages[stage] = Stage(picky, 8)
    pipeline: Pipeline[int, int] = Pipeline(*stages)
    found = answers(pipeline, range(20))
    pipeline.close()
    for item, answer in enumerate(found):
        if item % 5 == 3:
            assert isinstance(answer, ValueError)
            assert str(answer) == f"not {item}"
        else:
            assert answer == item


@pytest.mark.parametrize("given", [[], [1]], ids=["none", "one"])
def test_a_stage_that_leaves_results_out_is_an_error_of_those(given: list[int]) -> None:
    pipeline: Pipeline[int, int] = Pipeline(Stage(lambda items: given if 9 in items else items, 4))
    found = answers(pipeline, [9])
    expected = [1] if given else ValueError
    assert found == expected if given else isinstance(found[0], ValueError)
    assert answers(pipeline, [2]) == [2]
    pipeline.close()


def test_what_nobody_waits_for_goes_no_further() -> None:
    gate, after = Gate(), Gate()
    after.opened.set()
    pipeline: Pipeline[int, int] = Pipeline(Stage(gate, 1), Stage(after, 4))

    async def asked() -> list[int]:
        waiting = [asyncio.ensure_future(pipeline.ask(item)) for item in range(4)]
        assert await asyncio.to_thread(gate.reached.wait, SECONDS)
        waiting[0].cancel()  # is worked on
        waiting[2].cancel()  # is in line
        await asyncio.sleep(0)
        gate.opened.set()
        left = (waiting[1], waiting[3])
        return await asyncio.wait_for(asyncio.gather(*left), SECONDS)

    assert asyncio.run(asked()) == [1, 3]
    assert gate.batches == [[0], [1], [3]]
    assert [item for batch in after.batches for item in batch] == [1, 3]
    pipeline.close()


def test_threads_begin_as_told_and_end_after_what_waits() -> None:
    begun: list[str] = []
    before = set(threading.enumerate())
    pipeline: Pipeline[int, int] = Pipeline(
        Stage(doubled, 2),
        Stage(doubled, 2),
        begin=lambda: begun.append(threading.current_thread().name),
    )
    threads = set(threading.enumerate()) - before

    async def asked() -> list[int]:
        waiting = [asyncio.ensure_future(pipeline.ask(item)) for item in range(5)]
        await asyncio.sleep(0)
        pipeline.close()
        return await asyncio.wait_for(asyncio.gather(*waiting), SECONDS)

    assert asyncio.run(asked()) == [0, 4, 8, 12, 16]
    for thread in threads:
        thread.join(SECONDS)
        assert not thread.is_alive()
    assert len(threads) == len(set(begun)) == 2
