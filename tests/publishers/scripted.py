"""A small real HTTP server for publishers' tests: each request is answered by a function, and kept."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Seen:
    """A request as it arrived. `query` is decoded; header names are lower-case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Answer:
    """What the server says; a body that is not bytes is sent as JSON. `cut` closes without a reply."""

    status: int = 200
    body: Any = b""
    headers: tuple[tuple[str, str], ...] = ()
    cut: bool = False


class Scripted:
    """Listens on 127.0.0.1; `answer` decides. Use with `with`."""

    def __init__(self, answer: Callable[[Seen], Answer]) -> None:
        self.answer = answer
        self.seen: list[Seen] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except (ConnectionError, TimeoutError):
                    self.close_connection = True

            def _any(self) -> None:
                parts = urlsplit(self.path)
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                headers = {k.lower(): v for k, v in self.headers.items()}
                query = dict(parse_qsl(parts.query, keep_blank_values=True))
                seen = Seen(self.command, parts.path, query, headers, body)
                outer.seen.append(seen)
                answer = outer.answer(seen)
                if answer.cut:
                    self.close_connection = True
                    return
                raw = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
                self.send_response_only(answer.status)
                for name, value in answer.headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            do_GET = do_POST = do_PUT = do_DELETE = _any  # noqa: N815  # http.server's names

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Scripted:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def routes(table: Mapping[str, Any]) -> Callable[[Seen], Answer]:
    """Answer by `METHOD /path`; a list gives its answers in turn and repeats the last."""

    turns: dict[str, int] = {}

    def answer(seen: Seen) -> Answer:
        name = f"{seen.method} {seen.path}"
        found = table.get(name, Answer(404, {"error": "not here"}))
        if isinstance(found, list):
            turn = turns[name] = turns.get(name, -1) + 1
            found = found[min(turn, len(found) - 1)]
        return found if isinstance(found, Answer) else Answer(200, found)

    return answer
