"""docs/methods.md is what the docstrings say, and docs/adding-a-method.md works as it stands."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest
import torch

import tempme
from documents import methods
from tempme.compression import COMPRESSIONS
from tempme.errors import BadSetting
from tempme.pooling import POOLINGS
from tempme.retriever.described import to_toml
from tempme.retriever.retriever import Retriever
from tempme.systems import table as zoo
from tempme.systems.system import System
from tempme.tuning import TUNINGS

DOCS = Path(__file__).parents[2] / "docs"
KINDS = TUNINGS | COMPRESSIONS | POOLINGS
MOST_LINES = 60


@pytest.mark.parametrize("name", KINDS)
def test_every_setting_is_explained(name: str) -> None:
    text, meanings = methods.explained(KINDS[name])
    assert text
    assert meanings.keys() == {f.name for f in fields(KINDS[name])}
    assert all(meaning.endswith((".", "?")) for meaning in meanings.values()), meanings


@pytest.mark.parametrize("name", [*TUNINGS, *COMPRESSIONS])
def test_every_method_is_cited(name: str) -> None:
    cited = re.findall(r"arXiv \d{4}\.\d{5}", sys.modules[KINDS[name].__module__].__doc__ or "")
    assert cited or name == "keep"


# The page on adding a method


def blocks() -> dict[str, str]:
    """The files of the page, by name."""
    page = (DOCS / "adding-a-method.md").read_text("utf-8")
    found = re.findall(r"```python\n# (\w+)\.py\n(.*?)```", page, flags=re.DOTALL)
    return dict(found)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The page's files where they can be imported; the tables are as before afterwards."""
    tables = [(table, dict(table)) for table in (TUNINGS, COMPRESSIONS, zoo.SYSTEMS)]
    for name, text in blocks().items():
        (tmp_path / f"{name}.py").write_text(text, "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in blocks():
        sys.modules.pop(name, None)
    for table, before in tables:
        table.clear()
        table.update(before)  # type: ignore[arg-type]


def run(name: str) -> dict[str, object]:
    return vars(importlib.import_module(name))


def test_the_page_has_a_method_of_each_kind() -> None:
    assert list(blocks()) == ["quiet", "scales", "tables", "plan", "train"]
    for name, text in blocks().items():
        assert len(text.splitlines()) < MOST_LINES, name


@pytest.mark.usefixtures("files")
def test_the_plan_of_the_page() -> None:
    run("plan")
    with pytest.raises(BadSetting, match=r"quiet\.r is -1"):
        run("quiet")["Quiet"](r=-1)  # type: ignore[operator]


@pytest.mark.slow
@pytest.mark.usefixtures("files")
def test_the_training_of_the_page() -> None:
    made = run("train")
    retriever, videos = made["retriever"], made["videos"]
    assert isinstance(retriever, Retriever)
    assert isinstance(videos, torch.Tensor)
    learning = {n for n, p in retriever.named_parameters() if p.requires_grad}
    assert all(name.endswith("mlp.c_proj.scale") for name in learning)
    assert len(learning) == 12 + 4
    vision, ready = retriever.backbone.vision, retriever.for_inference("fp32")
    with torch.no_grad():
        tokens = vision.embed(videos)
        for layer, step in zip(vision.layers, retriever.system.plan(), strict=True):
            tokens = layer(tokens)
            assert len(tokens) == step.tokens_out
        slow, fast = retriever.encode_videos(videos), ready.encode_videos(videos)
    torch.testing.assert_close(fast, slow, atol=1e-5, rtol=0)
    assert not [n for n, _ in ready.named_parameters() if n.endswith("scale")][1:]


@pytest.mark.usefixtures("files")
def test_a_method_in_no_table_is_refused_in_words() -> None:
    row = tempme.system("lora")
    unknown = run("quiet")["Quiet"]()  # type: ignore[operator]
    made = System("mine", row.tuning, unknown)
    with pytest.raises(BadSetting, match="Quiet is in no table"):
        to_toml(made)
