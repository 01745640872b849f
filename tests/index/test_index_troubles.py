"""What a disk, a system and other people do to a run: one line each, and nothing is lost."""

from __future__ import annotations

import os
import resource
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

import tempme
from commands import WITHOUT_RIGHTS, error_of, said, start
from index_material import write_video
from tempme.backbones.config import ClipConfig
from tempme.errors import BadIndex
from tempme.index import Counts, Index
from tempme.index.folder import make_folder
from tempme.index.header import NAME
from tempme.retriever.retriever import Retriever

SMALL = ClipConfig(
    image_size=32, patch=16, width=32, heads=2, text_width=32, text_heads=2, embed=16
)
# The superuser may do everything; less these two rights, modes of files hold for it as well.

pytestmark = pytest.mark.slow

# As much as Python writes to find out which folder takes temporary files; some libraries ask.
NEXT_TO_NOTHING = 8


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    retriever = Retriever.build(tempme.system("tempme", backbone=SMALL), None, seed=0)
    return retriever.save(tmp_path_factory.mktemp("models") / "small", whole=True)


@pytest.fixture
def films(tmp_path: Path) -> Path:
    folder = tmp_path / "my films \N{CLAPPER BOARD}"
    (folder / "more").mkdir(parents=True)
    for path, colour in {"red.mp4": "red", "green.mp4": "green", "more/blue.mp4": "blue"}.items():
        write_video(folder / path, [colour, "white"], seconds=3)
    return folder


def names(index: Path) -> list[str]:
    return sorted(v.path.name for v in Index.open(index).videos() if v.status == "ok")


def limit_to(num_bytes: int) -> Callable[[], None]:
    """No file can grow beyond so many bytes: nearly a full disk, and a system that says so."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, num_bytes))

    return limit


@pytest.mark.parametrize("num_bytes", [NEXT_TO_NOTHING, 2000])
def test_a_full_disk(films: Path, model: Path, tmp_path: Path, num_bytes: int) -> None:
    index = tmp_path / "an index \N{CLAPPER BOARD}.tempme"
    Index.create(index, tempme.load(model)).add(films / "red.mp4")
    line = error_of(start("index", films, "--index", index, before=limit_to(num_bytes)))
    assert f"cannot write to the index {index}: " in line
    assert "run the same command again" in line
    assert names(index) == ["red.mp4"]
    assert Index.open(index).add(films).videos == Counts(indexed=2, unchanged=1)


def test_a_full_disk_from_the_first_byte(films: Path, model: Path, tmp_path: Path) -> None:
    index = tmp_path / "a.tempme"
    words = ("index", films, "--index", index, "--model", model)
    assert f"cannot write the index {index}: " in error_of(
        start(*words, before=limit_to(NEXT_TO_NOTHING))
    )
    run = start(*words)
    _, err = run.communicate(timeout=600)
    assert run.returncode == 0, err
    assert names(index) == ["blue.mp4", "green.mp4", "red.mp4"]


def test_two_first_runs_at_once(films: Path, model: Path, tmp_path: Path) -> None:
    index = tmp_path / "a.tempme"
    runs = [start("index", films, "--index", index, "--model", model) for _ in range(3)]
    for run in runs:
        _, err = run.communicate(timeout=600)
        if run.returncode:
            (line,) = said(err)
            assert line.startswith(f"error: another run is writing to the index {index} ")
    assert 0 in {run.returncode for run in runs}
    assert names(index) == ["blue.mp4", "green.mp4", "red.mp4"]
    assert Index.open(index).add(films).videos == Counts(unchanged=3)


def test_what_another_run_has_begun_is_no_other_thing(model: Path, tmp_path: Path) -> None:
    """It lay there when the folder was listed, and not yet when an index was looked for."""
    index = tmp_path / "a.tempme"
    Index.create(index, tempme.load(model))
    make_folder(index)
    (index / NAME).unlink()
    with pytest.raises(BadIndex, match=r"a folder with other things in it \(words.npz\)"):
        make_folder(index)


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv is not here")
def test_what_may_not_be_read(films: Path, model: Path, tmp_path: Path) -> None:
    way = WITHOUT_RIGHTS if os.geteuid() == 0 else ()
    index = tmp_path / "a.tempme"
    (films / "red.mp4").chmod(0)
    (films / "more").chmod(0)
    try:
        run = start("index", films, "--index", index, "--model", model, way=way)
        out, err = run.communicate(timeout=600)
        alone = start("index", films / "more", "--index", index, way=way)
        told, _ = alone.communicate(timeout=600)
        line = error_of(start("similar", films / "red.mp4", "--index", index, way=way))
    finally:
        (films / "more").chmod(0o755)
    assert run.returncode == 0
    assert "1 indexed, 1 failed" in out
    assert "red.mp4: permission denied" in err
    assert "more: permission denied" in err
    assert alone.returncode == 0
    assert "no videos found" in told
    assert line.endswith("red.mp4 is not a video or picture to look for: permission denied")
    assert names(index) == ["green.mp4"]
