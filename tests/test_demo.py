"""The demo, on few videos: the shipped model finds them, and the picture shows the hits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from PIL import Image

from tempme import demo
from tempme.datasets.pairs import Pair
from tempme.demo import Search, ask, build_index, draw_sheet, make_videos
from tempme.drawing.contact_sheet import contact_sheet
from tempme.errors import BadSetting
from tempme.index import Hit, Index, Progress
from terminals import Terminal

FEW = {"NUM_SHORT": 4, "NUM_LONG": 1, "SCENES_IN_LONG": 3}
VIDEOS = 4 + 4 + 1


@pytest.fixture(scope="module")
def few() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, number in FEW.items():
            patch.setattr(demo, name, number)
        yield


@pytest.fixture(scope="module")
def folder(few: None, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: ARG001
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def told(folder: Path) -> Sequence[tuple[str, Pair]]:
    heard: list[tuple[int, int]] = []
    made = make_videos(folder / "videos", lambda done, total: heard.append((done, total)))
    assert heard == [(done, VIDEOS) for done in range(1, VIDEOS + 1)]
    return made


@pytest.fixture(scope="module")
def searches(folder: Path, told: Sequence[tuple[str, Pair]]) -> tuple[Search, ...]:
    seen: list[Progress] = []
    report = build_index(folder / "videos", folder / "demo.tempme", seen.append)
    assert report.videos.indexed == VIDEOS
    assert report.videos.failed == 0
    assert seen
    return ask(Index.open(folder / "demo.tempme"), told)


def test_videos_of_every_codec_and_kind(folder: Path, told: Sequence[tuple[str, Pair]]) -> None:
    assert Counter(kind for kind, _ in told) == {"static": 4, "temporal": 4, "moment": 3}
    files = {path.suffix for path in (folder / "videos").iterdir()}
    assert files == {".mp4", ".avi", ".webm"}
    moments = [pair for kind, pair in told if kind == "moment"]
    assert len({pair.video for pair in moments}) == 1
    assert moments[0].start_seconds == 0
    assert all(one.end_seconds == other.start_seconds for one, other in pairwise(moments))


def test_five_searches_of_three_kinds(searches: tuple[Search, ...]) -> None:
    assert [search.kind for search in searches] == ["static"] * 2 + ["temporal"] * 2 + ["moment"]
    assert len({search.query for search in searches}) == 5
    for search in searches:
        scores = [hit.score for hit in search.hits]
        assert len(scores) == 3
        assert scores == sorted(scores, reverse=True)


def test_the_shipped_model_finds_what_one_frame_shows(searches: tuple[Search, ...]) -> None:
    assert [search.rank for search in searches if search.kind == "static"] == [1, 1]


def test_the_picture_has_a_row_for_every_search(
    searches: tuple[Search, ...], tmp_path: Path
) -> None:
    with Image.open(draw_sheet(searches, tmp_path / "new" / "hits.png")) as picture:
        picture.load()
        assert picture.width >= 12 * demo.THUMBNAIL
        assert picture.height >= len(searches) * demo.THUMBNAIL
        assert picture.getpixel((0, 0)) == (255, 255, 255)
        assert len(picture.getcolors(maxcolors=2**24) or ()) > 100


def test_a_picture_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="at least one row"):
        contact_sheet([], tmp_path / "hits.png")


def test_a_hit_is_right_where_it_shows_the_moment(tmp_path: Path) -> None:
    one, other = tmp_path / "one.mp4", tmp_path / "other.mp4"
    for path in (one, other):
        path.touch()

    def hit(path: Path, start: float) -> Hit:
        return Hit(path, start, start + 6, 0.5, path.stem)

    answer = Pair(one, "a red circle", 10.0, 14.0)  # its middle is at 12 s
    early, late, elsewhere = hit(one, 5), hit(one, 8), hit(other, 8)
    assert Search("a red circle", "moment", answer, (elsewhere, early, late)).rank == 3
    assert Search("a red circle", "moment", answer, (late, early)).rank == 1
    assert Search("a red circle", "moment", answer, (elsewhere, early)).rank is None
    assert Search("a red circle", "static", Pair(one, "a red circle"), (early,)).rank == 1


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(monkeypatch, capfd, "demo")


@pytest.mark.slow
def test_the_verb_tells_where_everything_is(
    few: None,  # noqa: ARG001
    run: Terminal,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    left = tmp_path / "demo" / "videos" / "left.mp4"  # by an earlier demo
    left.parent.mkdir(parents=True)
    left.touch()
    (tmp_path / "demo" / ".tempme-demo").touch()
    done = run("--out", "demo")
    assert done.code == 0
    assert f"indexed {VIDEOS} videos" in done.out
    assert done.out.count("the right video is") == 5
    assert "of 5 searches have the right video first" in done.out
    assert "windows/s alone" in done.out
    assert "adapted: cosine" in done.out
    assert (tmp_path / "demo" / "adapted" / "system.toml").exists()
    assert not left.exists()
    with Image.open(tmp_path / "demo" / "hits.png") as picture:
        picture.verify()


def test_folders_of_others_are_left_as_they_are(run: Terminal, tmp_path: Path) -> None:
    own = tmp_path / "videos" / "of the family.mp4"
    own.parent.mkdir()
    own.touch()
    assert "no demo made" in run("--out", tmp_path).refusal
    assert "cannot write" in run("--out", own).refusal
    assert own.exists()
