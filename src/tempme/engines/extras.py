"""What engines need beside PyTorch, and what to say where it is not installed."""

from __future__ import annotations

from importlib.util import find_spec

from tempme.errors import MissingExtra

NEEDED = {
    "onnx": ("onnx", "onnxruntime", "onnxscript"),
    "openvino": ("onnx", "onnxruntime", "onnxscript", "openvino"),
    "torch": (),
}


def missing(engine: str) -> tuple[str, ...]:
    """The packages that an engine needs and that are not installed."""
    return tuple(name for name in NEEDED[engine] if find_spec(name) is None)


def need(engine: str) -> None:
    """MissingExtra where a package of the engine is not installed."""
    lacking = missing(engine)
    if lacking:
        raise MissingExtra(
            f"the engine {engine} needs more packages ({', '.join(lacking)}): "
            f"pip install 'tempme[{engine}]'"
        )
