"""Training whatever a system lets learn, on Lightning: the paper's recipe by default.

Symmetric contrastive loss, AdamW, a linear warm-up and half a cosine, gradients cut at norm 1
(paper, appendix B; the official code's settings).
"""

from __future__ import annotations

from tempme.errors import MissingExtra

try:
    import lightning  # noqa: F401
except ImportError as missing:
    raise MissingExtra(f"training needs {missing.name}: pip install 'tempme[train]'") from missing

from tempme.training.batches import Batch, Batches, BegunBatches, Stream
from tempme.training.checkpoints import BEST, CHECKPOINT, weights_of
from tempme.training.fit import Devices, Fitted, fit
from tempme.training.recipe import Recipe
from tempme.training.task import ContrastiveTask
from tempme.training.watchers import History, Validation

__all__ = [
    "BEST",
    "CHECKPOINT",
    "Batch",
    "Batches",
    "BegunBatches",
    "ContrastiveTask",
    "Devices",
    "Fitted",
    "History",
    "Recipe",
    "Stream",
    "Validation",
    "fit",
    "weights_of",
]
