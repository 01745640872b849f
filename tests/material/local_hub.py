"""A hub on the loopback that answers for files."""

from __future__ import annotations

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

REPOSITORY = "timm/vit_base_patch32_clip_224.openai"


OTHER = "someone/small-clip"


COMMIT = "0" * 40


class Hub:
    """What the hub answers for files: headers of a revision, then the bytes."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.requests: list[str] = []
        hub_ = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self.answer()

            def do_GET(self) -> None:
                content = self.answer()
                self.wfile.write(content)

            def answer(self) -> bytes:
                hub_.requests.append(f"{self.command} {self.path}")
                asked = self.path.removeprefix("/api/models")
                content = hub_.files.get(asked.replace("/resolve/main/", "/"))
                known = content is not None or asked.split("/")[1] in ("timm", "someone")
                if known and asked != self.path:
                    content = hub_.listing(asked)
                self.send_response(200 if content is not None else 404)
                if content is None:
                    self.send_header("X-Error-Code", "EntryNotFound" if known else "RepoNotFound")
                    content = b""
                self.send_header("X-Repo-Commit", COMMIT)
                self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                return content

            def log_message(self, format: str, *arguments: object) -> None:
                """Keep the test's output clean."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def listing(self, repository: str) -> bytes:
        """What the hub says of a repository: its files by name."""
        names = (place.removeprefix(f"{repository}/") for place in self.files)
        held = [{"rfilename": name} for name in names if not name.startswith("/")]
        return json.dumps({"id": repository[1:], "siblings": held}).encode()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"
