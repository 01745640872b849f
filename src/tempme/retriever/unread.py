"""What of a text a model does not take in, in words for the person who asks."""

from __future__ import annotations

from tempme.backbones.vocabularies import AnyTokenizer


def unread(tokenizer: AnyTokenizer, text: str, *, max_words: int) -> str:
    """What is left out of a text, or hardly known; empty if the model takes in all of it."""
    words, foreign = tokenizer.unknown(text), tokenizer.foreign(text)
    notes = []
    if words and not tokenizer.decode(tokenizer.encode(text)):
        notes.append("the model knows none of these words")
    elif words:
        notes.append(f"the model leaves out words it does not know: {', '.join(words)}")
    elif foreign:
        notes.append(f"the model has learnt English and hardly knows: {', '.join(foreign)}")
    if tokenizer.is_cut(text, max_words=max_words):
        notes.append("the text is longer than the model reads, its end is left out")
    return "; ".join(notes)
