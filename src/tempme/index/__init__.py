"""A folder of videos, found again by what they show."""

from tempme.index.building.report import Counts, Progress, Report
from tempme.index.index import Index
from tempme.index.moments import Hit, Video
from tempme.index.status import Status
from tempme.index.stores.damage import Damage
from tempme.index.stores.store import Store
from tempme.index.upkeep import Repair

__all__ = [
    "Counts",
    "Damage",
    "Hit",
    "Index",
    "Progress",
    "Repair",
    "Report",
    "Status",
    "Store",
    "Video",
]
