"""The facets of our OpenLineage events: small objects, each with the address of its own schema."""

from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import pyarrow as pa

from tokenmill.core.errors import DataError, EngineError, RecipeError
from tokenmill.core.source import File
from tokenmill.manifests.manifest import Manifest, Shard

Facet = dict[str, Any]

VERSION = version("tokenmill")
PRODUCER = f"pkg:pypi/tokenmill@{VERSION}"  # a package URL: who sends the event, and which version
SPEC = "https://openlineage.io/spec/2-0-2/OpenLineage.json"
FACETS = "https://openlineage.io/spec/facets"
EXIT_CODES = ((RecipeError, 2), (DataError, 3), (EngineError, 4))


def processing_engine(name: str) -> Facet:
    return _facet("1-1-1", "ProcessingEngineRunFacet", version=VERSION, name=f"tokenmill {name}")


def nominal_time(due: datetime) -> Facet:
    return _facet("1-0-1", "NominalTimeRunFacet", nominalStartTime=due.astimezone(UTC).isoformat())


def error_message(error: BaseException) -> Facet:
    """The kind of the error alone."""
    code = next((f", exit {code}" for kind, code in EXIT_CODES if isinstance(error, kind)), "")
    message = f"{type(error).__name__}{code}: its message is in the log of the run, because it may quote a document"
    return _facet("1-0-1", "ErrorMessageRunFacet", message=message, programmingLanguage="PYTHON")


def fates(manifest: Manifest) -> Facet:
    """A facet of our own: the totals of the manifest, without the reasons of errors."""
    totals = {key: value for key, value in manifest.totals.items() if key != "errors"}
    totals["errors"] = sum(manifest.totals["errors"].values())
    return {"_producer": PRODUCER, "_schemaURL": f"{SPEC}#/$defs/RunFacet", "identity": manifest.identity, **totals}


def job_type() -> Facet:
    return _facet("2-0-4", "JobTypeJobFacet", processingType="BATCH", integration="TOKENMILL", jobType="RUN")


def schema_of(documents: pa.Schema) -> Facet:
    return _facet("1-2-0", "SchemaDatasetFacet", fields=[{"name": f.name, "type": str(f.type)} for f in documents])


def dataset_version(identity: str) -> Facet:
    return _facet("1-0-1", "DatasetVersionDatasetFacet", datasetVersion=identity)


def input_quality(files: Sequence[File]) -> Facet:
    size = sum(file.size for file in files)
    return _facet("1-0-3", "DataQualityMetricsInputDatasetFacet", columnMetrics={}, bytes=size, fileCount=len(files))


def input_statistics(files: Sequence[File]) -> Facet:
    size = sum(file.size for file in files)
    return _facet("1-0-0", "InputStatisticsInputDatasetFacet", size=size, fileCount=len(files))


def output_quality(manifest: Manifest, files: Sequence[Shard]) -> Facet:
    """`columnMetrics` of `text`: how many documents have one, and their code points."""
    text = {"count": manifest.totals["kept"], "sum": manifest.totals["chars_out"]}
    return _facet(
        "1-0-1",
        "DataQualityMetricsDatasetFacet",
        columnMetrics={"text": text},
        rowCount=manifest.totals["kept"],
        bytes=sum(file.bytes for file in files),
        fileCount=len(files),
    )


def output_statistics(manifest: Manifest, files: Sequence[Shard]) -> Facet:
    return _facet(
        "1-0-2",
        "OutputStatisticsOutputDatasetFacet",
        rowCount=manifest.totals["kept"],
        size=sum(file.bytes for file in files),
        fileCount=len(files),
    )


def _facet(revision: str, kind: str, /, **values: Any) -> Facet:
    return {"_producer": PRODUCER, "_schemaURL": f"{FACETS}/{revision}/{kind}.json#/$defs/{kind}", **values}
