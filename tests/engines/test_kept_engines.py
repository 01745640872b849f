"""Engines are kept between runs, damaged ones made again; what is near shares a fingerprint."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from small_models import pixels, small
from tempme.engines import kept
from tempme.engines.agreement import (
    EXACT,
    LIMIT,
    EngineAgreement,
    agreement,
    engine_in,
    named,
    without_engine,
)
from tempme.engines.choice import ENGINES, EngineChoice
from tempme.engines.engine import Engine
from tempme.engines.folder import NAME, EngineFacts, write_facts
from tempme.retriever.running import AGREES, Running, chosen

INT8 = EngineChoice("onnx", "int8")
FP32 = EngineChoice("onnx", "fp32")


def unit(rows: int, seed: int) -> np.ndarray:
    x = np.random.default_rng(seed).standard_normal((rows, 8)).astype(np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def test_agreement_is_of_cosines_and_of_the_best_hits() -> None:
    videos, texts = unit(40, 0), unit(5, 1)
    same = agreement((videos, texts), (videos, texts))
    assert same.within(EXACT) or same.cosine > 1 - 1e-6
    assert same.overlap == 1
    turned = videos.copy()
    turned[3] = -turned[3]
    found = agreement((videos, texts), (turned, texts))
    assert found.least == pytest.approx(-1, abs=1e-5)
    assert found.cosine == pytest.approx(38 / 40, abs=1e-5)
    assert found.overlap < 1
    assert not found.within(LIMIT)


@pytest.mark.parametrize(
    ("near", "suffix"),
    [
        (EXACT, ""),
        (LIMIT, ""),
        (replace(LIMIT, cosine=LIMIT.cosine - 1e-4), "+onnx-int8"),
        (replace(LIMIT, least=LIMIT.least - 1e-4), "+onnx-int8"),
        (replace(LIMIT, overlap=LIMIT.overlap - 1e-4), "+onnx-int8"),
        (EngineAgreement(float("nan"), 1.0, 1.0), "+onnx-int8"),
    ],
)
def test_a_fingerprint_names_an_engine_beyond_the_limit(near: EngineAgreement, suffix: str) -> None:
    own = named("tempme-0123456789abcdef", "onnx", "int8", near)
    assert own == f"tempme-0123456789abcdef{suffix}"
    assert without_engine(own) == "tempme-0123456789abcdef"
    assert engine_in(own) == (("onnx", "int8") if suffix else None)


def test_an_engine_beyond_the_limit_has_no_name_of_format_1() -> None:
    engine, plain = Engine("onnx", "int8", {}, 6, 12, 16), ("tempme-0123456789abcdef", "of before")
    assert Running(engine, LIMIT).fingerprints(plain) == plain
    further = Running(engine, replace(LIMIT, least=0.5))
    assert further.fingerprints(plain) == ("tempme-0123456789abcdef+onnx-int8", "")


def test_a_precision_alone_names_the_engine() -> None:
    for engine, own in ENGINES.items():
        for precision in own:
            settled = EngineChoice(precision=precision).settled
            assert precision in ENGINES[settled.engine]
            assert EngineChoice(engine, precision).settled == EngineChoice(engine, precision)
    assert EngineChoice(precision="int8").settled == INT8
    assert EngineChoice(precision="fp32").settled.engine == "torch"


class Stand:
    """What `chosen` reads of a retriever."""

    fingerprint = "tempme-0123456789abcdef"
    engine = None


def keep_facts(near: EngineAgreement) -> Path:
    facts = EngineFacts("onnx", "int8", 6, 12, 16, {AGREES: vars(near)})
    made = kept.keep(Stand.fingerprint, INT8, lambda draft: write_facts(draft, facts, []))
    assert made is not None
    return made


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    pytest.importorskip("onnxruntime", reason="needs tempme[onnx]")
    monkeypatch.setenv(kept.CACHE, str(tmp_path))
    return tmp_path


@pytest.mark.usefixtures("cache")
def test_an_open_choice_takes_a_kept_engine_that_agrees() -> None:
    assert chosen(Stand(), EngineChoice()) == EngineChoice("torch")
    keep_facts(EXACT)
    assert chosen(Stand(), EngineChoice()) == INT8
    assert chosen(Stand(), EngineChoice("torch")) == EngineChoice("torch")
    assert chosen(Stand(), EngineChoice(precision="fp32")) == EngineChoice("torch", "fp32")
    keep_facts(replace(LIMIT, least=0.5))
    assert chosen(Stand(), EngineChoice()) == EngineChoice("torch")


def test_engines_of_other_versions_leave(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = keep_facts(EXACT)
    assert [path.name for path in (cache / "engines").iterdir()] == [first.name]
    monkeypatch.setattr(kept, "FORMAT", kept.FORMAT + 1)
    second = keep_facts(EXACT)
    assert second != first
    assert [path.name for path in (cache / "engines").iterdir()] == [second.name]


def test_what_fails_leaves_nothing(cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    def full(draft: Path) -> None:
        (draft / "frames.onnx").write_bytes(b"half")
        raise OSError(28, "No space left on device")

    assert kept.keep(Stand.fingerprint, INT8, full) is None
    assert "No space left" in caplog.text
    assert list((cache / "engines").iterdir()) == []


@pytest.mark.slow
@torch.inference_mode()
def test_a_kept_engine_is_opened_and_a_damaged_one_made_again(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxscript", reason="needs tempme[onnx]")
    import tempme.retriever.running as running

    made: list[Path] = []
    write = running.write_running

    def counted(parts: object, folder: Path, choice: EngineChoice) -> tuple[str, ...]:
        made.append(folder)
        return write(parts, folder, choice)  # type: ignore[arg-type]

    monkeypatch.setattr(running, "write_running", counted)
    model, given = small("lora"), pixels(1)
    expected = model.encode_videos(given)
    for damage, count in ((None, 1), (None, 1), ("windows.onnx", 2), (NAME, 3), ("all", 4)):
        folder = kept.kept_folder(model.fingerprint, FP32)
        if damage == "all":
            shutil.rmtree(folder)
        elif damage is not None:
            (folder / damage).write_bytes((folder / damage).read_bytes()[:-9])
        ready = model.for_inference("fp32", "onnx")
        torch.testing.assert_close(ready.encode_videos(given), expected, rtol=0, atol=5e-6)
        assert len(made) == count
    (cache / "file").write_text("")
    monkeypatch.setenv(kept.CACHE, str(cache / "file"))  # where no folder can be made
    ready = model.for_inference("fp32", "onnx")
    torch.testing.assert_close(ready.encode_videos(given), expected, rtol=0, atol=5e-6)


def test_what_a_killed_process_left_is_removed_once_it_is_old(cache: Path) -> None:
    folder = cache / "engines"
    old, new = folder / ".making-old", folder / ".making-new"
    for draft in (old, new):
        draft.mkdir(parents=True)
    os.utime(old, (0, 0))
    keep_facts(EXACT)
    assert (old.exists(), new.exists()) == (False, True)
