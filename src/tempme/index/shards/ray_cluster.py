"""A Ray cluster to work on: one that is there, or one on this machine that ends with the run."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tempme.errors import BadSetting, MissingExtra
from tempme.processes.cores import num_cores
from tempme.processes.running import is_running

OBJECT_STORE_BYTES = 512 * 2**20
LONGEST_FOLDER = 30
PREFIX = "tm-"
CLIENT = "ray://"
# Nothing leaves the cluster, and nothing listens that nobody asked for.
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
}
# Of a cluster that ends with the run, nobody knows at which port it would tell its metrics.
UNASKED = {"enable_metrics_collection": False}


@dataclass(frozen=True)
class RayCluster:
    """Ray, connected. `is_client`: this process is no part of the cluster, and asks a server.

    `scratch` is where actors may put files, None for the usual place.
    """

    ray: Any
    is_client: bool = False
    scratch: Path | None = None


def cluster_address(given: str | None, variables: Mapping[str, str] = os.environ) -> str | None:
    """The cluster that a person names, or else Ray's own variable; None for one on this machine."""
    found = given or variables.get("RAY_ADDRESS", "")
    return None if found in ("", "local") else found


@contextlib.contextmanager
def connected(address: str | None) -> Iterator[RayCluster]:
    """A cluster; None starts one on this machine, which ends with the context and leaves no file.

    BadSetting if there is none at the address.
    """
    is_client = (address or "").startswith(CLIENT)
    settings = {**QUIET, "RAY_AUTH_MODE": "token"} if address and _has_token() else QUIET
    os.environ.update({name: os.environ.get(name, value) for name, value in settings.items()})
    ray = loaded_ray()
    with contextlib.ExitStack() as stack:
        options: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
        if address is None:
            _remove_left(_short_folder())
            folder = tempfile.TemporaryDirectory(
                prefix=f"{PREFIX}{os.getpid()}-", dir=_short_folder(), ignore_cleanup_errors=True
            )
            options |= {
                "address": "local",
                "include_dashboard": False,
                "num_cpus": num_cores(),  # by itself it counts those that it may not use, too
                "object_store_memory": OBJECT_STORE_BYTES,
                "_temp_dir": stack.enter_context(folder),
                "_system_config": UNASKED,
            }
        else:
            options["address"] = address
        stack.callback(ray.shutdown)
        # It tells of workers that died on stdout, where the answer of the program goes.
        stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        try:
            ray.init(**options)
        except Exception as error:  # some of what goes wrong has no kind of its own
            raise BadSetting(_no_cluster(address, error)) from error
        yield RayCluster(ray, is_client, Path(options["_temp_dir"]) if address is None else None)


def loaded_ray() -> Any:
    """Ray with what is used of it; MissingExtra without."""
    try:
        import ray
        import ray.data
        import ray.util.metrics
    except ImportError as error:
        raise MissingExtra("--on ray needs Ray: pip install 'tempme[ray]'") from error
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    return ray


def _no_cluster(address: str | None, error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    told = lines[-1] if lines[0].endswith(":") else lines[0]
    if address is None:
        return f"Ray does not start on this machine: {told}; --on local does without it"
    return (
        f"no Ray cluster at {address}: {told}; --on ray starts one here, ray://HOST:10001 is that "
        "of `ray start --head`, and one with a token wants it in RAY_AUTH_TOKEN, with "
        "RAY_AUTH_MODE=token"
    )


def _has_token() -> bool:
    """Whether there is a token for clusters where Ray looks for one.

    `ray start` shows such a token unasked; who connects has to be told to, before Ray is loaded.
    """
    is_named = os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH")
    return bool(is_named) or (Path.home() / ".ray" / "auth_token").is_file()


def _short_folder() -> str:
    """Where Ray may make sockets, whose paths have to be short."""
    folder = tempfile.gettempdir()
    return folder if len(folder) <= LONGEST_FOLDER else "/tmp"


def _remove_left(folder: str) -> None:
    """What runs that were killed left there: the logs and sockets of their clusters."""
    for left in Path(folder).glob(f"{PREFIX}*-*"):
        number = left.name.removeprefix(PREFIX).partition("-")[0]
        if number.isdigit() and not is_running(int(number)):
            shutil.rmtree(left, ignore_errors=True)
