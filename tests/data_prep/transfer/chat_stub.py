"""A server on this machine that speaks the chat API, with faults on order.

It keeps every caption without "advert" and says "look, CAPTION!" of it. `faults` are
taken one a request, in the order of the requests:

    429, 500, ...   that status; 429 asks to come back at once
    "drop"          the connection breaks off
    "slow"          the right answer, after a moment
    "garbage"       text that is not JSON
    "html"          status 200, but no chat completion
    "half"          the second half of the answers is missing
    "long"          the first answer is of a hundred words
    "refuses"       no content
"""

import contextlib
import json
import threading
import time
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = "sk-test-secret"
SLOW_S = 0.2


class Stub:
    """What the server is to do, and what it has seen.

    Attributes:
        url: to be given as --endpoint.
        faults: of the coming requests; past their end there are none.
        captions: of each request that was answered, in order.
        bodies, keys: JSON and Authorization header of each request.
        at_once: most requests that were answered at the same time.
    """

    def __init__(self, url: str, faults: Sequence[int | str | None]):
        self.url = url
        self.faults = list(faults)
        self.captions: list[list[str]] = []
        self.bodies: list[dict] = []
        self.keys: list[str | None] = []
        self.at_once = 0
        self._running = 0
        self._lock = threading.Lock()

    def begin(self, body: dict, key: str | None) -> int | str | None:
        """Counts a request; gives its fault."""
        with self._lock:
            self.bodies.append(body)
            self.keys.append(key)
            self._running += 1
            self.at_once = max(self.at_once, self._running)
            return self.faults.pop(0) if self.faults else None

    def end(self) -> None:
        with self._lock:
            self._running -= 1

    def answer(self, body: dict, fault: int | str | None) -> bytes:
        """The completion, whole or at fault."""
        asked = json.loads(body["messages"][-1]["content"])
        answers = [_answer(item) for item in asked]
        with self._lock:
            self.captions.append([item["caption"] for item in asked])
        if fault == "half":
            answers = answers[: len(answers) // 2]
        if fault == "long":
            answers[0]["utterance"] = "very " * 99 + "long"
        content = json.dumps({"answers": answers})
        if fault == "garbage":
            content = "Sure! Here are"
        message = {"role": "assistant", "content": content}
        if fault == "refuses":
            message = {"role": "assistant", "content": None, "refusal": "no"}
        return json.dumps(
            {
                "choices": [{"message": message, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 100, "completion_tokens": 10 * len(asked)},
            }
        ).encode()


def _answer(item: dict) -> dict:
    keep = "advert" not in item["caption"]
    said = f"look, {item['caption']}!" if keep else ""
    return {"id": item["id"], "keep": keep, "utterance": said}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        stub = self.server.stub
        length = int(self.headers["Content-Length"])
        body = json.loads(self.rfile.read(length))
        key = self.headers.get("Authorization")
        fault = stub.begin(body, key)
        try:
            self._respond(stub, body, key, fault)
        finally:
            stub.end()

    def _respond(self, stub, body, key, fault):
        if self.path != "/v1/chat/completions":
            self._send(404, b'{"error": "no such path"}')
        elif fault == "drop":
            self.close_connection = True
        elif isinstance(fault, int):
            self._send(fault, f'{{"error": "{key} is at fault"}}'.encode())
        elif fault == "html":
            self._send(200, b"<html>gateway</html>")
        else:
            time.sleep(SLOW_S if fault == "slow" else 0)
            self._send(200, stub.answer(body, fault))

    def _send(self, status, data):
        self.send_response(status)
        if status == 429:
            self.send_header("Retry-After", "0")
        if status == 302:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.wfile.write(data)

    def log_message(self, *args):
        """Tests print nothing."""


@contextlib.contextmanager
def serve(faults: Sequence[int | str | None] = ()) -> Iterator[Stub]:
    """Runs the server on a free port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.stub = Stub(f"http://127.0.0.1:{server.server_port}/v1", faults)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server.stub
    finally:
        server.shutdown()
        server.server_close()
