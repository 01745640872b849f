"""`tempme index --shards`: videos -> shards, on this machine or on a Ray cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tempme.cli.output import counted, print_json, print_line, say, say_some
from tempme.errors import BadSetting, Stopped
from tempme.uris import is_remote, uri_of

if TYPE_CHECKING:
    from tempme.index import Report
    from tempme.index.building.order import RunOrder
    from tempme.index.shards.shards import Shards

LOCAL = "local"


def check_engine(on: str, shards: str | None, paths: Sequence[Path] = (), *, watch: bool) -> None:
    """BadSetting for what does not go together."""
    if on != LOCAL and on != "ray" and not on.startswith("ray://"):
        raise BadSetting(f"--on is {on!r}; it is local, ray, or ray://HOST:PORT")
    if on != LOCAL and shards is None:
        raise BadSetting(
            f"--on {on} writes shards: say where with --shards URI, then `tempme store load URI`"
        )
    if shards is None and (far := next(filter(is_remote, paths), None)) is not None:
        from tempme.index.building.scan import IN_A_BUCKET

        raise BadSetting(f"{uri_of(far)} is in a bucket: {IN_A_BUCKET}")
    if watch and shards is not None:
        raise BadSetting("--watch follows folders into an index: leave it or --shards out")


def make_shards(
    order: RunOrder,
    *,
    uri: str,
    on: str,
    model: str | None,
    cutting: Mapping[str, Any],
    as_json: bool,
) -> None:
    """Bring the shards in line with the files of an order."""
    from tempme.cli.progress import ProgressBar
    from tempme.index.shards.opening import shards_for
    from tempme.index.shards.run import Run

    shards = shards_for(uri, model, cutting)
    try:
        with ProgressBar() as bar:
            run = Run(shards, order, on_progress=bar.show)
            report = run.run(_work(shards, order, on))
    except KeyboardInterrupt:
        raise Stopped(
            "stopped; every finished shard is kept: run the same command again to go on"
        ) from None
    if as_json:
        print_json({"shards": shards.place.uri, **report.as_dict()})
    else:
        _summary(shards, report, [one.name for one in run.damaged])


def _work(shards: Shards, order: RunOrder, on: str) -> Any:
    from tempme.index.shards.opening import index_of

    index = index_of(shards)
    if on == LOCAL:
        from tempme.index.shards.local import locally

        return locally(shards, lambda: index.retriever, order)
    from tempme.index.shards.on_ray import on_ray
    from tempme.index.shards.ray_cluster import cluster_address

    address = cluster_address(on if "://" in on else None)
    return on_ray(shards, order, size=index.retriever.image_size, address=address)


def _summary(shards: Shards, report: Report, damaged: Sequence[str]) -> None:
    say_some("failed", report.failures, rest="--json")
    say_some("note", report.notes, rest="--json")
    say_some("not indexed", report.unreadable, rest="--json")
    if damaged:
        say(f"damaged and passed over: {', '.join(damaged)}")
    counts = {kind: number for kind, number in vars(report.videos).items() if number}
    told = ", ".join(f"{number} {kind}" for kind, number in counts.items())
    print_line(
        f"{shards.place.uri}: {told or 'no videos found'}; {counted(report.moments, 'moment')} "
        f"made, {report.seconds:.1f} s, {report.videos_per_second:.2f} videos/s"
    )
    say(f"to search: `tempme store load {shards.place.uri} --index URI`")
