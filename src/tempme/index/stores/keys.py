"""What tells the rows of a table apart where several machines write at once.

Two machines that insert one new key touch no file of one another, so LanceDB commits both inserts,
unless the schema names the column of the key (the "unenforced primary key" of Lance): then a commit
says which keys it inserted, and a merge that another one with such a key overtook is done again.
https://lancedb.github.io/lance/format/table/transaction/
"""

from __future__ import annotations

from typing import Any

# A content has many moments, and all of them are inserted at once or none.
KEYS = {"videos": "path", "moments": "video"}
MARK = b"lance-schema:unenforced-primary-key"
POSITION = MARK + b":position"


def with_key(name: str, columns: Any) -> Any:
    """The schema of the table `name` with its key marked, which Lance allows no nulls."""
    place = columns.get_field_index(KEYS[name])
    field = columns.field(place).with_nullable(False).with_metadata({MARK: b"true"})
    return columns.set(place, field)


def has_key(name: str, columns: Any) -> bool:
    """Whether the key of the table `name` is marked in its schema."""
    field = columns.field(KEYS[name])
    return not field.nullable and bool({MARK, POSITION} & (field.metadata or {}).keys())


def mark_key(name: str, table: Any) -> None:
    """Mark the key of a table that an earlier version made without one, in place."""
    table.alter_columns({"path": KEYS[name], "nullable": False})
    table.set_unenforced_primary_key(KEYS[name])
