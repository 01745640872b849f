"""A folder of sentence-transformers: `SentenceTransformer(folder, trust_remote_code=True)`.

It holds the saved retriever, and names the class that encodes with it. That class is of this
package, which has to be installed there; the library asks for trust in any class but its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tempme.atomic import replacing
from tempme.backbones.tokenizer import Tokenizer
from tempme.exporting.files import save_json
from tempme.retriever.checkpoint import save
from tempme.retriever.parts import Parts

RETRIEVER = "retriever"  # the folder of the saved one, in that of the export
CODE = "tempme_sentence_transformers.py"
MODULE = "VideoTextModule"
_CODE = f'''"""Loads the class that encodes videos and texts with the model of this folder."""

try:
    from tempme.exporting.sentence_module import {MODULE}  # noqa: F401
except ImportError as missing:
    raise ImportError(
        "this model needs the package tempme: pip install 'tempme[sentence-transformers]'"
    ) from missing
'''
_CARD = """---
library_name: sentence-transformers
pipeline_tag: feature-extraction
tags: [sentence-transformers, tempme, text-video-retrieval]
---
# {name}

Texts and videos become vectors of {size} numbers, compared by their cosine. {about}

```python
from sentence_transformers import SentenceTransformer

# pip install 'tempme[sentence-transformers]'
model = SentenceTransformer(PATH_OR_ID, trust_remote_code=True)
texts = model.encode(["a dog jumps over a log"])
# Frames are uint8 (frames, height, width, 3).
videos = model.encode([{{"video": "dog.mp4"}}, {{"video": frames}}])
model.similarity(texts, videos)
```

A text that names an existing video file is that video; put it into `{{"video": path}}` to be
sure, and texts and videos into calls of their own. {words}
"""


def write_sentence_transformers(parts: Parts, folder: Path) -> tuple[str, ...]:
    """Write the folder; the names of its files."""
    save(parts, folder / RETRIEVER, whole=True)
    documents: dict[str, Any] = {
        "modules.json": [
            {"idx": 0, "name": "0", "path": "", "type": f"{Path(CODE).stem}.{MODULE}"}
        ],
        "config_sentence_transformers.json": {
            "model_type": "SentenceTransformer",
            "similarity_fn_name": "cosine",
            "prompts": {},
            "default_prompt_name": None,
        },
        "config.json": {"model_type": "tempme"},
    }
    for name, document in documents.items():
        save_json(document, folder / name)
    for name, text in {CODE: _CODE, "README.md": _card(parts)}.items():
        with replacing(folder / name) as draft:
            draft.write_text(text, "utf-8")
    return (*documents, CODE, "README.md", f"{RETRIEVER}/")


def _card(parts: Parts) -> str:
    system, known = parts.system, parts.tokenizer
    about = (
        f"{system.frames} frames of a video are looked at, and {system.max_words} words of a text "
        f"are read; the weights began with {parts.origin}."
    )
    words = (
        f"It knows {known.vocab:,} pieces of words."
        if isinstance(known, Tokenizer) and known.kept
        else ""
    )
    card = _CARD.format(name=system.name, size=system.config.embed, about=about, words=words)
    return f"{card.rstrip()}\n"
