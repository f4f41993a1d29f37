"""A run's Context as bytes that an executor understands, where the user's recipe file does not lie."""

from functools import lru_cache

from pyspark import cloudpickle
from pyspark.core.broadcast import Broadcast

from tokenmill.engines.context import Context
from tokenmill.engines.users_modules import pickled_whole


def packed(context: Context) -> bytes:
    """By Spark's own cloudpickle, which executors have."""
    return pickled_whole(cloudpickle, context)


@lru_cache(maxsize=2)
def _unpacked(number: int, pickled: bytes) -> Context:
    context: Context = cloudpickle.loads(pickled)
    return context


def unpacked(shared: "Broadcast[bytes]") -> Context:
    """In an executor's process: once for all its tasks."""
    return _unpacked(hash(shared.value), shared.value)
