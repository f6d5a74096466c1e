"""A local web server that breaks off, lies about the length, hangs, refuses to resume, or serves the wrong bytes."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server = self.server
        asked = self.headers.get("Range")
        server.asked.append(asked)
        server.addresses.append(self.path)  # a proxy is asked for a whole address, a server for a path
        turn = server.turns.pop(0) if server.turns else {}
        content, etag = turn.get("content", server.content), turn.get("etag", '"one"')
        if "status" in turn:
            return self.send_error(turn["status"])
        start = 0
        if asked and turn.get("ranges", True) and self.headers.get("If-Range") == etag:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                return self.send_error(416)
        self.send_response(206 if start else 200)
        if start:
            piece = turn.get("says_start", start)
            self.send_header("Content-Range", f"bytes {piece}-{len(content) - 1}/{len(content)}")
        if etag:
            self.send_header("ETag", etag)
        if turn.get("chunked"):  # of unknown length, and broken off before the last chunk
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"%x\r\n" % 1000 + content[:1000] + b"\r\n%x\r\n" % 1000 + content[1000:1500])
            self.close_connection = True
            return None
        self.send_header("Content-Length", str(len(content) - start + turn.get("lie", 0)))
        self.end_headers()
        self.wfile.write(content[start : turn.get("until")])
        self.wfile.flush()
        self.close_connection = True
        if turn.get("hangs"):
            server.released.wait(20)

    def log_message(self, *arguments):
        pass


@contextmanager
def serving(content: bytes, *turns: dict) -> Iterator[ThreadingHTTPServer]:
    """A server of `content`; each turn says what goes wrong in one request, after them all is well."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.content, server.turns, server.released = content, list(turns), threading.Event()
    server.asked, server.addresses = [], []
    server.url = f"http://127.0.0.1:{server.server_address[1]}/models/sample_model_1.p"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        thread.join()
        server.server_close()
