"""Tables of the README and docs/results.md, rendered from results/: nothing is typed by hand.

python -m tempme.tables            rewrites what stands between <!-- name --> markers
python -m tempme.tables --check    writes nothing; exit 1 if a document is out of date
"""

from __future__ import annotations

from tempme.tables.documents import render, stale, write
from tempme.tables.markdown import rewrite

__all__ = ["render", "rewrite", "stale", "write"]
