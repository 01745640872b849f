"""Exporters talk to those who write them: nothing of it is for a person to mend."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO

LOGGERS = ("torch.onnx", "torch.export", "onnxscript", "onnx_ir", "onnx_ir.passes")


@contextmanager
def quietly() -> Iterator[None]:
    """Without what the libraries say of themselves."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings(), redirect_stdout(StringIO()):
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
