"""What `index`, `status`, `search`, `forget` and `features` tell a person, and a program."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from index_material import ColourRetriever, write_video
from terminals import Ended, Terminal


class Verb:
    """A verb on one index whose model knows colours."""

    def __init__(self, run: Terminal, index: Path) -> None:
        self.run, self.index = run, index

    def __call__(self, verb: str, *words: object) -> Ended:
        model = ("--model", "colours") if verb in ("index", "features") else ()
        where = () if verb == "features" else ("--index", self.index)
        return self.run(verb, *words, *where, *model)


@pytest.fixture
def verb(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> Verb:
    monkeypatch.setattr("tempme.index.model.load_model", lambda _: ColourRetriever())
    return Verb(Terminal(monkeypatch, capfd), tmp_path / "a.tempme")


@pytest.fixture
def films(tmp_path: Path) -> Path:
    folder = tmp_path / "films"
    (folder / "private").mkdir(parents=True)
    for colour in ("red", "green", "blue"):
        write_video(folder / f"{colour}.mp4", [colour])
    write_video(folder / "private" / "white.mp4", ["white"])
    content = write_video(tmp_path / "whole.mkv", ["yellow", "black"], seconds=8).read_bytes()
    (folder / "cut.mkv").write_bytes(content[: len(content) // 2])
    (folder / "broken.MTS").write_bytes(bytes(range(256)) * 20)
    (folder / ".hidden.mp4").touch()
    (folder / "app.ts").write_text("export const a = 1\n")
    Image.new("RGB", (90, 60), (235, 235, 235)).save(folder / "paper.jpg")
    return folder


def lines(text: str, start: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(start)]


@pytest.mark.slow
def test_a_run_tells_what_it_found_and_what_not(verb: Verb, films: Path) -> None:
    done = verb("index", films, films / "app.ts", "--exclude", "private")
    assert done.code == 0
    assert "4 indexed, 1 failed, 1 with a note; 5 moments" in done.out
    (failed,) = lines(done.err, "failed: ")
    assert "broken.MTS: not a video" in failed
    (note,) = lines(done.err, "note: ")
    assert "cut.mkv: truncated" in note
    (skipped,) = lines(done.err, "skipped: ")
    for told in ("1 hidden", "1 excluded", "1 picture (see --pictures)"):
        assert told in skipped
    (refused,) = lines(done.err, "not indexed: ")
    assert "app.ts: text, neither a video nor a picture" in refused
    again = verb("index", films, "--exclude", "private")
    assert "4 unchanged, 1 failed, 1 with a note" in again.out
    assert lines(again.err, "note: ") == [note]
    assert "1 text file named like a video" in again.err


@pytest.mark.slow
def test_a_run_tells_the_same_to_a_program(verb: Verb, films: Path) -> None:
    verb("index", films)
    (films / "red.mp4").unlink()
    told = verb("index", films, "--json").document
    assert told["videos"]["unchanged"] == 4
    assert told["missing"] == [str(films / "red.mp4")]
    assert told["skipped"] == {"hidden": 1, "text": 1, "picture": 1}
    assert [Path(item["path"]).name for item in told["notes"]] == ["cut.mkv"]
    assert [Path(item["path"]).name for item in told["failures"]] == ["broken.MTS"]


@pytest.mark.slow
def test_the_status_tells_notes_and_what_is_missing(verb: Verb, films: Path) -> None:
    verb("index", films)
    (films / "red.mp4").unlink()
    done = verb("status")
    first = done.out.splitlines()[0]
    assert "5 videos, 1 failed (see --failed), 1 with a note (see --notes), 1 missing" in first
    assert "cut.mkv: truncated" in lines(done.err, "note: ")[0]
    (missing,) = lines(done.err, "missing: ")
    assert "1 known video cannot be found, such as" in missing
    assert "red.mp4" in missing
    listed = verb("status", "--notes").out.splitlines()
    assert len(listed) == 2
    assert "truncated" in listed[1]
    told = verb("status", "--json").document
    assert (told["num_notes"], told["num_missing"], told["num_failed"]) == (1, 1, 1)
    assert told["missing"] == [str(films / "red.mp4")]
    assert "1 missing" in verb("index", films).out


@pytest.mark.slow
def test_pruning_a_disk_that_is_not_mounted(verb: Verb, films: Path) -> None:
    verb("index", films)
    shutil.rmtree(films)
    films.mkdir()
    line = verb("index", films, "--prune").refusal
    assert "holds nothing to index, but the index knows 6 videos there" in line
    assert "mount it" in line
    assert "--force" in line
    assert "6 removed" in verb("index", films, "--prune", "--force").out


@pytest.mark.slow
def test_pictures_on_demand(verb: Verb, films: Path) -> None:
    assert "1 indexed; 1 moment" in verb("index", films / "paper.jpg").out
    assert "5 indexed, 1 unchanged, 1 failed" in verb("index", films, "--pictures").out
    found = verb("search", "white", "-k", 2).out.splitlines()
    assert {line.split()[-1].rsplit("/", 1)[-1] for line in found[1:]} == {"white.mp4", "paper.jpg"}
    assert len([line for line in found if " picture " in line]) == 1


@pytest.mark.slow
def test_copies_are_one_hit_with_a_line_each(verb: Verb, films: Path) -> None:
    shutil.copy(films / "red.mp4", films / "private" / "red too.mp4")
    verb("index", films)
    done = verb("search", "red", "-k", 1)
    head, first, second = done.out.splitlines()
    assert head.split() == ["score", "confidence", "from", "to", "path"]
    assert (first.split()[0][:2], second.split()[0]) == ("0.", "same")
    assert second.endswith("red.mp4")
    assert len(verb("search", "red", "-k", 1, "--json").document["hits"][0]["paths"]) == 2


@pytest.mark.slow
def test_a_plain_query_has_no_notes_and_a_wrong_folder_is_an_error(verb: Verb, films: Path) -> None:
    verb("index", films / "red.mp4")
    done = verb("search", "red", "--json")
    assert done.document["notes"] == []
    assert "warning" not in done.err
    assert verb("search", "red", "--under", films / "nowhere").refusal.startswith("no such folder")


@pytest.mark.slow
def test_forgetting(verb: Verb, films: Path) -> None:
    verb("index", films)
    done = verb("forget", films / "private", films / "red.mp4")
    assert "2 videos forgotten; no file was touched" in done.out
    assert (films / "red.mp4").exists()
    told = verb("forget", films / "green.mp4", "--json").document
    assert told["forgotten"] == [str(films / "green.mp4")]
    assert "knows no video at or below" in verb("forget", films / "green.mp4").refusal
    assert "3 indexed" in verb("index", films).out


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["npy", "parquet"])
def test_features(verb: Verb, films: Path, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"f.{suffix}"
    done = verb("features", films, "--out", out, "-x", "private")
    assert done.code == 0
    assert f"f.{suffix}: 5 moments of 4 videos, 1 failed" in done.out
    assert "broken.MTS" in lines(done.err, "failed: ")[0]
    told = verb("features", films, "--out", out, "--json").document
    assert (told["videos"], told["moments"]) == (5, 6)
    assert told["fingerprint"] == ColourRetriever().fingerprint
    if suffix == "npy":
        assert np.load(out).shape == (6, 32)
        assert len(json.loads((tmp_path / "f.json").read_text())["rows"]) == 6


@pytest.mark.slow
def test_features_of_nothing_are_an_error(verb: Verb, films: Path, tmp_path: Path) -> None:
    line = verb("features", films / "broken.MTS", "--out", tmp_path / "f.npy").refusal
    assert "no features, so nothing is written: 1 file failed" in line
    assert "broken.MTS" in line
    assert "no such file" in verb("features", films / "x.mp4", "--out", tmp_path / "f.npy").refusal
    line = verb("features", films, "--out", tmp_path / "f.npy", "--overlap", 1).refusal
    assert "overlap is 1" in line
    assert not list(tmp_path.glob("*f.*"))
