"""Retrievers pushed to a hub: the folder that `Retriever.save` writes, and a model card."""

from __future__ import annotations

import tempfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import tomli_w

from tempme.errors import BadSetting, HubRefused, NoNetwork
from tempme.retriever.card import Result, model_card
from tempme.retriever.checkpoint import save
from tempme.retriever.names import SYSTEM
from tempme.weights.published import is_repository

if TYPE_CHECKING:
    from tempme.retriever.parts import Parts

CARD = "README.md"
NOT_ALLOWED = (401, 403)  # no or a wrong token, no right to write


def push(
    parts: Parts,
    repo_id: str,
    *,
    result: Result | None = None,
    private: bool = False,
    token: str | None = None,
    license: str | None = None,
) -> str:
    """Make the repository if need be and upload the retriever with its card; the page's address.

    token: None is the one that the hub's own login or HF_TOKEN gives. A card that is there is
    replaced. HubRefused without a token or right to write, NoNetwork without a connection.
    """
    if not is_repository(repo_id):
        raise BadSetting(f"{repo_id!r} is not a name on a hub: give OWNER/NAME")
    card = model_card(parts, repo_id, result=result, license=license)
    with tempfile.TemporaryDirectory() as temporary:
        folder = save(parts, Path(temporary) / "retriever", whole=None)
        _forget_paths(folder / SYSTEM)
        (folder / CARD).write_text(str(card), "utf-8")
        return _upload(folder, repo_id, private=private, token=token)


def _upload(folder: Path, repo_id: str, *, private: bool, token: str | None) -> str:
    from huggingface_hub import HfApi, get_token
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

    if token is None and get_token() is None:
        raise HubRefused(
            f"no token to push {repo_id} with: `hf auth login` once, or set HF_TOKEN to one that "
            f"may write"
        )
    api = HfApi(token=token)
    try:
        page = api.create_repo(repo_id, private=private, exist_ok=True)
        api.upload_folder(repo_id=repo_id, folder_path=folder, commit_message="Push from tempme")
    except (HfHubHTTPError, LocalTokenNotFoundError) as reason:
        raise _refused(repo_id, reason) from reason
    except ValueError as reason:  # the hub does not take the card's metadata
        raise BadSetting(f"the hub does not take {repo_id}: {_line(reason)}") from reason
    except Exception as reason:  # the HTTP library, and with it its errors, differ by version
        raise NoNetwork(
            f"cannot push {repo_id} ({type(reason).__name__}): connect, and push again"
        ) from reason
    return str(page)


def _refused(repo_id: str, reason: Exception) -> HubRefused:
    response = getattr(reason, "response", None)
    if getattr(response, "status_code", None) in NOT_ALLOWED:
        return HubRefused(
            f"the hub does not let this token write to {repo_id}: give one that may, or "
            f"another OWNER"
        )
    return HubRefused(f"the hub refuses {repo_id}: {_line(reason)}")


def _line(reason: Exception) -> str:
    return str(reason).strip().split("\n")[0]


def _forget_paths(described: Path) -> None:
    """Weights of a folder are named by the folder alone: the path is of this machine."""
    document = tomllib.loads(described.read_text("utf-8"))
    if Path(str(document["origin"])).is_absolute():
        document["origin"] = Path(str(document["origin"])).name
        described.write_text(tomli_w.dumps(document), "utf-8")
