from __future__ import annotations

import os
from pathlib import Path

import pytest

from tempme.datasets import Pair, load_folder
from tempme.errors import BadDataset


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sub").mkdir()
    for name in ("dog.mp4", "sub/cat.mp4"):
        (tmp_path / name).write_bytes(b"its content is not looked at")
    return tmp_path


def jsonl(folder: Path, *lines: str) -> Path:
    path = folder / "captions.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def table(folder: Path, *lines: str) -> Path:
    path = folder / "captions.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


EXPECTED = (
    ("dog.mp4", "a dog, jumping", 1.0, 2.5),
    ("dog.mp4", "ein Hund springt \u00fcber Holz", None, None),
    ("sub/cat.mp4", "a cat", 3.0, None),
)


def expected(folder: Path) -> tuple[Pair, ...]:
    return tuple(Pair(folder / file, *rest) for file, *rest in EXPECTED)  # type: ignore[arg-type]


def test_json_lines(folder: Path) -> None:
    path = jsonl(
        folder,
        '{"file": "dog.mp4", "caption": "a dog, jumping", "start": 1, "end": 2.5, "part": "x"}',
        "",
        '{"file": "dog.mp4", "caption": " ein Hund springt \u00fcber Holz", "start": null}',
        '{"file": "sub/cat.mp4", "caption": "a cat", "start": "3"}',
        "",
    )
    assert load_folder(folder) == load_folder(path) == expected(folder)
    assert load_folder(folder, part="x") == expected(folder)[:1]


def test_line_separators_inside_json_do_not_split_lines(folder: Path) -> None:
    jsonl(folder, '{"file": "dog.mp4", "caption": "one\u2028two"}')
    assert load_folder(folder)[0].caption == "one\u2028two"


def test_csv_as_spreadsheets_write_it(folder: Path) -> None:
    path = folder / "captions.csv"
    lines = (
        "file,caption,start,end,part",
        'dog.mp4,"a dog, jumping",1,2.5,x',
        "dog.mp4,ein Hund springt \u00fcber Holz,,,",
        "sub/cat.mp4,a cat,3,,",
    )
    path.write_bytes(("\ufeff" + "\r\n".join(lines) + "\r\n").encode())
    assert load_folder(folder) == load_folder(path) == expected(folder)


def test_a_caption_of_two_lines_in_csv(folder: Path) -> None:
    table(folder, "caption,file", '"a dog\njumps",dog.mp4')
    assert load_folder(folder)[0].caption == "a dog\njumps"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{file: dog}", "line 2 is not JSON"),
        ("[1]", "line 2 is not a JSON object"),
        ('{"caption": "a"}', "line 2 has file None; give file as text .it has caption"),
        ('{"file": "dog.mp4"}', "line 2 has caption None; give caption"),
        ('{"file": "dog.mp4", "caption": "  "}', "line 2 has caption '  '"),
        ('{"file": "dog.mp4", "caption": ["a"]}', "line 2 has caption"),
        ('{"file": "dog.mp4", "caption": "a", "start": -1}', "line 2 has start -1"),
        ('{"file": "dog.mp4", "caption": "a", "start": 1%s}' % ("0" * 400), "line 2 has start 1"),
        ('{"file": "dog.mp4", "caption": "a", "start": true}', "line 2 has start True"),
        ('{"file": "dog.mp4", "caption": "a", "end": "soon"}', "line 2 has end 'soon'"),
        ('{"file": "dog.mp4", "caption": "a", "end": NaN}', "line 2 has end nan"),
        ('{"file": "dog.mp4", "caption": "a", "start": 3, "end": 3}', "line 2 ends at 3.0 s"),
        ('{"file": "dog.mp4", "caption": "a", "end": 0}', "line 2 ends at 0.0 s"),
    ],
)
def test_json_lines_that_cannot_be_used(folder: Path, line: str, message: str) -> None:
    jsonl(folder, '{"file": "dog.mp4", "caption": "a dog"}', line)
    with pytest.raises(BadDataset, match=message) as error:
        load_folder(folder)
    assert "; " in str(error.value), "the remedy"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("film,words", "dog.mp4,a dog"), "no column file and caption; it has film, words. Begin"),
        (("film;words", "dog.mp4;a dog"), "no column file and caption; it has film;words"),
        (
            ("file,words", "dog.mp4,a dog"),
            "line 1 has no column caption; .* .caption may be called",
        ),
        (("file;caption", "dog.mp4;a dog; jumping"), "line 2 has too many fields"),
        (("",), "line 1 has no column file and caption"),
        (("file,caption", "dog.mp4,a dog, jumping"), "line 2 has too many fields"),
        (("file,caption", "dog.mp4,a", "dog.mp4"), "line 3 has caption None"),
        (("file,caption", 'dog.mp4,"a dog'), "is not CSV"),
        (("file,caption,start", "dog.mp4,a,1:20"), "line 2 has start '1:20'"),
    ],
)
def test_csv_that_cannot_be_used(folder: Path, lines: tuple[str, ...], message: str) -> None:
    table(folder, *lines)
    with pytest.raises(BadDataset, match=message):
        load_folder(folder)


@pytest.mark.parametrize(
    "lines",
    [
        ("Video;Text;Start;End", 'dog.mp4;"a dog; jumping";1;2.5'),
        ("video_id\tsentence\tstart_time\tend_time", "dog\ta dog; jumping\t1\t2.5"),
        ("id,path,description,begin,stop", "7,dog.mp4,a dog; jumping,1,2.5"),
        ("Video Name|Description|Start-Time|END time", "dog|a dog; jumping|1|2.5"),
    ],
)
def test_separators_and_names_of_columns_are_found(folder: Path, lines: tuple[str, ...]) -> None:
    table(folder, *lines)
    assert load_folder(folder) == (Pair(folder / "dog.mp4", "a dog; jumping", 1.0, 2.5),)


def test_ids_and_copies_elsewhere(folder: Path, tmp_path: Path) -> None:
    jsonl(
        folder,
        '{"file": "sub/cat", "caption": "a cat"}',
        '{"id": "dog", "text": "a dog"}',
        '{"file": "sub/bird.avi", "caption": "a bird"}',
    )
    copies = tmp_path / "copies"
    (copies / "sub").mkdir(parents=True)
    for name in ("sub/cat.mp4", "sub/bird.mp4", "dog.avi.mp4"):
        (copies / name).touch()
    there = [pair.video for pair in load_folder(folder / "captions.jsonl", videos=copies)]
    assert there == [copies / "sub/cat.mp4", copies / "dog.avi.mp4", copies / "sub/bird.mp4"]
    (copies / "dog.mp4").touch()
    with pytest.raises(BadDataset, match=r"'dog' is the name of 2 files .* write its path"):
        load_folder(folder, videos=copies)
    with pytest.raises(BadDataset, match="is not a folder"):
        load_folder(folder, videos=tmp_path / "nowhere")


def test_what_is_not_there_keeps_its_place(folder: Path) -> None:
    long = "dog" * 99
    jsonl(folder, '{"file": "gone.mp4", "caption": "a"}', f'{{"file": "{long}", "caption": "b"}}')
    assert [pair.video for pair in load_folder(folder)] == [folder / "gone.mp4", folder / long]


def test_rows_that_are_asked_for_and_not_there(folder: Path) -> None:
    table(folder, "file,caption,split", "dog.mp4,a dog,training")
    with pytest.raises(BadDataset, match="no caption with split=train: split is training there"):
        load_folder(folder, split="train")
    table(folder, "file,caption", "dog.mp4,a dog")
    with pytest.raises(BadDataset, match="split=train: it has no column split"):
        load_folder(folder, split="train")


def test_folders_without_captions(folder: Path) -> None:
    with pytest.raises(BadDataset, match=r"captions.jsonl or captions.csv"):
        load_folder(folder)
    with pytest.raises(BadDataset, match="no folder or captions file"):
        load_folder(folder / "gone")
    (folder / "mine.csv").touch()
    with pytest.raises(BadDataset, match=r"the captions file itself .mine\.csv is there."):
        load_folder(folder)
    jsonl(folder, "")
    with pytest.raises(BadDataset, match="has no caption; write one row"):
        load_folder(folder)


def test_text_in_another_encoding(folder: Path) -> None:
    (folder / "captions.csv").write_bytes(b"file,caption\ndog.mp4,\xfcber\n")
    with pytest.raises(BadDataset, match="not UTF-8"):
        load_folder(folder)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_captions_that_may_not_be_read(folder: Path) -> None:
    jsonl(folder, "").chmod(0)
    with pytest.raises(BadDataset, match="check permissions"):
        load_folder(folder)
