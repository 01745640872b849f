"""The work of a run on Ray, with the stages of `tempme.index.shards.ray_stages`.

Ray Data is driven by a process that is part of the cluster. That is this one, unless the cluster is
reached as `ray://host:port`, through the server of Ray's client: then an actor on its head drives
the stages, and this process asks it for what became of files. Machines of a cluster need tempme,
the files under the same paths, and the keys of the store.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator

from tempme.errors import BadSetting, Stopped, TempmeError
from tempme.index.building.order import RunOrder
from tempme.index.shards.making import Outcome
from tempme.index.shards.ray_cluster import RayCluster, connected, loaded_ray
from tempme.index.shards.ray_stages import RayTask, outcomes
from tempme.index.shards.run import Todo
from tempme.index.shards.shards import Shards

# Of the head of a cluster, which every cluster has: if it dies, all is over anyway.
HEAD = {"node:__internal_head__": 0.001}


def on_ray(
    shards: Shards, order: RunOrder, *, size: int, address: str | None = None
) -> Callable[[Todo], Generator[Outcome]]:
    """The work on a cluster (None: one on this machine), with frames of so many pixels a side."""

    def work(todo: Todo) -> Generator[Outcome]:
        with connected(address) as cluster:
            scratch = cluster.scratch
            task = RayTask(todo, shards.place.uri, shards.header, order, size, scratch)
            for made in _told(_driven(cluster, task)):
                yield from made

    return work


class Conductor:
    """An actor that drives the stages of a run for a process outside the cluster."""

    def __init__(self, task: RayTask) -> None:
        self._made = outcomes(loaded_ray(), task)

    def take(self) -> list[Outcome] | None:
        """What became of some more files; None after the last of them."""
        return next(self._made, None)


def _driven(cluster: RayCluster, task: RayTask) -> Iterator[list[Outcome]]:
    if not cluster.is_client:
        yield from outcomes(cluster.ray, task)
        return
    ray = cluster.ray
    conductor = ray.remote(Conductor).options(num_cpus=0, resources=HEAD).remote(task)
    while (made := ray.get(conductor.take.remote())) is not None:
        yield made


def _told(made: Iterator[list[Outcome]]) -> Iterator[list[Outcome]]:
    """The same; an error of an actor is the error that was raised in it."""
    try:
        yield from made
    except (TempmeError, GeneratorExit, KeyboardInterrupt):
        raise
    except Exception as error:
        if (inner := _inner(error)) is not None:
            raise inner from error
        told = str(error).strip().splitlines()
        why = told[-1] if told else type(error).__name__
        if "No module named 'tempme" in why:
            raise BadSetting(
                "the machines of the Ray cluster have no tempme, or another version of it: "
                "pip install the same there"
            ) from error
        raise Stopped(
            f"Ray gave up: {why}; every finished shard is kept: run the same command again to go on"
        ) from error


def _inner(error: BaseException | None) -> TempmeError | None:
    """The error of ours that is behind one of Ray's."""
    while error is not None:
        if isinstance(error, TempmeError):
            return error
        error = getattr(error, "cause", None) or error.__cause__
    return None
