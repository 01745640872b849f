"""What a run tells Ray's metrics."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from far_servers import needs_ray
from loopback import environment

PROGRAM = """
import json
from collections import defaultdict
from types import SimpleNamespace
from ray.util import metrics
from tempme.index.shards.making import Outcome
from tempme.index.shards.ray_metrics import RunMetrics

found = defaultdict(float)

def recorded(kind, is_sum):
    class Recorded(kind):
        # Ray checks names and values; without its agent nobody keeps what it lets pass. It does not
        # say that it leaves out a tag of which it was not told before.
        def _record(self, value, tags=None, **rest):
            assert {*(tags or {})} <= {*self.info["tag_keys"]}, tags
            super()._record(value, tags=tags, **rest)
            name = " ".join([self.info["name"], *(tags or {}).values()])
            found[name] = value + (found[name] if is_sum else 0)
    return Recorded

told = SimpleNamespace(
    Counter=recorded(metrics.Counter, True), Gauge=recorded(metrics.Gauge, False)
)
run = RunMetrics(told, files=5, readers=1, encoders=1)
made = [
    Outcome("piece", windows=3, encode_seconds=1e9),
    Outcome("new", windows=2, encode_seconds=1.0),
    Outcome("known"),
    Outcome("new", windows=1),
    Outcome("failed"),
]
assert list(run.watched(iter(made))) == made
print(json.dumps(found))
"""


@pytest.mark.slow
def test_progress_and_the_stage_that_is_waited_for_are_metrics() -> None:
    needs_ray()
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        env=environment({}),
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["tempme_run_files new"] == 2
    assert found["tempme_run_files known"] == 1
    assert found["tempme_run_files failed"] == 1
    assert found["tempme_run_windows"] == 6
    assert found["tempme_run_files_left"] == 1
    assert found["tempme_run_files_per_second"] > 0
    busy = {stage: found[f"tempme_run_stage_busy {stage}"] for stage in ("read", "encode")}
    assert busy == {"read": 0, "encode": 1}
