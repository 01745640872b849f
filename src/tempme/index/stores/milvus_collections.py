"""How a collection of an index is made on a Milvus server: it, its indexes, and it in memory.

A server does these one by one, so that a run may be killed between them, and others may look at
what one has begun: a collection is there once it has its indexes.
"""

from __future__ import annotations

from typing import Any

from tempme.index.stores.milvus_version import text_index_of

INDEXED = {"feature", "video"}
KEY_LETTERS, LONGEST = 128, 65_535
# Of the graph: neighbours, and how widely it is searched for them while it is built.
GRAPH = {"M": 16, "efConstruction": 200}
CALL_SECONDS, LOAD_SECONDS = 60.0, 600.0
TIMES = 3


def is_made(client: Any, name: str) -> bool:
    """Whether a collection has all of its indexes."""
    return set(client.list_indexes(name)) >= INDEXED


def make_moments(module: Any, client: Any, name: str, *, features: int) -> None:
    """The collection of moments of so many features, with a graph of them."""
    _make(module, client, name, moments_schema(module, client, features), ("HNSW", GRAPH))


def moments_schema(module: Any, client: Any, features: int) -> Any:
    """The fields of moments."""
    schema = _schema(module, client)
    for field in ("start_seconds", "end_seconds"):
        schema.add_field(field, module.DataType.DOUBLE)
    schema.add_field("feature", module.DataType.FLOAT_VECTOR, dim=features)
    return schema


def make_videos(module: Any, client: Any, name: str) -> None:
    """The collection of rows. It has to have a vector, which is never searched."""
    schema = _schema(module, client)
    schema.add_field("row", module.DataType.VARCHAR, max_length=LONGEST)
    schema.add_field("feature", module.DataType.FLOAT_VECTOR, dim=2)
    _make(module, client, name, schema, ("FLAT", {}))


def _schema(module: Any, client: Any) -> Any:
    kinds, schema = module.DataType, client.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("id", kinds.VARCHAR, max_length=KEY_LETTERS, is_primary=True)
    schema.add_field("bucket", kinds.INT32)
    schema.add_field("video", kinds.VARCHAR, max_length=KEY_LETTERS)
    return schema


def _make(
    module: Any, client: Any, name: str, schema: Any, graph: tuple[str, dict[str, int]]
) -> None:
    """What of a collection is not there; two who make it at once may be in each other's way."""
    for left in reversed(range(TIMES)):
        try:
            if not client.has_collection(name, timeout=CALL_SECONDS):
                client.create_collection(
                    name, schema=schema, consistency_level="Strong", timeout=CALL_SECONDS
                )
            if not is_made(client, name):
                _index(client, name, graph)
            break
        except module.MilvusException:
            if not left:
                raise
            if client.has_collection(name, timeout=CALL_SECONDS):
                client.release_collection(name)  # one that is in memory takes no indexes
    client.load_collection(name, timeout=LOAD_SECONDS)


def _index(client: Any, name: str, graph: tuple[str, dict[str, int]]) -> None:
    made, (kind, params) = set(client.list_indexes(name)), graph
    indexes = client.prepare_index_params()
    if "feature" not in made:
        indexes.add_index("feature", index_type=kind, metric_type="IP", params=params)
    if "video" not in made:
        version = str(client.get_server_version(timeout=CALL_SECONDS))
        indexes.add_index("video", index_type=text_index_of(version))
    client.create_index(name, indexes, timeout=CALL_SECONDS)
