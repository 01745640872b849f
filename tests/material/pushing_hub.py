"""A hub that also takes pushes: repositories, large files and commits, as huggingface_hub sends."""

from __future__ import annotations

import base64
import json
from typing import Any

from local_hub import COMMIT, Hub

TOKEN = "hf_may_write"


class PushingHub(Hub):
    """Files that were committed are served afterwards; what it was told is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.repositories: dict[str, dict[str, Any]] = {}
        self.cards: list[str] = []
        self.large: dict[str, bytes] = {}
        hub_, downloads = self, self.server.RequestHandlerClass

        class Handler(downloads):  # type: ignore[misc, valid-type]
            def do_POST(self) -> None:
                hub_.requests.append(f"POST {self.path}")
                content = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers["Authorization"] != f"Bearer {TOKEN}":
                    self.say(403, {"error": "no right to write"})
                    return
                self.say(200, hub_.answer(self.path, content))

            def do_PUT(self) -> None:
                size = int(self.headers["Content-Length"])
                hub_.large[self.path.rpartition("/")[2]] = self.rfile.read(size)
                self.say(200, {})

            def say(self, status: int, answer: dict[str, Any]) -> None:
                content = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        self.server.RequestHandlerClass = Handler

    def answer(self, path: str, content: bytes) -> dict[str, Any]:
        """What the hub says to a POST."""
        action = path.split("?")[0].split("/")
        if path.endswith("/commit/main"):
            return self.commit("/".join(action[3:5]), content.decode())
        asked = json.loads(content)
        if path == "/api/repos/create":
            repository = f"{asked['organization']}/{asked['name']}"
            self.repositories[repository] = asked
            return {"url": f"{self.address}/{repository}"}
        if path == "/api/validate-yaml":
            self.cards.append(asked["content"])
            return {"errors": [], "warnings": []}
        if path.endswith("/preupload/main"):
            return {"files": [self.mode(file["path"]) for file in asked["files"]]}
        assert path.endswith("/info/lfs/objects/batch"), path
        return {"transfer": "basic", "objects": [self.upload(one) for one in asked["objects"]]}

    def mode(self, path: str) -> dict[str, Any]:
        """Weights are large files, everything else travels in the commit."""
        large = path.endswith(".safetensors")
        return {"path": path, "uploadMode": "lfs" if large else "regular", "shouldIgnore": False}

    def upload(self, file: dict[str, Any]) -> dict[str, Any]:
        """Where a large file goes."""
        return {**file, "actions": {"upload": {"href": f"{self.address}/large/{file['oid']}"}}}

    def commit(self, repository: str, lines: str) -> dict[str, Any]:
        """Put what a commit adds among the files that are served."""
        for line in map(json.loads, lines.splitlines()):
            place = f"/{repository}/{line['value'].get('path')}"
            if line["key"] == "file":
                self.files[place] = base64.b64decode(line["value"]["content"])
            elif line["key"] == "lfsFile":
                self.files[place] = self.large[line["value"]["oid"]]
        return {"commitUrl": f"{self.address}/{repository}/commit/{COMMIT}", "commitOid": COMMIT}
