"""The house: imports point down, files are short, the command line starts without torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
ROOT = TESTS.parent / "src" / "tempme"

# Rows from the ground up; within a row, what stands left of a bar knows nothing of what stands
# right of it, nor the reverse. A new module has to be put into its place here.
ROWS = (
    "errors files typed tokens schedule precision processes worker sheet results",
    "merging losses metrics ranks optimizers | video",
    "clip",
    "cost tuning compression pooling",
    "zoo sources methods assembly retriever checkpoint official card publish tables tracing "
    "picture figure comparison | datasets",
    "training evaluation self_test benchmark experiments models plots rates | index",
    "demo",
    "cli serving",
)
# What the files of a family share is no method; `vop_layers` is a part of `vop`.
SHARED = ("layers", "method")
MOST_LINES = 300
PLACES = {
    name: (row, side)
    for row, names in enumerate(ROWS)
    for side, part in enumerate(names.split("|"))
    for name in part.split()
}


def units() -> list[str]:
    return sorted(
        {path.stem for path in ROOT.iterdir() if path.suffix in ("", ".py")}
        - {"__init__", "__pycache__"}
    )


def imports_of(unit: str) -> Iterator[tuple[Path, str]]:
    """What the files of a unit import when they run, inside functions too."""
    whole = ROOT / unit
    for path in sorted(whole.rglob("*.py")) if whole.is_dir() else [ROOT / f"{unit}.py"]:
        for node in _running(ast.parse(path.read_text(encoding="utf-8"))):
            for name in _names(node):
                parts = name.split(".")
                if parts[0] == "tempme" and len(parts) > 1 and parts[1] != unit:
                    yield path, parts[1]


def _running(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            continue
        yield node
        yield from _running(node)


def _names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        inside = [f"{node.module}.{alias.name}" for alias in node.names]
        return inside if node.module == "tempme" else [node.module]
    return []


@pytest.mark.parametrize("unit", units())
def test_imports_point_down(unit: str) -> None:
    assert unit in PLACES, f"{unit} has no place among the layers"
    row, side = PLACES[unit]
    for path, other in imports_of(unit):
        assert other in PLACES, f"{path} imports {other}, which has no place among the layers"
        other_row, other_side = PLACES[other]
        allowed = other_row < row or (other_row, other_side) == (row, side)
        assert allowed, f"{path} ({unit}) imports {other}, which is not below it"


def _files_of_families() -> list[Path]:
    return [
        path for family in ("tuning", "compression") for path in (ROOT / family).glob("[!_]*.py")
    ]


@pytest.mark.parametrize(
    "path", _files_of_families(), ids=lambda path: f"{path.parent.name}/{path.stem}"
)
def test_methods_do_not_know_each_other(path: Path) -> None:
    family = path.parent.name
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        for name in _names(node):
            if not name.startswith(f"tempme.{family}."):
                continue
            other = name.split(".")[2]
            is_own_part = other.startswith(f"{path.stem}_")
            assert other in SHARED or is_own_part, f"{path} imports {name}"


def test_files_are_short() -> None:
    files = [path for folder in (ROOT, TESTS) for path in folder.rglob("*.py")]
    lines = {path: len(path.read_bytes().splitlines()) for path in files}
    assert {ROOT / "__init__.py", TESTS / "conftest.py"} <= lines.keys()
    long = {str(path): count for path, count in lines.items() if count > MOST_LINES}
    assert not long, f"more than {MOST_LINES} lines; split by responsibility: {long}"


MAIN = """
import tempme.cli
sys.argv = ["tempme", *{words}]
try:
    tempme.cli.main()
except SystemExit:
    pass
"""
LIGHT = """
import sys
{code}
print(*{{"torch", "lancedb", "pyarrow", "av", "lightning"}}.intersection(sys.modules))
"""


@pytest.mark.parametrize(
    "code",
    [
        "import tempme.cli",
        "import tempme.index",
        "import tempme.cli.index, tempme.cli.search, tempme.cli.status, tempme.cli.show",
        MAIN.format(words=["--help"]),
        MAIN.format(words=["search", "--help"]),
    ],
    ids=["cli", "index", "verbs", "help", "help of a verb"],
)
def test_the_command_line_starts_light(code: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIGHT.format(code=code)], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == ""
