"""Paths and URIs as a person, a command line or a `Path` hands them on."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

# A `Path` makes one slash of the two, and command lines hand paths on.
SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+):/{1,2}(?=[^/])(?P<rest>.+)")
LOCAL = re.compile(r"file:(//(localhost)?)?(?=/)")


def uri_of(given: str | Path) -> str:
    """A path, or a URI with its two slashes; `file:///folder` is the path of the folder."""
    text = str(given)
    if found := LOCAL.match(text):
        return unquote(text[found.end() :])
    if found := SCHEME.fullmatch(text):
        return f"{found['scheme'].lower()}://{found['rest']}"
    return text


def is_remote(given: str | Path) -> bool:
    """Whether a person named something that is not on this machine."""
    return "://" in uri_of(given)


def shown_uri(uri: str) -> str:
    """A URI for messages: without a name, a password or a query that may be in it."""
    scheme, _, rest = uri.partition("://")
    host, slash, path = rest.partition("?")[0].partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def object_uri(key: str) -> str:
    """The URI of the object with a key, which begins with the name of the bucket."""
    return f"s3://{key.replace('%', '%25')}"
