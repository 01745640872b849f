"""BERT's pieces of words: what is cut, unknown, or no vocabulary."""

from __future__ import annotations

from pathlib import Path

import pytest

from tempme.backbones.umt.wordpiece import SPECIAL, WordPiece, clean
from tempme.errors import BadSetting, BadWeights

SMALL = WordPiece((*SPECIAL, "a", "dog", "##s", "run", "cafe"), context=6)


def test_pieces_and_padding() -> None:
    ids, mask = SMALL(["A dogs!", "a dog run a dog run a"], max_words=8)
    assert ids.tolist() == [[2, 5, 6, 7, 0, 0], [2, 5, 6, 8, 5, 6]]
    assert mask.sum(dim=1).tolist() == [4, 6]
    assert not SMALL.is_cut("a dog run a dog")
    assert SMALL.is_cut("a dog run a dog run")


def test_an_answer_ends_where_there_is_room() -> None:
    ids, _ = SMALL(["dogs", "a dog run a dog"], end=True)
    assert ids.tolist() == [[2, 6, 7, 3, 0, 0], [2, 5, 6, 8, 5, 6]]


def test_nobody_can_spell_a_special_token() -> None:
    ids, mask = SMALL(["[PAD] [SEP]"], max_words=6)
    assert mask.sum() == 6
    assert not {0, 2, 3, 4} & set(ids[0, 1:].tolist())


def test_unknown_words_are_told_and_accents_are_not() -> None:
    assert SMALL.unknown("a zebra runs, a café") == ["zebra"]
    assert SMALL.decode(SMALL.encode("a café dogs")) == "a cafe dogs"
    with pytest.raises(BadSetting, match="ids are 0 to 9"):
        SMALL.decode([10])


def test_words_of_captions_are_pieces() -> None:
    made = WordPiece.of_words(["Two man-eating tigers.", "two dogs"], context=9)
    assert made.vocabulary == (*SPECIAL, "dogs", "eating", "man", "tigers", "two")
    assert made.unknown("two tigers") == []


@pytest.mark.parametrize("name", ["vocab.txt", "tokenizer.json"])
def test_files_of_both_kinds(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "vocab.txt":
        path.write_text("\n".join(SMALL.vocabulary) + "\n", "utf-8")
        assert WordPiece.load(path).vocabulary == SMALL.vocabulary
    else:
        SMALL.save(path)
        assert WordPiece.load(path) == SMALL


@pytest.mark.parametrize("text", ["", "{", "[PAD]\n[PAD]\n", '{"vocabulary": 3}', "a\ndog\n"])
def test_files_that_are_no_vocabulary(tmp_path: Path, text: str) -> None:
    path = tmp_path / "vocab.txt"
    path.write_text(text, "utf-8")
    with pytest.raises((BadWeights, BadSetting), match="vocabulary"):
        WordPiece.load(path)
    with pytest.raises(BadWeights, match="absent"):
        WordPiece.load(tmp_path / "absent")


def test_what_the_original_removes() -> None:
    assert clean("The <person>'s  red/blue semi-circle, (twice)!\n") == (
        "the persons red blue semi circle twice"
    )
