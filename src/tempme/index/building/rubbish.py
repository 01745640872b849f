"""What nobody means when a folder is named: hidden files, recycle bins, thumbnails, proxies.

Each rule goes by the name alone, and nothing that a person names is ever measured by it.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import PurePath

from tempme.index.building.suffixes import VIDEO_SUFFIXES

# Folders that systems, network storages and archivers keep for themselves, in lower case.
SYSTEM_FOLDERS = frozenset(
    {
        "#recycle",
        "#snapshot",
        "$recycle.bin",
        "@eadir",
        "@recycle",
        "@recently-snapshot",
        "@__thumb",
        "__macosx",
        "lost+found",
        "network trash folder",
        "recycler",
        "system volume information",
        "temporary items",
    }
)
# Small copies that cameras write beside each film (GoPro, DJI, Insta360), and their thumbnails.
PROXY_SUFFIXES = frozenset({".lrv", ".lrf", ".thm"})
PROXY = "camera proxy"
# GoPro calls the proxy of GX010001.MP4 or GH010001.MP4 GL010001.LRV.
GOPRO_PROXY, GOPRO_FILMS = "gl", ("gx", "gh")


def rule_against_folder(name: str) -> str:
    """Which rule skips a folder of this name; empty if none does."""
    if name.startswith("."):
        return "hidden"
    if name.lower() in SYSTEM_FOLDERS:
        return "system folder"
    return "index" if name.endswith(".tempme") else ""


def rule_against_file(name: str, beside: Collection[str]) -> str:
    """Which rule skips a file of this name; empty if none does.

    `beside` are the names in its folder, in lower case: cards mix the two.
    """
    if name.startswith("."):  # `._*`, `.trashed-*` and `.pending-*` among them
        return "hidden"
    pure = PurePath(name.lower())
    if pure.suffix not in PROXY_SUFFIXES:
        return ""
    return "" if _films_of(pure.stem).isdisjoint(beside) else PROXY


def _films_of(stem: str) -> frozenset[str]:
    """The names that the film of a proxy may have."""
    stems = {stem}
    if stem.startswith(GOPRO_PROXY):
        stems |= {prefix + stem.removeprefix(GOPRO_PROXY) for prefix in GOPRO_FILMS}
    if stem.startswith("lrv_"):  # Insta360: LRV_..., whose film is VID_...
        stems.add("vid_" + stem.removeprefix("lrv_"))
    return frozenset(name + suffix for name in stems for suffix in VIDEO_SUFFIXES - PROXY_SUFFIXES)
