"""`tempme check`: says what is damaged, exits with 1, and mends it when asked to."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import tempme
from index_material import Renewed, write_video
from tempme.backbones.config import ClipConfig
from terminals import Terminal

SMALL = ClipConfig(
    image_size=32, patch=16, width=32, heads=2, text_width=32, text_heads=2, embed=16
)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(monkeypatch, capfd)


def index_films(folder: Path) -> None:
    (folder / "films").mkdir()
    for colour in ("red", "green"):
        write_video(folder / "films" / f"{colour}.mp4", [colour, "white"], seconds=3)
    retriever = tempme.Retriever.build(tempme.system("tempme", backbone=SMALL), None, seed=0)
    index = tempme.Index.create(folder / "films.tempme", retriever)
    index.add(folder / "films", workers=1)


@pytest.fixture(scope="module")
def films_and_index(tmp_path_factory: pytest.TempPathFactory) -> Renewed:
    return Renewed(tmp_path_factory.mktemp("check") / "again", index_films)


@pytest.fixture
def index(films_and_index: Renewed) -> Path:
    return films_and_index.again() / "films.tempme"


@pytest.mark.slow
def test_a_whole_index_is_said_to_be(run: Terminal, index: Path) -> None:
    done = run("check", "--index", index)
    assert done.code == 0
    assert done.out == f"{index}: every row and every moment is as it was written\n"
    document = run("check", "--index", index, "--json").document
    assert document["is_whole"]
    assert document["damaged"] == []


@pytest.mark.slow
def test_what_is_lost_is_said_everywhere_and_mended(run: Terminal, index: Path) -> None:
    shutil.rmtree(index / "moments.lance")
    (index / "scan.npz").unlink()
    searched = run("search", "red", "--index", index, "--json")
    assert searched.document["left_out"] == 2
    assert "warning: 2 videos left out, damaged or lost in the index; `tempme check" in searched.err
    assert "2 videos left out" in run("status", "--index", index).err
    done = run("check", "--index", index)
    assert done.code == 1
    assert "damaged: 2 videos" in done.out
    assert done.err.count("its moments in the index are lost") == 2
    assert "--repair` embeds again" in done.err
    (index.parent / "films" / "green.mp4").unlink()
    mended = run("check", "--index", index, "--repair")
    assert mended.code == 0
    assert "repaired: 2 videos; 1 video embedded again" in mended.out
    assert "not on disk, so its row is removed" in mended.err
    assert run("check", "--index", index).code == 0
    assert len(run("search", "red", "--index", index, "--json").document["hits"]) == 1


def test_a_table_that_cannot_be_read_is_named(run: Terminal, index: Path) -> None:
    for path in (index / "moments.lance" / "_versions").glob("*.manifest"):
        path.write_bytes(b"nothing")
    done = run("check", "--index", index, "--json")
    assert done.code == 1
    assert list(done.document["unreadable"]) == ["moments"]
    assert run("check", "--index", index, "--repair", "--json").document["is_whole"]
    assert run("check", "--index", index).code == 0


@pytest.mark.slow
@pytest.mark.parametrize("has_copy", [True, False])
def test_a_lost_list_of_files_is_said(run: Terminal, index: Path, has_copy: bool) -> None:
    for path in (index / "videos.lance" / "data").iterdir():
        path.write_bytes(b"x")
    if not has_copy:
        (index / "scan.npz").unlink()
    done = run("check", "--index", index, "--repair")
    assert done.code == 0
    assert "repaired: the table of videos" in done.out
    again = f"run `tempme index PATH --index {index}` on your folders again\n"
    assert done.err.endswith(f"which files there were stood in that table: {again}")
    assert run("index", index.parent / "films", "--index", index).code == 0
    assert run("check", "--index", index).code == 0
    assert run("status", "--index", index, "--json").document["num_videos"] == 2


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-9] ^= 1
    path.write_bytes(content)


def renewed_as_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


MODEL_DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "gone": (shutil.rmtree, "system.toml is missing"),
    "empty": (lambda m: (shutil.rmtree(m), m.mkdir()), "system.toml is missing"),
    "a folder": (lambda m: renewed_as_folder(m / "system.toml"), "system.toml is missing"),
    "no weights": (lambda m: (m / "weights.safetensors").unlink(), "No such file or directory"),
    "half of it": (lambda m: (m / "tokenizer.json").write_bytes(b'{"a'), "not a tokenizer"),
    "one bit": (lambda m: flip(m / "weights.safetensors"), "is no longer what it was"),
}


@pytest.mark.parametrize("damage", MODEL_DAMAGE)
@pytest.mark.one_in(2)
def test_a_model_that_is_damaged_is_said_to_be(run: Terminal, index: Path, damage: str) -> None:
    spoil, said = MODEL_DAMAGE[damage]
    spoil(index / "model")
    assert run("search", "red", "--index", index).code == 0  # by the text side, kept beside it
    (index / "words.npz").unlink()
    advice = f"put the folder {index / 'model'} back from a copy, or index again"
    other = "put that folder back from a copy, or index again"
    for words in (("search", "red"), ("check", "--repair")):
        done = run(*words, "--index", index)
        assert (done.code, done.err.count("\n")) == (1, 1), done.err
        assert done.err.startswith(f"error: the index {index} cannot ")
        assert said in done.err
        assert advice in done.err or other in done.err
    done = run("check", "--index", index)
    assert done.code == 1
    assert done.out == f"{index}: damaged: the model\n"
    assert said in done.err
    assert run("check", "--index", index, "--json").document["model"]
