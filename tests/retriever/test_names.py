"""What a person may call a model, and what is said where nothing has that name."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import tempme
from tempme.compression import Keep
from tempme.errors import BadSetting, UnknownName
from tempme.retriever.described import to_toml
from tempme.retriever.names import Plain, Tagged, is_tag, look_up, shipped, unknown


def test_a_near_name_is_offered_and_a_far_one_is_not() -> None:
    for source, hint in (("scenes-tyni", " (did you mean scenes-tiny?);"), ("zebra", ";")):
        told = unknown(source)
        assert told.startswith(f"no model {source!r}: there is no such file or folder")
        assert f"({', '.join(shipped())}){hint} published weights are named" in told
        assert "owner/name" in told
    assert "did you mean ViT-B/32:openai?" in unknown("ViT-B/32:open")


def test_a_tag_follows_the_last_colon(tmp_path: Path) -> None:
    assert look_up("ViT-B/32:openai") == Tagged("ViT-B/32", "openai")
    assert look_up(tmp_path / "a:b.pt") == Plain(tmp_path / "a:b.pt")


def test_a_tag_is_asked_of_its_own_backbone() -> None:
    with pytest.raises(UnknownName, match=r"weights of ViT-L/14 called 'opena'.*dfn2b_s39b"):
        tempme.load("ViT-L/14:opena")


def test_what_is_there_or_may_be_on_a_hub_is_known(tmp_path: Path) -> None:
    assert unknown(tmp_path) == unknown(str(tmp_path)) == unknown("owner/name") == ""


def test_a_bare_word_is_a_tag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    assert is_tag("openai")
    for other in ("owner/name", "no/such/file.pt", "weights.safetensors", "here", tmp_path, {}):
        assert not is_tag(other)


def test_a_method_without_a_name_cannot_be_written() -> None:
    @dataclass(frozen=True)
    class Own(Keep):
        """A compression of somebody's own."""

    row = replace(tempme.system("clip4clip"), compression=Own())
    with pytest.raises(BadSetting, match=r"Own is in no table.*COMPRESSIONS\['name'\] = Own"):
        to_toml(row)
