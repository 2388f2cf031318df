"""A hub of models on loopback, that can be told to misbehave.

`Hub(files)` serves OWNER/NAME/resolve/REVISION/PATH. Each file has a queue of mishaps: one is taken
for each request, and when none is left the request is answered properly. A mishap is a function
(request, body) that answers for itself, and says False to let the proper answer follow.
"""

import hashlib
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def tag_of(body):
    return f'"{hashlib.sha256(body).hexdigest()[:20]}"'


class Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_CONNECT(self):
        self.server.hub.log.append(("CONNECT " + self.path, dict(self.headers)))
        self.answer(502, b"")

    def do_GET(self):
        hub = self.server.hub
        name = self.path.split("/resolve/", 1)[-1].split("/", 1)[-1]
        hub.log.append((self.path, dict(self.headers)))
        if name not in hub.files:
            self.answer(404, b"there is no such file")
            return
        body, queue = hub.files[name], hub.mishaps.get(name, [])
        mishap = queue.pop(0) if queue else hub.always
        if mishap is None or mishap(self, body) is False:
            self.serve(body)

    def first(self):
        """The first byte that is asked for."""
        wanted = self.headers.get("Range", "")
        return int(wanted[6:].rstrip("-")) if wanted.startswith("bytes=") else 0

    def serve(self, body):
        at = self.first()
        if self.headers.get("If-Range", tag_of(body)) != tag_of(body):
            at = 0
        self.answer(206 if at else 200, body[at:], **headers_of(body, at))

    def answer(self, status, body, length=None, send=True, **headers):
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if send:
            self.write(body)

    def write(self, body):
        try:
            self.wfile.write(body)
            self.server.hub.sent += len(body)
        except OSError:
            self.close_connection = True  # the client has had enough

    def hang_up(self):
        self.close_connection = True


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass  # a client that hangs up is what some tests are about


class Hub:
    def __init__(self, files, always=None):
        self.files, self.always = dict(files), always
        self.mishaps, self.log, self.sent = {}, [], 0
        self.stop = threading.Event()
        self.server = Server(("127.0.0.1", 0), Request)
        self.server.hub = self
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.server.shutdown()
        self.server.server_close()

    def asked(self, name):
        """The headers of each request for a file."""
        return [headers for path, headers in self.log if path.endswith("/" + name)]


# ---- mishaps ----


def status(code, **headers):
    def mishap(rq, _body):
        rq.answer(code, b"a page about it", **headers)
    return mishap


def headers_of(body, at, tag=True):
    headers = {"ETag": tag_of(body)} if tag else {}
    if at:
        headers["Content-Range"] = f"bytes {at}-{len(body) - 1}/{len(body)}"
    return headers


def cut_after(n, tag=True):
    """The right length is promised, n bytes more come, and the line breaks."""
    def mishap(rq, body):
        at = rq.first()
        rq.answer(206 if at else 200, body[at:at + n], length=len(body) - at,
                  **headers_of(body, at, tag))
        rq.hang_up()
    return mishap


def stall_after(n):
    def mishap(rq, body):
        rq.answer(200, body[:n], length=len(body))
        rq.server.hub.stop.wait(30)
        rq.hang_up()
    return mishap


def slowly(seconds, chunks=100):
    def mishap(rq, body):
        at = rq.first()
        rq.answer(206 if at else 200, body[at:], send=False, **headers_of(body, at))
        size = len(body) // chunks + 1
        for i in range(at, len(body), size):
            rq.write(body[i:i + size])
            if rq.server.hub.stop.wait(seconds / chunks):
                return
    return mishap


def corrupt(rq, body):
    wrong = bytearray(body)
    wrong[len(wrong) // 2] ^= 1
    rq.answer(200, bytes(wrong))


def too_long(rq, body):
    rq.answer(200, body + b"more")


def too_short(rq, body):
    rq.answer(200, body[:-7])


def ignore_range(rq, body):
    rq.answer(200, body)


def wrong_part(rq, body):
    rq.answer(206, body[7:], Content_Range=f"bytes 7-{len(body) - 1}/{len(body)}")


def redirect(to, linked=True):
    """As the Hugging Face hub does: the file is elsewhere, its sum and size are told here."""
    def mishap(rq, body):
        told = {"X-Linked-Etag": f'"{hashlib.sha256(body).hexdigest()}"',
                "X-Linked-Size": str(len(body))} if linked else {}
        where = to.url if to else f"http://{rq.headers['Host']}"
        rq.answer(302, b"", Location=where + rq.path, **told)
    return mishap


def endless(rq, body):
    """Neither length nor sum: nobody can tell where it ends."""
    rq.send_response(200)
    rq.send_header("Connection", "close")
    rq.end_headers()
    for _ in range(50):
        rq.write(body[:1000])
        time.sleep(0.01)
    rq.hang_up()
