"""How a run tells of itself while it works: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections import Counter

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

LINE_EVERY_S = 10.0


class ConsoleProgress:
    """Documents, MB/s, kept share and time left, on standard error. Use as a context manager."""

    def __init__(self, quiet: bool = False) -> None:
        self._console = Console(stderr=True)
        self._quiet = quiet
        self._live = (
            Live(console=self._console, refresh_per_second=4, transient=True)
            if sys.stderr.isatty() and not quiet
            else None
        )
        self._counts: Counter[str] = Counter()
        self._name, self._tasks, self._done, self._bytes = "", 0, 0, 0
        self._began = self._last_line = time.monotonic()

    def __enter__(self) -> "ConsoleProgress":
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def phase(self, name: str, tasks: int, already: int, total_bytes: int) -> None:
        self._name, self._tasks, self._done, self._bytes = name, tasks, already, total_bytes
        self._counts.clear()
        self._began = time.monotonic()
        if not self._quiet and not self._live:
            resumed = f", {already} done before" if already else ""
            print(f"{name}: {tasks} tasks{resumed}", file=sys.stderr, flush=True)

    def news(self, counts: dict[str, int]) -> None:
        self._counts.update(counts)
        self._refresh()

    def task_done(self) -> None:
        self._done += 1
        self._refresh()

    def _refresh(self) -> None:
        if self._live:
            grid = Table.grid(padding=(0, 2))
            grid.add_row(
                self._name, ProgressBar(total=max(1, self._tasks), completed=self._done, width=30), self._line()
            )
            self._live.update(grid)
        elif not self._quiet and time.monotonic() - self._last_line > LINE_EVERY_S:
            self._last_line = time.monotonic()
            print(f"{self._name}: {self._line()}", file=sys.stderr, flush=True)

    def _line(self) -> str:
        seconds = max(1e-9, time.monotonic() - self._began)
        documents, read = self._counts["documents"], self._counts["bytes"]
        parts = [f"{self._done}/{self._tasks} shards"]
        if documents:
            parts.append(f"{documents:,} documents, {100 * self._counts['kept'] / documents:.0f}% kept")
        if read and self._bytes:
            left = (self._bytes - read) / (read / seconds)
            parts.append(f"{read / seconds / 1e6:.1f} MB/s, {max(0, left):.0f} s left")
        if self._counts["retries"]:
            parts.append(f"{self._counts['retries']} retries")
        return ", ".join(parts)
