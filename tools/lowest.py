"""pyproject.toml -> a constraints file that holds every direct dependency at its lower bound.

Run as `python tools/lowest.py`; `make test-lowest` gives what it prints to pip.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
NOTED = re.compile(r"(?P<name>[\w-]+)(\[[\w,-]+\])?>=(?P<bound>[\d.]+)(?P<marker>;.*)?")

# Below the version of constraints.txt the package registry holds builds for CUDA alone.
AS_PINNED = ("torch",)


def lowest(project: str, constraints: str) -> list[str]:
    """`name==bound` of all that `project`, the text of pyproject.toml, asks for."""
    asked = tomllib.loads(project)["project"]
    every = [
        *asked["dependencies"],
        *(one for extra in asked["optional-dependencies"].values() for one in extra),
    ]
    pinned = dict(line.split("==") for line in constraints.splitlines() if "==" in line)
    found, markers = {}, {}
    for requirement in every:
        if requirement.startswith(asked["name"] + "["):
            continue
        noted = NOTED.fullmatch(requirement)
        if noted is None:
            raise SystemExit(
                f"{requirement} in pyproject.toml has no lower bound: write name>=bound"
            )
        name = noted["name"]
        found[name] = pinned[name] if name in AS_PINNED else noted["bound"]
        markers[name] = noted["marker"] or ""
    return [f"{name}=={bound}{markers[name]}" for name, bound in sorted(found.items())]


if __name__ == "__main__":
    read = [(ROOT / name).read_text("utf-8") for name in ("pyproject.toml", "constraints.txt")]
    print("\n".join(lowest(*read)))
