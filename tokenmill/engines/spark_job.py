"""Spark jobs that tell how their tasks ended while others still run, and that Ctrl-C ends.

An accumulator brings the news: Spark adds what a task gave it exactly once, when the task's result is taken. The jobs
run on a thread of their own, in a job group; the caller's thread hears, and cancels the group when it is interrupted.
"""

import queue
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from pyspark import AccumulatorParam, InheritableThread
from pyspark.sql import SparkSession

from tokenmill.engines.spark_session import without_pandas_warning

POLL_S = 0.5  # how often Ctrl-C and the progress bar are looked after while nothing happens
_END = object()

Told = list[tuple[str, Any]]  # (job, what a task told)


class Jobs:
    """Of one session. `told` goes to the executors: `told.add([(job, news)])` is heard by whoever runs `job`."""

    def __init__(self, session: SparkSession) -> None:
        self._context = session.sparkContext
        self._heard: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.told = self._context.accumulator([], _Ear(self._heard.put))

    def run(self, name: str, work: Callable[[str], object], heard: Callable[[Any], None]) -> None:
        """`work(job)` starts actions of Spark; `heard` is called on this thread, with None now and then.

        What either raises ends the actions and is raised here, `heard` first.
        """
        job = uuid.uuid4().hex
        failures: list[BaseException] = []

        def act() -> None:
            try:
                self._context.setJobGroup(job, name, interruptOnCancel=True)
                with without_pandas_warning():
                    work(job)
            except BaseException as error:
                failures.append(error)
            finally:
                self._heard.put((job, _END))

        thread = InheritableThread(target=act, daemon=True)
        thread.start()
        try:
            while True:
                try:
                    of, news = self._heard.get(timeout=POLL_S)
                except queue.Empty:
                    heard(None)
                    continue
                if of != job:  # of one that was cancelled
                    continue
                if news is _END:
                    break
                heard(news)
        except BaseException:
            with suppress(Exception):  # of a JVM that is gone
                self._context.cancelJobGroup(job)
            thread.join()
            raise
        thread.join()
        if failures:
            raise failures[0]


class _Ear(AccumulatorParam[Told]):
    """In the driver everything is handed on at once; in an executor it is gathered until the task ends."""

    def __init__(self, hand_on: Callable[[Any], None] | None = None) -> None:
        self._hand_on = hand_on

    def __reduce__(self) -> Any:
        return _Ear, ()

    def zero(self, value: Told) -> Told:
        return []

    def addInPlace(self, value1: Told, value2: Told) -> Told:  # noqa: N802 (Spark's name)
        if self._hand_on is None:
            return [*value1, *value2]
        for news in value2:
            self._hand_on(news)
        return []
