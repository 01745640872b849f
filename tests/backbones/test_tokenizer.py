"""The tokenizer gives the reference's ids, and a smaller vocabulary agrees with the full one."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest
import regex
import torch
from hypothesis import given
from hypothesis import strategies as st

from tempme.backbones import bytepair
from tempme.backbones.tokenizer import Tokenizer
from tempme.errors import BadSetting, BadWeights

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "fn_tokenizer.json").read_text("utf-8"))
CAPTIONS = ("a red square moves left", "the blue circle's shadow grows before it turns", "two dots")


@pytest.mark.parametrize("case", GOLDEN["items"], ids=lambda case: ascii(case["text"])[:40])
def test_ids_of_the_reference(case: dict) -> None:
    tokenizer = Tokenizer()
    assert tokenizer.encode(case["text"]) == case["ids"]
    assert tokenizer.decode(case["ids"]) == case["decoded"]
    pieces = bytepair.id_pieces()
    assert [pieces[number] for number in case["ids"]] == case["tokens"]
    for width in (32, 64):
        ids, mask = tokenizer([case["text"]], max_words=width)
        assert ids[0].tolist() == case[f"padded_ids_{width}"]
        assert mask[0].tolist() == case[f"mask_{width}"]
        assert ids.dtype == mask.dtype == torch.int64


def test_table_of_merges_is_the_published_file() -> None:
    packed = (
        resources.files("tempme.backbones").joinpath("bpe_simple_vocab_16e6.txt.gz").read_bytes()
    )
    assert hashlib.sha256(packed).hexdigest() == GOLDEN["bpe_sha256_gz"]
    tokenizer = Tokenizer()
    assert (tokenizer.vocab, tokenizer.sot, tokenizer.eot) == (
        GOLDEN["vocab_size"],
        GOLDEN["sot"],
        GOLDEN["eot"],
    )
    assert len(bytepair.piece_ids()) == tokenizer.vocab


def test_long_caption_is_cut_and_says_so() -> None:
    tokenizer = Tokenizer(context=8)
    text = "one two three four five six seven"
    ids, mask = tokenizer([text, "one two"], max_words=32)
    assert ids.shape == (2, 8)
    assert ids[0].tolist() == [tokenizer.sot, *tokenizer.encode(text)[:6], tokenizer.eot]
    assert mask.sum(1).tolist() == [8, 4]
    assert tokenizer.is_cut(text)
    assert not tokenizer.is_cut("one two three four five six")
    assert tokenizer.is_cut("one two", max_words=3)


def test_wrong_input_is_named() -> None:
    tokenizer = Tokenizer()
    with pytest.raises(BadSetting, match="give a list"):
        tokenizer("a dog")
    with pytest.raises(BadSetting, match="not int"):
        tokenizer([7])  # type: ignore[list-item]
    with pytest.raises(BadSetting, match="not NoneType"):
        tokenizer.encode(None)  # type: ignore[arg-type]
    with pytest.raises(BadSetting, match="max_words is 1"):
        tokenizer(["a dog"], max_words=1)
    with pytest.raises(BadSetting, match="outside"):
        tokenizer.decode([tokenizer.vocab])
    with pytest.raises(BadSetting, match="context"):
        Tokenizer(context=1)


def test_no_text_gives_no_rows() -> None:
    ids, mask = Tokenizer()([])
    assert ids.shape == mask.shape == (0, 32)


@given(st.text())
def test_any_text_becomes_ids_in_range_and_comes_back(text: str) -> None:
    tokenizer = Tokenizer()
    ids = tokenizer.encode(text)
    assert all(0 <= number < tokenizer.vocab for number in ids)
    words = bytepair.split_words(bytepair.clean(text))
    assert tokenizer.decode(ids).replace(" ", "") == "".join(words).replace(" ", "")


# As published in openai/CLIP, for the package that it was written for.
PUBLISHED = regex.compile(
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+",
    regex.IGNORECASE,
)
BITS = st.sampled_from(["<|startoftext|>", "<|endoftext|>", "'LL", "\u017f", "\u0345", "½", "日本"])


# Which characters are assigned, and as what, may differ by version where this Python knows none.
@given(st.lists(BITS | st.text(st.characters(exclude_categories=("Cn", "Cs")))).map("".join))
def test_words_are_those_of_the_published_expression(text: str) -> None:
    cleaned = bytepair.clean(text)
    assert bytepair.split_words(cleaned) == PUBLISHED.findall(cleaned)


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("a<|endoftext|>b", ["a</w>", "<|endoftext|>", "b</w>"]),
        ("!<|endoftext|>", ["!", "<", "|</w>", "endof", "text</w>", "|", "></w>"]),
        ("we'lls", ["we</w>", "'ll</w>", "s</w>"]),
        ("2027", ["2</w>", "0</w>", "2</w>", "7</w>"]),
        ("caf\udce9", ["caf</w>", "ï¿½</w>"]),
    ],
)
def test_pieces_of_what_is_special(text: str, pieces: list[str]) -> None:
    names = bytepair.id_pieces()
    assert [names[number] for number in Tokenizer().encode(text)] == pieces


def test_small_vocabulary_agrees_with_the_full_one() -> None:
    small, full = Tokenizer.of_words(CAPTIONS, context=32), Tokenizer()
    assert small.vocab == len(small.kept or ()) < 30
    assert small.eot == small.vocab - 1
    for caption in CAPTIONS:
        own = small.encode(caption)
        assert [(small.kept or ())[number] for number in own] == full.encode(caption)
        assert small.decode(own) == full.decode(full.encode(caption))
        assert max(own) < small.sot


def test_small_vocabulary_takes_rows_of_the_full_table() -> None:
    small, full = Tokenizer.of_words(CAPTIONS), Tokenizer()
    table = torch.arange(full.vocab)
    rows = table[list(small.kept or ())]
    small_ids, small_mask = small(list(CAPTIONS))
    full_ids, full_mask = full(list(CAPTIONS))
    assert torch.equal(rows[small_ids], full_ids)
    assert torch.equal(small_mask, full_mask)


def test_unknown_words_are_left_out_and_listed() -> None:
    small = Tokenizer.of_words(CAPTIONS)
    text = "A red giraffe moves left, giraffe!"
    assert small.unknown(text) == ["giraffe", ",", "!"]
    assert small.encode(text) == small.encode("a red moves left")
    ids, mask = small(["giraffe"])
    assert ids[0, :3].tolist() == [small.sot, small.eot, 0]
    assert int(mask.sum()) == 2
    assert Tokenizer().unknown(text) == []


@pytest.mark.parametrize(
    ("text", "foreign"),
    [
        ("a dog, naïve café Über 10 µm ½ ♥ \N{DOG FACE}", []),
        ("собака бежит", ["собака", "бежит"]),
        ("a red собака", ["собака"]),
        ("犬が走る", ["犬が走る"]),
        ("كلب", ["كلب"]),
    ],
)
def test_words_of_other_scripts_are_listed(text: str, foreign: list[str]) -> None:
    assert Tokenizer().foreign(text) == foreign


def test_saved_tokenizer_is_the_same_value(tmp_path: Path) -> None:
    for tokenizer in (Tokenizer(), Tokenizer.of_words(CAPTIONS, context=20)):
        tokenizer.save(tmp_path / "tokenizer.json")
        assert Tokenizer.load(tmp_path / "tokenizer.json") == tokenizer


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"context": 7, "kept": ["x"]}', "\x00"])
def test_damaged_tokenizer_file_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(content)
    with pytest.raises(BadWeights, match=r"tokenizer\.json"):
        Tokenizer.load(path)


@pytest.mark.parametrize("kept", [(0, 1), (0, 49407, 49406), (0, 49406, 49407, 60000), ()])
def test_incomplete_vocabulary_is_refused(kept: tuple[int, ...]) -> None:
    with pytest.raises(BadSetting, match="kept"):
        Tokenizer(77, kept)


def test_encoding_needs_neither_torch_nor_ftfy() -> None:
    code = (
        "import sys; from tempme.backbones.tokenizer import Tokenizer;"
        "Tokenizer().encode('a dog, 3');"
        "sys.exit(bool({'torch', 'ftfy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
