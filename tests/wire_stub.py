"""A server that answers as a test says: what no emulator sends, and what a real one sends seldom."""

from __future__ import annotations

import json
import threading
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TABLE = "t"
DESCRIPTION = {
    "TableName": TABLE,
    "TableStatus": "ACTIVE",
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
}


class WireStub:
    """Answers DescribeTable for a table `t` with the key `pk`, and everything else by `answer(operation, params)`.

    That gives a body, or a status and a body. A context manager; `requests` has what came, in order.
    """

    def __init__(self, answer):
        self.answer = answer
        self.requests = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.endpoint_url = f"http://127.0.0.1:{self._server.server_port}"

    def named(self, operation):
        """Return the parameters of the requests of an operation."""
        return [params for name, params in list(self.requests) if name == operation]

    def _handler(self):
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self):
                operation = self.headers["x-amz-target"].partition(".")[2]
                params = json.loads(self.rfile.read(int(self.headers["content-length"])))
                stub.requests.append((operation, params))
                made = {"Table": DESCRIPTION} if operation == "DescribeTable" else stub.answer(operation, params)
                status, payload = made if isinstance(made, tuple) else (200, made)
                body = json.dumps(payload).encode()
                self.send_response(status)
                self.send_header("content-type", "application/x-amz-json-1.0")
                self.send_header("x-amzn-requestid", "made-by-a-test")
                self.send_header("x-amz-crc32", str(zlib.crc32(body)))
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                """Print nothing."""

        return Handler

    def __enter__(self):
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
