"""The constraints that hold dependencies at their lower bounds are those of pyproject.toml."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lowest import lowest

ROOT = Path(__file__).parents[1]
PROJECT = """
[project]
name = "films"
dependencies = ["av>=17.1", "torch>=2.6"]
[project.optional-dependencies]
train = ["lightning>=2.6"]
dev = ["films[train]", "pytest-xdist[psutil]>=3.5; sys_platform == 'linux'"]
"""


def test_bounds_become_versions() -> None:
    told = lowest(PROJECT, "torch==2.13.0\nav==18.1.0\n")
    here = "; sys_platform == 'linux'"
    assert told == ["av==17.1", "lightning==2.6", f"pytest-xdist==3.5{here}", "torch==2.13.0"]


@pytest.mark.parametrize("bound", ["av", "av<18", "av>=17,<19", "av==18"])
def test_what_has_no_lower_bound_alone_is_refused(bound: str) -> None:
    with pytest.raises(SystemExit, match=re.escape(bound)):
        lowest(PROJECT.replace("av>=17.1", bound), "torch==2.13.0")


def test_every_dependency_is_pinned_and_not_below_its_bound() -> None:
    pinned = dict(
        line.lower().replace("_", "-").split("==")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
    )
    for line in lowest(
        (ROOT / "pyproject.toml").read_text(), (ROOT / "constraints.txt").read_text()
    ):
        name, bound = line.partition(";")[0].lower().replace("_", "-").split("==")
        assert numbers(pinned[name]) >= numbers(bound), line


def numbers(version: str) -> list[int]:
    return [int(part) for part in version.split("+")[0].split(".")]
