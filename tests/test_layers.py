"""The house: imports point down, files are short, the command line starts without torch."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
ROOT = TESTS.parent / "src" / "tempme"

PICTURE = (ROOT.parents[1] / "docs" / "architecture.md").read_text("utf-8")
# What the files of a family share is no method; `vop_layers` is a part of `vop`.
SHARED = ("layers", "method", "joining", "packing", "frames")
MOST_LINES = 300
MODULES = {
    ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(ROOT.rglob("*.py"))
}


def drawn() -> tuple[dict[str, int], set[tuple[str, str]]]:
    """Room -> row of the picture in docs/architecture.md, and the arrows drawn within rows."""
    (picture,) = re.findall(r"```rooms\n(.*?)```", PICTURE, re.DOTALL)
    rows: dict[str, int] = {}
    arrows: set[tuple[str, str]] = set()
    for line in picture.splitlines():
        number, words = line.split(maxsplit=1)
        for word in words.split():
            one, _, other = word.partition("->")
            rows[one] = int(number)
            if other:
                arrows.add((one, other))
    return rows, arrows


def imports_of(module: str) -> set[str]:
    """The modules that a module imports: when it runs, inside functions, for types alone."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        for name in _names(node):
            while name and name not in MODULES:
                name = name.rpartition(".")[0]
            # A package offers what its own modules define, and these may look for their siblings.
            if name not in ("", "tempme", module) and not module.startswith(f"{name}."):
                found.add(name)
    return found


def _names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []


def room_of(module: str) -> str:
    """tempme.video.decode -> video."""
    return module.split(".")[1]


@pytest.mark.slow
def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {module: imports_of(module) for module in MODULES}
    with pytest.raises(CycleError):
        TopologicalSorter({"a": {"b"}, "b": {"a"}}).prepare()
    TopologicalSorter(graph).prepare()  # its error names the circle


def test_the_picture_shows_every_room() -> None:
    rooms = {room_of(module) for module in MODULES if module != "tempme"}
    assert drawn()[0].keys() == rooms


@pytest.mark.slow
def test_imports_point_down_or_as_drawn() -> None:
    rows, arrows = drawn()
    used = set()
    for module in MODULES.keys() - {"tempme"}:
        one = room_of(module)
        for other in {room_of(name) for name in imports_of(module)} - {one}:
            if rows[other] == rows[one]:
                used.add((one, other))
            assert rows[other] <= rows[one], f"{module} imports {other}, which stands above it"
            assert rows[other] < rows[one] or (one, other) in arrows, (
                f"{module} imports {other}, which stands beside it: no arrow is drawn"
            )
    assert used == arrows, "arrows that nothing needs any more"


def test_public_classes_have_names_of_their_own() -> None:
    homes: dict[str, list[str]] = {}
    for module, path in MODULES.items():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes.setdefault(node.name, []).append(module)
    assert homes["Index"] == ["tempme.index.index"]
    twice = {name: modules for name, modules in homes.items() if len(modules) > 1}
    assert not twice, f"one name for one thing: {twice}"


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
            if f"tempme.{family}.{other}" not in MODULES:
                continue  # what the package itself offers
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
