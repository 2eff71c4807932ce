"""A small hub on loopback: the few answers of huggingface.co that a download needs."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass
class Hub:
    """Repositories by id; what was asked, with which token."""

    repositories: dict[str, tuple[str, Path]]  # id -> (commit, folder)
    gated: set[str] = field(default_factory=set)
    url: str = ""
    asked: list[tuple[str, str]] = field(default_factory=list)  # (path, Authorization)


@contextmanager
def serve(hub: Hub) -> Iterator[Hub]:
    """Answer on a free port for as long as the context lasts."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Nothing on the terminal."""

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _answer(self, body: bool) -> None:
            hub.asked.append((self.path, self.headers.get("Authorization", "")))
            words = self.path.split("?")[0].strip("/").split("/")
            is_api = words[:2] == ["api", "models"] and len(words) == 6
            if not is_api and (len(words) != 5 or words[2] != "resolve"):
                return self._refuse(404, "EntryNotFound")
            name = "/".join(words[2:4] if is_api else words[:2])
            if name in hub.gated and not self.headers.get("Authorization"):
                return self._refuse(403, "GatedRepo")
            if name not in hub.repositories:
                return self._refuse(404, "RepoNotFound")
            commit, folder = hub.repositories[name]
            if words[5 if is_api else 3] != commit:
                return self._refuse(404, "RevisionNotFound")
            if is_api and words[4] == "revision":
                about = {"id": name, "modelId": name, "sha": commit, "private": False}
                return self._send(json.dumps(about).encode(), commit, body)
            if is_api:  # /api/models/ORG/NAME/tree/COMMIT
                sizes = {path.name: path.stat().st_size for path in sorted(folder.iterdir())}
                shared = {"type": "file", "oid": "0" * 40}
                tree = [{**shared, "path": path, "size": size} for path, size in sizes.items()]
                return self._send(json.dumps(tree).encode(), commit, body)
            file = folder / words[4]
            if not file.is_file():
                return self._refuse(404, "EntryNotFound")
            return self._send(file.read_bytes(), commit, body)

        def _refuse(self, status: int, code: str) -> None:
            self.send_response(status)
            self.send_header("X-Error-Code", code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def _send(self, content: bytes, commit: str, body: bool) -> None:
            self.send_response(200)
            self.send_header("X-Repo-Commit", commit)
            self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if body:
                self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
