"""Parts of the product that answer on loopback with what a test puts there."""

import http.server
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from schoolgate.settings import Endpoint


@contextmanager
def answering(pages: Mapping[str, tuple[int, str]]) -> Iterator[Endpoint]:
    """Serve some pages; they may be changed meanwhile."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, text = pages[self.path]
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield Endpoint("127.0.0.1", server.server_port)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
