"""A real S3 endpoint on loopback (moto), and before it a proxy that fails as networks and busy servers do.

Not a mock of ours: botocore speaks HTTP to it. moto forgets everything when it is killed, so the server's death is
played by the proxy: every connection is cut and new ones are refused until it is up again.
"""

import atexit
import http.client
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

LOOPBACK = "127.0.0.1"
START_S = 60
REFUSALS = {"busy": (503, "SlowDown"), "broken": (500, "InternalError"), "denied": (403, "AccessDenied")}


@dataclass
class Faults:
    """What goes wrong, as shares (0..1) of requests; which ones follows from the seed and the order of arrival."""

    busy: float = 0.0  # 503 SlowDown
    broken: float = 0.0  # 500 InternalError
    cut: float = 0.0  # before the request is passed on, after it (the answer is lost), or in the middle of the answer
    denied: bool = False  # 403 to everything
    delay_s: float = 0.0
    truncate_puts: int = 0  # so many objects lose their second half on the way, and their checksum with it
    only: tuple[str, ...] = ()  # kinds of request, all by default
    after: int = 0  # requests that pass first
    seed: int = 0


@dataclass
class Proxy:
    """Between a client and the endpoint. `counts` of requests by kind, `injected` of faults."""

    server_port: int
    port: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    injected: Counter[str] = field(default_factory=Counter)
    bytes_out: int = 0  # of objects, to clients

    def __post_init__(self) -> None:
        self.lock = threading.Lock()
        self.writing = threading.Lock()  # moto looks and writes in two steps; S3 does it in one
        self.faults, self._random = Faults(), random.Random(0)
        self._listener: ThreadingHTTPServer | None = None
        self._open: set[socket.socket] = set()

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def up(self) -> None:
        proxy = self

        class Listener(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False
            request_queue_size = 256

            def handle_error(self, request: Any, client_address: Any) -> None:
                """Clients go away; so do we."""

        class Handler(_Forward):
            server_version = "proxy"

        Handler.proxy = proxy
        self._listener = Listener((LOOPBACK, self.port), Handler)
        self.port = self._listener.server_address[1]
        threading.Thread(target=self._listener.serve_forever, args=(0.02,), daemon=True).start()

    def down(self) -> None:
        """As if the server were killed: connections break, new ones are refused. `up` brings it back."""
        if self._listener is not None:
            self._listener.shutdown()
            self._listener.server_close()
            self._listener = None
        for connection in list(self._open):
            cut(connection)

    @contextmanager
    def failing(self, **shares: Any) -> Iterator["Proxy"]:
        with self.lock:
            self.faults = Faults(**shares)
            self._random = random.Random(self.faults.seed)
            self.counts, self.injected, self.bytes_out = Counter(), Counter(), 0
        try:
            yield self
        finally:
            self.faults = Faults()

    def fault(self, kind: str) -> str:
        """Counts the request; what shall go wrong with it, or nothing."""
        with self.lock:
            self.counts[kind] += 1
            drawn, faults = self._random.random(), self.faults
            if (faults.only and kind not in faults.only) or self.counts.total() <= faults.after:
                return ""
            if faults.denied:
                return "denied"
            if kind in ("PUT", "PART") and self.injected["truncate"] < faults.truncate_puts:
                found = "truncate"
            elif drawn < faults.busy:
                found = "busy"
            elif drawn < faults.busy + faults.broken:
                found = "broken"
            elif drawn < faults.busy + faults.broken + faults.cut:
                found = self._random.choice(["cut before", "cut after", "cut within"])
            else:
                return ""
            self.injected[found] += 1
            return found

    def opened(self, connection: socket.socket, is_open: bool) -> None:
        with self.lock:
            (self._open.add if is_open else self._open.discard)(connection)


class _Forward(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: Proxy

    def log_message(self, format: str, *args: object) -> None:
        """Silence."""

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.proxy.opened(self.connection, True)
        self.upstream = http.client.HTTPConnection(LOOPBACK, self.proxy.server_port, timeout=120)

    def finish(self) -> None:
        self.proxy.opened(self.connection, False)
        self.upstream.close()
        try:
            super().finish()
        except OSError:
            pass

    def forward(self) -> None:
        kind = _kind(self.command, self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.proxy.fault(kind)
        if self.proxy.faults.delay_s:
            time.sleep(self.proxy.faults.delay_s)
        if fault == "cut before":
            cut(self.connection)
            return
        if fault in REFUSALS:
            self._fail(*REFUSALS[fault])
            return
        dropped = ("content-md5", "content-length") if fault == "truncate" else ()
        if fault == "truncate":
            body = body[: len(body) // 2]
        conditional = any(self.headers.get(name) for name in ("If-None-Match", "If-Match")) and self.command == "PUT"
        with self.proxy.writing if conditional else threading.Lock():
            self.upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in (*dropped, "expect", "connection"):
                    self.upstream.putheader(name, value)
            if fault == "truncate":
                self.upstream.putheader("Content-Length", str(len(body)))
            self.upstream.endheaders(body or None)
            answer = self.upstream.getresponse()
            data = answer.read()
        if fault == "cut after":
            cut(self.connection)
            return
        self._answer(answer, data, fault == "cut within")

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = forward  # noqa: N815 - names of http.server

    def _answer(self, answer: http.client.HTTPResponse, data: bytes, halved: bool) -> None:
        self.send_response_only(answer.status)
        for name, value in answer.headers.items():
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(name, value)
        length = answer.headers.get("Content-Length") if self.command == "HEAD" else str(len(data))
        if length is not None and answer.status != 204:
            self.send_header("Content-Length", length)
        self.end_headers()
        with self.proxy.lock:
            self.proxy.bytes_out += len(data)
        self.wfile.write(data[: (len(data) + 1) // 2] if halved else data)
        if halved:
            self.wfile.flush()
            cut(self.connection)

    def _fail(self, status: int, code: str) -> None:
        body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>Please wait.</Message></Error>".encode()
        self.send_response_only(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def cut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:  # it is gone
        pass


def _kind(method: str, path: str) -> str:
    parts = urlsplit(path)
    query = parse_qs(parts.query, keep_blank_values=True)
    has_key = parts.path.strip("/").count("/") > 0
    match method:
        case "GET" if "uploads" in query:
            return "LIST_UPLOADS"
        case "GET" if not has_key:
            return "LIST"
        case "PUT" if "partNumber" in query:
            return "PART"
        case "PUT" if not has_key:
            return "BUCKET"
        case "POST" if "delete" in query:
            return "DELETE"
        case "POST":
            return "CREATE_UPLOAD" if "uploads" in query else "COMPLETE_UPLOAD"
        case "DELETE" if "uploadId" in query:
            return "ABORT_UPLOAD"
    return method


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


@cache
def moto_port() -> int:
    """Of a moto server that lives as long as this process. Skips the test if it is not installed."""
    if find_spec("moto") is None or find_spec("botocore") is None:
        pytest.skip("moto[server] or botocore is absent: no S3 endpoint to test with")
    port = _free_port()
    command = [sys.executable, "-m", "moto.server", "-H", LOOPBACK, "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def end() -> None:
        server.kill()
        server.wait(10)

    atexit.register(end)
    give_up = time.monotonic() + START_S
    while time.monotonic() < give_up:
        with socket.socket() as probe:
            if probe.connect_ex((LOOPBACK, port)) == 0:
                return port
        time.sleep(0.05)
    raise TimeoutError(f"moto did not listen within {START_S} s")


ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}
_buckets = 0
_port = 0  # one for all proxies of this process: botocore's clients live as long as it does and know no other


@contextmanager
def s3(bucket: str | None = None) -> Iterator[tuple[Proxy, str]]:
    """(a proxy of its own before the endpoint, the name of a new bucket); botocore is told of it by the environment."""
    global _buckets, _port
    proxy = Proxy(moto_port(), _port)
    proxy.up()
    _port = proxy.port
    _buckets += 1
    bucket = bucket or f"test-{os.getpid()}-{_buckets}"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (ENVIRONMENT | {"AWS_ENDPOINT_URL": proxy.url}).items():
            patch.setenv(name, value)
        for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL_S3", "AWS_SESSION_TOKEN"):
            patch.delenv(name, raising=False)
        request = http.client.HTTPConnection(LOOPBACK, proxy.server_port, timeout=30)
        request.request(
            "PUT",
            f"/{bucket}",
            headers={"Authorization": "AWS4-HMAC-SHA256 Credential=testing/0/us-east-1/s3/aws4_request"},
        )
        if request.getresponse().status != 200:
            raise OSError(f"{bucket}: could not be made")
        request.close()
        try:
            yield proxy, bucket
        finally:
            proxy.down()
