"""What the package offers: sorted, complete, described, and cheap to import."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import tempme

SOURCE = Path(tempme.__file__).parent
FILES = sorted(path for path in SOURCE.rglob("*.py"))


def test_names_are_sorted_and_complete() -> None:
    assert tempme.__all__ == sorted(tempme.__all__)
    assert dir(tempme) == sorted([*tempme.__all__, "__version__"])
    assert set(tempme.__all__) == set(tempme._HOME)
    for name, home in tempme._HOME.items():
        given = getattr(tempme, name)
        assert inspect.getdoc(given), name
        assert given.__module__.startswith(home), name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = tempme.nothing


def test_types_are_shipped() -> None:
    assert (SOURCE / "py.typed").exists()


def test_importing_is_cheap() -> None:
    code = "import sys, tempme; print(*{'torch', 'lancedb', 'av', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def public(
    body: list[ast.stmt], where: str
) -> Iterator[tuple[str, ast.ClassDef | ast.FunctionDef]]:
    """Functions and classes without an underscore, and the methods of those classes."""
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
            yield f"{where}.{node.name}", node
            if isinstance(node, ast.ClassDef):
                yield from public(node.body, f"{where}.{node.name}")


def undescribed(path: Path) -> Iterator[str]:
    """Of a file of Python, what lacks a docstring or does not say what it returns."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    if tree.body and not ast.get_docstring(tree):
        yield str(path)
    for name, node in public(tree.body, path.stem):
        if any(getattr(each, "id", "") == "overload" for each in node.decorator_list):
            continue
        if not ast.get_docstring(node):
            yield name
        if isinstance(node, ast.FunctionDef) and node.returns is None:
            yield f"{name} does not say what it returns"


def test_every_public_thing_is_described(tmp_path: Path) -> None:
    assert [lack for path in FILES for lack in undescribed(path)] == []
    (tmp_path / "bare.py").write_text("def f(): ...\nclass C:\n    def g(self) -> int: ...\n")
    lacks = ["bare.f", "bare.f does not say what it returns", "bare.C", "bare.C.g"]
    assert list(undescribed(tmp_path / "bare.py")) == [str(tmp_path / "bare.py"), *lacks]
