"""One client of S3 for each process and set of options. Endpoint, region and credentials are botocore's to find."""

import os
import threading
from functools import cache
from typing import Any

import botocore.session
from botocore import UNSIGNED
from botocore.config import Config

from tokenmill.manifests.objects import Options

CONNECTIONS = 32
CONNECT_S = 10
READ_S = 60  # without a byte

_lock = threading.Lock()  # making a client is not safe between threads; using it is


def client(options: Options) -> Any:
    with _lock:
        return _client(os.getpid(), options)


@cache
def _client(process: int, options: Options) -> Any:
    """`process`: a forked child must not share its parent's connections."""
    session = botocore.session.get_session()
    given = dict(options)
    config = Config(
        connect_timeout=CONNECT_S,
        read_timeout=given.pop("read_timeout_s", READ_S),
        max_pool_connections=CONNECTIONS,
        retries={"total_max_attempts": 1, "mode": "standard"},  # `retried` does it, for longer
        request_checksum_calculation="when_required",  # we send Content-MD5, which older stores know too
        response_checksum_validation="when_required",
        # Without any credentials a public bucket can still be read.
        signature_version=UNSIGNED if session.get_credentials() is None else None,
    )
    return session.create_client("s3", config=config, **given)


@cache
def credentials_told(options: Options) -> str:
    """Where botocore found credentials, for a message: never what they are."""
    found = botocore.session.get_session().get_credentials()
    return "no credentials" if found is None else f"credentials from {found.method}"
