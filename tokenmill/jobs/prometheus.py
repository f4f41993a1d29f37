"""A run's numbers as Prometheus reads them: a text file for node_exporter's textfile collector, or an endpoint.

The file is written whole, at the end of each phase and at least every WRITE_EVERY_S seconds. An endpoint lives as long
as the run: what must be seen afterwards (the last success) needs the file. Counters begin at 0 with each run, and count
what this process saw: a resumed run does not read again what is done. A run of many processes, each of which joins it
for a while, has no counters and no times of phases: nobody sees them whole. No label ever holds a document's text or
id.
"""

import os
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self

from tokenmill.core.errors import RecipeError
from tokenmill.jobs.console import warn
from tokenmill.jobs.prometheus_text import CONTENT_TYPE, LASTING, Samples, escaped, sample, with_heads
from tokenmill.manifests.checked_json import write_whole
from tokenmill.manifests.manifest import Manifest

WRITE_EVERY_S = 15.0  # node_exporter is scraped every 15 to 60 s
ADDRESS = re.compile(r"(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9.-]*):(\d{1,5})")
LOOPBACK = "127.0.0.1"

Labels = dict[str, str]


class Prometheus:
    """A Progress that keeps the numbers and shows them at `place`. Use as a context manager.

    Raises RecipeError for a folder that is not there, or an address that cannot be had.
    """

    def __init__(self, place: str, labels: Labels, *, joins: float | None = None) -> None:
        """`joins`: when the run began, in seconds since 1970, where this process has a part of it alone."""
        self._labels = labels
        self._lock = threading.Lock()
        self._began = self._phase_began = self._written = time.monotonic()
        self._joins = joins is not None
        self._started = joins if joins is not None else time.time()
        self._state, self._ended_s = "running", 0.0
        self._name, self._counts = "", Counter[str]()
        self._phases: dict[str, dict[str, float]] = {}
        self._manifest: Manifest | None = None
        self._errors = 0
        self._lasting: list[str] = []
        self._file: Path | None = None
        self._server: ThreadingHTTPServer | None = None
        address = ADDRESS.fullmatch(place)
        if address is None:
            self._file = Path(place)
            _check_folder(self._file)
            self._lasting = _lasting_lines(self._file)
        else:
            self._server = _server((address[1].strip("[]") or LOOPBACK, int(address[2])), self.text)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="prometheus", daemon=True)

    def __enter__(self) -> Self:
        self._write()
        self._thread.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._stop.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
        self._thread.join()
        self._write()

    @property
    def port(self) -> int | None:
        """Of the endpoint: the one that was given for :0."""
        return int(self._server.server_address[1]) if self._server is not None else None

    def phase(self, name: str, tasks: int, already: int, total_bytes: int) -> None:
        with self._lock:
            self._leave_phase()
            # The steps of one round are one phase here: every step a series of its own would be too many.
            self._name = re.sub(r" \d+$", "", name) if "step" in name else name
            here = self._phases.setdefault(self._name, {"tasks": 0, "done": 0, "seconds": 0.0})
            here["tasks"] += tasks
            here["done"] += already
        self._write()

    def news(self, counts: dict[str, int]) -> None:
        with self._lock:
            self._counts.update(counts)

    def task_done(self) -> None:
        with self._lock:
            self._phases[self._name]["done"] += 1

    def finished(self, manifest: Manifest) -> None:
        with self._lock:
            self._leave_phase()
            self._name = ""
            self._state, self._manifest = "done", manifest
            self._ended_s = self._so_far_s()
            mine = f'name="{escaped(self._labels["name"])}"'
            self._lasting = [line for line in self._lasting if mine not in line or "_run_last_" not in line]
            done = "tokenmill_run_last_success_timestamp_seconds"
            self._lasting.append(sample(done, time.time(), {"name": self._labels["name"]}))
        self._write()

    def failed(self, error: BaseException) -> None:
        with self._lock:
            self._leave_phase()
            self._name = ""
            self._state = "failed"
            self._ended_s = self._so_far_s()
        self._write()

    def text(self) -> str:
        """All of it, as it stands now."""
        with self._lock:
            lines = Samples(self._labels["name"])
            lines.add("tokenmill_run_info", 1, recipe=self._labels["recipe"], engine=self._labels["engine"])
            lines.add("tokenmill_run_start_timestamp_seconds", self._started)
            lines.add("tokenmill_run_seconds", self._ended_s or self._so_far_s())
            for state in ("running", "done", "failed"):
                lines.add("tokenmill_run_state", int(state == self._state), state=state)
            for name, phase in self._phases.items():
                if not self._joins:
                    running = time.monotonic() - self._phase_began if name == self._name else 0.0
                    lines.add("tokenmill_phase_seconds", phase["seconds"] + running, phase=name)
                lines.add("tokenmill_tasks", phase["done"], phase=name, state="done")
                lines.add("tokenmill_tasks", phase["tasks"] - phase["done"], phase=name, state="waiting")
            if not self._joins:
                lines.add("tokenmill_task_retries_total", self._counts["retries"])
                lines.add("tokenmill_documents_read_total", self._counts["documents"])
                lines.add("tokenmill_bytes_read_total", self._counts["bytes"])
            lines.add("tokenmill_metrics_errors_total", self._errors)
            if self._manifest is not None:
                _add_totals(lines, self._manifest)
            return lines.text(self._lasting)

    def _so_far_s(self) -> float:
        """Of the run; by the clock where others began it."""
        return time.time() - self._started if self._joins else time.monotonic() - self._began

    def _leave_phase(self) -> None:
        now = time.monotonic()
        if self._name:
            self._phases[self._name]["seconds"] += now - self._phase_began
        self._phase_began = now

    def _keep(self) -> None:
        if self._server is not None:
            self._server.serve_forever(poll_interval=0.1)
        while not self._stop.wait(WRITE_EVERY_S):
            self._write()

    def _write(self) -> None:
        if self._file is None:
            return
        try:
            write_whole(self._file, self.text().encode())
        except OSError as error:
            with self._lock:
                self._errors += 1
                first = self._errors == 1
            if first:
                warn(f"{self._file}: metrics cannot be written ({error.strerror}); the run goes on")


def note_firing(place: str, name: str, due: float, ended: float) -> None:
    """Add to a metrics file that a firing is over: `due` and `ended` in seconds since 1970. An endpoint has none.

    Never fails: a file that cannot be written is warned about.
    """
    if ADDRESS.fullmatch(place):
        return
    file = Path(place)
    try:
        _check_folder(file)
        lines = [] if not file.exists() else file.read_text(encoding="utf-8").splitlines()
        new = [
            sample("tokenmill_firing_last_success_timestamp_seconds", ended, {"name": name}),
            sample("tokenmill_firing_last_due_timestamp_seconds", due, {"name": name}),
        ]
        replaced = {line.rpartition(" ")[0] for line in new}
        kept = [line for line in lines if not line.startswith("#") and line.rpartition(" ")[0] not in replaced]
        write_whole(file, with_heads([*kept, *new]).encode())
    except RecipeError as error:
        warn(str(error))
    except (OSError, UnicodeDecodeError) as error:
        warn(f"{place}: metrics cannot be written ({error})")


def _add_totals(lines: Samples, manifest: Manifest) -> None:
    totals = manifest.totals
    by_fate = {
        "kept": totals["kept"],
        "dropped": sum(totals["dropped"].values()),
        "duplicate": sum(totals["duplicates"].values()),
        "error": sum(totals["errors"].values()),  # their reasons may quote a document: only the number
    }
    for fate, n in by_fate.items():
        lines.add("tokenmill_documents_total", n, fate=fate)
    for rule, n in totals["dropped"].items():
        lines.add("tokenmill_documents_dropped_total", n, rule=rule)
    for step, n in totals["duplicates"].items():
        lines.add("tokenmill_documents_duplicate_total", n, step=step)
    lines.add("tokenmill_characters_kept_total", totals["chars_out"])
    lines.add("tokenmill_tokens_total", totals["tokens"])
    lines.add("tokenmill_output_bytes", sum(shard.bytes for shard in manifest.shards))


def _check_folder(file: Path) -> None:
    if not file.absolute().parent.is_dir():
        raise RecipeError(f"metrics: {file}: its folder is not there; make it, or give another file")
    if file.is_dir() or not os.access(file.absolute().parent, os.W_OK):
        raise RecipeError(f"metrics: {file}: cannot be written; give a file in a folder that can")


def _lasting_lines(file: Path) -> list[str]:
    try:
        return [line for line in file.read_text(encoding="utf-8").splitlines() if line.startswith(LASTING)]
    except (OSError, UnicodeDecodeError):
        return []


def _server(address: tuple[str, int], text: Callable[[], str]) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path.partition("?")[0] in ("/", "/metrics")
            body = text().encode() if found else b"see /metrics\n"
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", CONTENT_TYPE)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """The terminal is the run's."""

    try:
        server = ThreadingHTTPServer(address, Handler)
    except (OSError, OverflowError) as error:
        raise RecipeError(f"metrics: {address[0]}:{address[1]}: cannot listen there ({error}); give another") from error
    server.daemon_threads = True
    return server
