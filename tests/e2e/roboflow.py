"""A server that speaks Roboflow's CLIP API, and whatever a bad day makes of it."""

import base64
import hashlib
import io
import json
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import numpy as np
from PIL import Image

DIM = 12


def embedding_of_text(text, dim=DIM):
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
    return np.random.default_rng(seed).normal(size=dim) * 7  # far from unit length


def embedding_of_picture(data, dim=DIM):
    with Image.open(io.BytesIO(data)) as image:
        pixels = np.asarray(image.convert("RGB").resize((2, 2), Image.Resampling.BOX), float)
    return (pixels.reshape(-1)[:dim] + 1) / 40


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_POST(self):
        peer = self.server.peer
        body = self.rfile.read(int(self.headers["Content-Length"]))
        url = urlsplit(self.path)
        ask = {"path": url.path, "query": parse_qs(url.query), "headers": dict(self.headers),
               "json": json.loads(body)}
        items = ask["json"].get("image", ask["json"].get("text"))
        with peer.lock:
            peer.asked.append(ask)
            peer.flying += 1
            peer.most_flying = max(peer.most_flying, peer.flying)
            trouble = peer.troubles.pop(0) if peer.troubles else peer.always
        try:
            if peer.delay:
                time.sleep(peer.delay)
            (trouble or self.answer)(self, items) if trouble else self.answer(items)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            with peer.lock:
                peer.flying -= 1

    def send(self, status, body, **headers):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def answer(self, items):
        rows = []
        for item in items:
            if isinstance(item, str):
                rows.append(embedding_of_text(item))
            else:
                assert item["type"] == "base64"
                rows.append(embedding_of_picture(base64.b64decode(item["value"])))
        self.send(200, {"embeddings": [list(map(float, r)) for r in rows], "time": 0.01})


class Peer:
    """.url; .asked: the requests so far. A trouble is a function of the handler and the items; the
    next requests get .troubles, one each, all later ones .always, and without one a good answer."""

    def __init__(self, certificate=None):
        self.lock = threading.Lock()
        self.asked, self.troubles, self.always = [], [], None
        self.delay = 0
        self.flying = self.most_flying = 0
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.peer = self
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        scheme = "https" if certificate else "http"
        self.url = f"{scheme}://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def sizes(self):
        return [len(a["json"].get("image", a["json"].get("text"))) for a in self.asked]

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def refuse(status, body=None, **headers):
    """A trouble: that status, with Roboflow's form of errors."""
    def trouble(handler, items):
        handler.send(status, {"message": f"trouble {status}"} if body is None else body, **headers)
    return trouble


def say(body):
    """A trouble: 200 with this body."""
    def trouble(handler, items):
        handler.send(200, body)
    return trouble


def hang_up(handler, items):
    handler.close_connection = True


def send_half(handler, items):
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"embeddings": [[')
    handler.close_connection = True
