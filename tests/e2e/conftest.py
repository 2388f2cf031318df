"""What the tests that drive the real program share: where it is, where the photographs are, and a
server on a port of its own with a data folder of its own."""

import io
import os
import re
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
import requests
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent.parent
ASSETS = ROOT.parent / "shared" / "assets"


def program_path():
    build = Path(os.environ.get("LK_BUILD", ROOT / "build"))
    return build / "lookalike"


class Server:
    """`lookalike serve` on a free port; .url once it listens."""

    def __init__(self, data, *args, env=None):
        self.data = Path(data)
        command = [str(program_path()), "--data", str(data), "serve", "--listen", "127.0.0.1:0",
                   *args]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, **(env or {})})
        self.errors = []
        self.reader = threading.Thread(target=self._read_errors, daemon=True)
        self.reader.start()
        self.url = self._wait_for_url()

    def _read_errors(self):
        for line in self.process.stderr:
            self.errors.append(line)

    def _wait_for_url(self):
        for line in self.process.stdout:
            found = re.search(r"http://127\.0\.0\.1:\d+", line)
            if found:
                threading.Thread(target=self.process.stdout.read, daemon=True).start()
                return found.group()
        self.process.wait()
        self.reader.join(1)
        raise AssertionError(f"the server does not start:\n{''.join(self.errors)}")

    @property
    def port(self):
        return int(self.url.rsplit(":", 1)[1])

    def stop(self, timeout=40):
        """Ask it to end; its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(timeout)
        self.reader.join(2)
        return status

    def peak_mib(self):
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", text).group(1)) / 1024


@pytest.fixture(scope="session")
def program():
    path = program_path()
    if not path.exists():
        pytest.skip(f"{path} is not built")
    return path


@pytest.fixture(scope="session")
def assets():
    if not ASSETS.is_dir():
        pytest.skip("no test material at ../shared/assets")
    return ASSETS


@pytest.fixture(scope="session")
def photos(assets):
    """A hundred photographs, in a fixed order."""
    found = sorted((assets / "photos" / "coco-100").rglob("*.jpg"))
    if len(found) < 20:
        pytest.skip("no photographs at ../shared/assets/photos/coco-100")
    return found


@pytest.fixture
def start_server(program, tmp_path):
    """Start servers that end with the test, each of which must end well."""
    started = []

    def start(*args, data=None, env=None):
        server = Server(data or tmp_path / f"data{len(started)}", *args, env=env)
        started.append(server)
        return server

    yield start
    ended = [(server.stop(), server) for server in started]  # all of them, before any is judged
    for status, server in ended:
        assert status == 0, "".join(server.errors)


def picture(shade, size=(64, 48), kind="PNG"):
    """A small picture that no other shade equals."""
    image = Image.new("RGB", size, (shade % 256, shade * 7 % 256, shade // 256))
    image.paste((255 - shade % 256, 20, 200), (4, 4, 24 + shade % 16, 30))
    out = io.BytesIO()
    image.save(out, kind)
    return out.getvalue()


def assert_error(answer, status, code=None, field=None):
    """The one form of errors."""
    assert answer.status_code == status, answer.text[:300]
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    body = answer.json()
    assert set(body) == {"error"}
    error = body["error"]
    assert set(error) <= {"code", "message", "field", "column"}
    assert error["message"]
    if code:
        assert error["code"] == code, error
    if field is not None:
        assert error.get("field", "") == field, error
    return error


def wait_until(check, seconds=10):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if check():
            return True
        time.sleep(0.02)
    return False


def add_files(url, paths):
    """Upload files, some at a time; the results in the files' order."""
    results = []
    for at in range(0, len(paths), 20):
        files = [("file", (p.name, p.read_bytes())) for p in paths[at:at + 20]]
        answer = requests.post(f"{url}/v1/images", files=files, timeout=120)
        assert answer.status_code in (200, 201, 207), answer.text
        results += answer.json()["results"]
    return results


@pytest.fixture(scope="module")
def filled(program, photos, tmp_path_factory):
    """A server with forty photographs, shared by a module's tests; .ids by file name."""
    server = Server(tmp_path_factory.mktemp("filled") / "data", "--no-access-log")
    results = add_files(server.url, photos[:40])
    server.ids = {r["image"]["filename"]: r["id"] for r in results}
    server.names = [p.name for p in photos[:40]]
    yield server
    assert server.stop() == 0, "".join(server.errors)
