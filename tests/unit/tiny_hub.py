"""A tiny hub on the loopback address, of one data set, as Hugging Face's library knows hubs."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """One data set, `name`. Serves its files whole or by range, and counts the bytes that it sent."""

    def __init__(self, files: dict[str, bytes], name: str = "o/d") -> None:
        self.files, self.sent, self.seen, self.tokens = files, 0, list[str](), set[str]()
        self.agents = set[str]()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.seen.append(self.path)
                outer.tokens.add(self.headers.get("Authorization", ""))
                outer.agents.add(self.headers.get("User-Agent", ""))
                path = self.path.partition("?")[0]
                names = outer.files
                if re.fullmatch(rf"/api/datasets/{name}(/revision/[\w.-]+)?", path):
                    return self.give(
                        {
                            "_id": "1", "id": name, "sha": COMMIT, "private": False, "gated": False, "tags": [],
                            "cardData": {"license": "cc0-1.0"}, "siblings": [{"rfilename": n} for n in names],
                            "lastModified": "2024-01-01T00:00:00.000Z", "downloads": 0, "likes": 0,
                        }
                    )  # fmt: skip
                if re.match(rf"/api/datasets/{name}/tree/", path):
                    under = path.split("/", 6)[6].partition("/")[2]
                    return self.give(
                        [entry(n, b) for n, b in names.items() if n.startswith(f"{under}/" if under else "")]
                    )
                found = re.fullmatch(rf"/datasets/{name}/resolve/[\w.-]+/(.+)", path)
                if found is None or found[1] not in names:
                    code = "EntryNotFound" if found or name in path else "RepoNotFound"
                    return self.send(b"not found", 404, {"X-Error-Code": code})
                data, headers, status = names[found[1]], {"Accept-Ranges": "bytes"}, 200
                headers |= {"ETag": f'"{oid(data)}"', "X-Repo-Commit": COMMIT}
                if wanted := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
                    first, last = int(wanted[1]), min(int(wanted[2] or len(data) - 1), len(data) - 1)
                    headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
                    data, status = data[first : last + 1], 206
                return self.send(data, status, headers)

            do_HEAD = do_GET

            def do_POST(self) -> None:
                """What is at some paths: files, or folders, which are there by what they hold."""
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                asked = json.loads(body)["paths"] if body[:1] == b"{" else parse_qs(body.decode())["paths"]
                found = [entry(n, b) for n, b in outer.files.items() if n in asked]
                folders = {a for a in asked for n in outer.files if n.startswith(a + "/")}
                self.give(found + [{"type": "directory", "path": f, "oid": oid(f.encode())} for f in folders])

            def give(self, data: Any) -> None:
                self.send(json.dumps(data).encode(), 200, {"Content-Type": "application/json"})

            def send(self, data: bytes, status: int, headers: dict[str, str]) -> None:
                self.send_response(status)
                for header, value in headers.items():
                    self.send_header(header, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                if self.command != "HEAD":
                    try:
                        for at in range(0, len(data), 1 << 16):
                            outer.sent += self.wfile.write(data[at : at + (1 << 16)])
                    except OSError:
                        self.close_connection = True

            def log_message(self, *_: Any) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def entry(name: str, data: bytes) -> dict[str, Any]:
    return {"type": "file", "path": name, "size": len(data), "oid": oid(data)}


def oid(data: bytes) -> str:
    return hashlib.sha1(data[:1000] + str(len(data)).encode()).hexdigest()
