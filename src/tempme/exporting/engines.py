"""A folder that other programs run: the towers of any model as files of ONNX, OpenVINO or PyTorch.

Beside the towers lie what pixels and words become before them, and `engine.json`, by which
`tempme.load` reads the folder as a model. MissingExtra where the packages are not installed.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tempme.atomic import replacing
from tempme.backbones.bytepair import merges, piece_ids
from tempme.backbones.tokenizer import Tokenizer
from tempme.backbones.vocabularies import AnyTokenizer
from tempme.engines.choice import ENGINES, ONNX, OPENVINO, TORCH, EngineChoice
from tempme.engines.extras import need
from tempme.engines.folder import NAME, EngineFacts, read_facts
from tempme.errors import BadSetting
from tempme.exporting.files import save_json
from tempme.retriever.exported import TOKENIZER_FILE, about
from tempme.retriever.parts import Parts
from tempme.retriever.running import write_running

PRECISIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {ONNX: ENGINES[ONNX], OPENVINO: ("fp32",), TORCH: ("fp32",)}
)
_CARD = """# {name} for {engine}

Texts and videos become unit vectors of {size} numbers, compared by their dot product. The weights
began with {origin}; they compute in {precision}{near}.

| file | takes | gives |
| --- | --- | --- |
{files}

Pixels: `preprocessing.json`. Take {frames} frames spread evenly over the video, resize their
shorter side to {side} pixels (bicubic), crop the centre, divide by 255, subtract `mean`, divide by
`std`, channels first. Words: `{tokenizer}`{words}; ids are cut to {num_words} with start and
end, and filled up with 0.

```python
import tempme

model = tempme.load(PATH)  # pip install {install}
videos = model.encode_videos(["dog.mp4"])
texts = model.encode_texts(["a dog jumps over a log"])
```
"""


def write_engine_folder(engine: str, parts: Parts, folder: Path, precision: str) -> tuple[str, ...]:
    """Write the folder; the names of its files. BadSetting for a precision that it has not."""
    if precision not in PRECISIONS[engine]:
        raise BadSetting(
            f"{precision} cannot be written for {engine}: --precision is "
            f"{' or '.join(PRECISIONS[engine])}"
        )
    need(engine)
    towers = write_running(parts, folder, EngineChoice(engine, precision), about=about(parts))
    save_json(about(parts)["preprocessing"], folder / "preprocessing.json")
    parts.tokenizer.save(folder / TOKENIZER_FILE)
    words: tuple[str, ...] = ()
    if isinstance(parts.tokenizer, Tokenizer):
        save_json(piece_ids(), folder / "vocab.json")
        with replacing(folder / "merges.txt") as draft:
            draft.write_text("\n".join(["#version: 0.2", *map(" ".join, merges())]) + "\n", "utf-8")
        words = ("vocab.json", "merges.txt")
    with replacing(folder / "README.md") as draft:
        draft.write_text(_card(parts, folder, [name for name in towers if name != NAME]), "utf-8")
    return (*towers, "preprocessing.json", TOKENIZER_FILE, *words, "README.md")


write_onnx_folder = partial(write_engine_folder, ONNX)
write_openvino_folder = partial(write_engine_folder, OPENVINO)
write_torch_folder = partial(write_engine_folder, TORCH)


def _card(parts: Parts, folder: Path, files: list[str]) -> str:
    facts, _ = read_facts(folder)
    system = parts.system
    return _CARD.format(
        name=system.name,
        engine=facts.engine,
        size=facts.feature_size,
        origin=parts.origin,
        precision=facts.precision,
        near=_near(facts),
        files="\n".join(_row(name, facts.about["towers"]) for name in files),
        frames=system.frames,
        side=system.config.image_size,
        tokenizer=TOKENIZER_FILE,
        words=_words(parts.tokenizer),
        num_words=facts.num_words,
        install="tempme" if facts.engine == TORCH else f"'tempme[{facts.engine}]'",
    )


def _near(facts: EngineFacts) -> str:
    if facts.precision == "fp32":
        return ""
    told = facts.about["agreement"]
    return f" (cosine to fp32 {told['cosine']:.4f}, least {told['least']:.4f}, on generated clips)"


def _words(tokenizer: AnyTokenizer) -> str:
    if not isinstance(tokenizer, Tokenizer):
        return ""
    kept = ", whose ids are the places in `kept`" if tokenizer.kept is not None else ""
    return f" with CLIP's pieces in `vocab.json` and `merges.txt`{kept}"


def _row(file: str, towers: Mapping[str, Any]) -> str:
    told = towers.get(Path(file).stem)
    if told is None or file.endswith(".bin"):
        return f"| `{file}` | numbers of the file of that name | |"
    return f"| `{file}` | {_shapes(told['inputs'])} | {_shapes(told['outputs'])} |"


def _shapes(named: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} ({', '.join(map(str, shape))})" for name, shape in named.items())
