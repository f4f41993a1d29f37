"""A run as OpenLineage events: what was read, what was made, how it ended. To an endpoint, or a line each to a file.

The run's id follows from its request and its place, so that a run that is resumed goes on as the same one. A dead
endpoint is warned about once and counted; it costs a run two timeouts, never more, and never fails it. Messages of
errors stay here: they may quote a document.

Source: openlineage.io/spec/2-0-2. Datasets are named as its naming page says: `file` or the bucket, then the folder,
so that the documents of one run are the input of the next.
"""

import json
import os
import time
import urllib.request
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tokenmill.core.errors import RecipeError
from tokenmill.core.source import File, Source
from tokenmill.core.step import canonical_json
from tokenmill.engines.context import Context
from tokenmill.engines.plan import Plan
from tokenmill.ingest.files import Files
from tokenmill.jobs.console import warn
from tokenmill.jobs.openlineage_facets import (
    PRODUCER,
    SPEC,
    VERSION,
    dataset_version,
    error_message,
    fates,
    input_quality,
    input_statistics,
    job_type,
    nominal_time,
    output_quality,
    output_statistics,
    processing_engine,
    schema_of,
)
from tokenmill.jobs.places import out_at
from tokenmill.manifests.manifest import Manifest
from tokenmill.manifests.shown_uri import shown_uri

NAMESPACE = "tokenmill"  # of jobs, unless OPENLINEAGE_NAMESPACE says another
ENDPOINT = "/api/v1/lineage"  # where a URL without a path is meant to go: Marquez's, and the client library's default
TIMEOUT_S = 5.0
RUNNING_EVERY_S = 10.0


class _Staying(urllib.request.HTTPRedirectHandler):
    """Where a redirect leads, our key would go too and the event would not: a GET has no body. It is an error."""

    def redirect_request(self, *_: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_Staying)


class OpenLineage:
    """A Progress that tells `place`, an http URL or a file. A key is taken from the environment: OPENLINEAGE_API_KEY.

    Raises RecipeError for a place that can be told nothing.
    """

    def __init__(
        self,
        place: str,
        plan: Plan,
        out: str,
        *,
        name: str,
        engine: str,
        due: datetime | None = None,
        joins: bool = False,
    ) -> None:
        """`joins`: a run that somebody else has begun."""
        self._url = _endpoint(place) if "://" in place else None
        self._file = Path(place) if self._url is None else None
        if self._file is not None and not self._file.absolute().parent.is_dir():
            raise RecipeError(f"openlineage: {place}: its folder is not there; make it, or give another file")
        self._name, self._engine, self._due = name, engine, due
        self._namespace = os.environ.get("OPENLINEAGE_NAMESPACE", NAMESPACE)
        self._run = run_id(plan, out)
        self._inputs = _inputs(plan.sources)
        self._plan, self._out = plan, out
        self._schema = schema_of(Context(plan=plan, out=out_at(out)).documents)
        self.failures = 0
        self._last = time.monotonic()
        self._tell("RUNNING" if joins else "START", self._outputs(None))

    def phase(self, name: str, tasks: int, already: int, total_bytes: int) -> None:
        if not self.failures and time.monotonic() - self._last > RUNNING_EVERY_S:
            self._tell("RUNNING", self._outputs(None))

    def news(self, counts: dict[str, int]) -> None: ...

    def task_done(self) -> None: ...

    def finished(self, manifest: Manifest) -> None:
        self._tell("COMPLETE", self._outputs(manifest), {"tokenmill_fates": fates(manifest)})

    def failed(self, error: BaseException) -> None:
        state = "FAIL" if isinstance(error, Exception) else "ABORT"  # Ctrl-C, SIGTERM
        self._tell(state, self._outputs(None), {"errorMessage": error_message(error)})

    def _outputs(self, manifest: Manifest | None) -> list[dict[str, Any]]:
        kind = "documents" if self._plan.recipe.format is None else self._plan.recipe.format.folder
        namespace, name = dataset_name(f"{self._out}/{kind}")
        made: dict[str, Any] = {"namespace": namespace, "name": name, "facets": {}, "outputFacets": {}}
        if self._plan.recipe.format is None:
            made["facets"]["schema"] = self._schema
        if manifest is not None:
            files = manifest.of_kind(kind)
            made["facets"]["version"] = dataset_version(manifest.identity)
            made["facets"]["dataQualityMetrics"] = output_quality(manifest, files)
            made["outputFacets"]["outputStatistics"] = output_statistics(manifest, files)
        return [made]

    def _tell(self, state: str, outputs: list[dict[str, Any]], facets: dict[str, Any] | None = None) -> None:
        self._last = time.monotonic()
        facets = {"processing_engine": processing_engine(self._engine), **(facets or {})}
        if self._due is not None:
            facets["nominalTime"] = nominal_time(self._due)
        event = {
            "eventType": state,
            "eventTime": datetime.now(UTC).isoformat(),
            "run": {"runId": self._run, "facets": facets},
            "job": {"namespace": self._namespace, "name": self._name, "facets": {"jobType": job_type()}},
            "inputs": self._inputs,
            "outputs": outputs,
            "producer": PRODUCER,
            "schemaURL": f"{SPEC}#/$defs/RunEvent",
        }
        try:
            self._send(json.dumps(event).encode())
        except (OSError, ValueError, HTTPException) as error:  # an answer of 4xx or 5xx is an OSError too
            self.failures += 1
            if self.failures == 1:
                where = self._file or shown_uri(str(self._url))
                warn(f"{where}: OpenLineage events do not arrive ({error}); the run goes on")

    def _send(self, content: bytes) -> None:
        if self._file is not None:
            handle = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                os.write(handle, content + b"\n")  # one write: lines of several runs do not mix
            finally:
                os.close(handle)
            return
        assert self._url is not None
        headers = {"Content-Type": "application/json", "User-Agent": f"tokenmill/{VERSION}"}
        if key := os.environ.get("OPENLINEAGE_API_KEY"):
            headers["Authorization"] = f"Bearer {key}"
        request = urllib.request.Request(self._url, content, headers)
        with _OPENER.open(request, timeout=TIMEOUT_S) as answer:
            answer.read()


def run_id(plan: Plan, out: str) -> str:
    """The same for the same request into the same place: a UUID of version 5."""
    place = out if "://" in out else os.path.abspath(out)
    return str(uuid.uuid5(uuid.NAMESPACE_URL, canonical_json([plan.request(), place])))


def dataset_name(place: str) -> tuple[str, str]:
    """(namespace, name) of a folder or file: `file` and its absolute path, or scheme://bucket and the key.

    Without what a URL may hold of secrets.
    """
    place = shown_uri(place)
    if "://" not in place:
        return "file", os.path.abspath(place)
    parts = urlsplit(place)
    return (f"{parts.scheme}://{parts.netloc}", parts.path.strip("/") or "/") if parts.netloc else ("file", parts.path)


def _inputs(sources: Sequence[Source]) -> list[dict[str, Any]]:
    """A dataset for each folder that sources are of: the same one however many files it holds today."""
    folders: dict[str, list[File]] = {}
    for source in sources:
        for file in source.files:
            root = file.uri.removesuffix(f"/{file.name}")
            of_run = isinstance(source, Files) and source.keeps_ids
            folders.setdefault(f"{root}/documents" if of_run else root, []).append(file)
    inputs = []
    for folder, files in folders.items():
        namespace, name = dataset_name(folder)
        facets = {"dataQualityMetrics": input_quality(files), "inputStatistics": input_statistics(files)}
        inputs.append({"namespace": namespace, "name": name, "facets": {}, "inputFacets": facets})
    return inputs


def _endpoint(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise RecipeError(f"openlineage: {shown_uri(url)}: want an http or https URL, or a file")
    if parts.username is not None:
        raise RecipeError(
            f"openlineage: {shown_uri(url)}: a name or password in the URL is sent to nobody; put a key into the "
            "environment: OPENLINEAGE_API_KEY"
        )
    return url if parts.path.strip("/") else f"{url.rstrip('/')}{ENDPOINT}"
