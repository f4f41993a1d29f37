"""What an answer of S3 means for us: try again, wrong request, absent, changed. One place for all its codes."""

from botocore import exceptions as boto
from botocore.parsers import ResponseParserError

from tokenmill.core.errors import EngineError, RecipeError

# Statuses 500 to 504 besides. RequestTimeout: the server waited for our bytes. BadDigest, IncompleteBody: they were
# damaged or cut on their way. OperationAborted, ConditionalRequestConflict: another writer at the same moment.
PASSING = {
    "BadDigest",
    "ConditionalRequestConflict",
    "IncompleteBody",
    "InternalError",
    "OperationAborted",
    "RequestTimeout",
    "RequestTimeTooSkewed",
    "SlowDown",
    "ServiceUnavailable",
    "Throttling",
    "ThrottlingException",
    "TooManyRequests",
}
DENIED = {"ExpiredToken", "InvalidAccessKeyId", "InvalidToken", "SignatureDoesNotMatch", "TokenRefreshRequired"}
WRONG = (
    boto.InvalidConfigError,
    boto.InvalidRegionError,
    boto.NoCredentialsError,
    boto.NoRegionError,
    boto.ParamValidationError,
    boto.PartialCredentialsError,
    boto.ProfileNotFound,
    boto.UnknownSignatureVersionError,
)


def status_of(error: Exception) -> int:
    """The HTTP status of an answer; 0 if there was none."""
    if not isinstance(error, boto.ClientError):
        return 0
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def code_of(error: Exception) -> str:
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, boto.ClientError) else ""


class Cut(Exception):  # noqa: N818 - never leaves the retries
    """An answer that is not what its own head says, or an upload that is not what was sent."""


def is_passing(error: Exception) -> bool:
    if isinstance(error, boto.ClientError):
        status = status_of(error)
        return status in (408, 429, 500, 502, 503, 504) or code_of(error) in PASSING
    if isinstance(error, WRONG):
        return False
    return isinstance(error, boto.BotoCoreError | boto.HTTPClientError | ResponseParserError | Cut | OSError)


def is_absent(error: Exception) -> bool:
    return status_of(error) == 404 and code_of(error) not in ("NoSuchBucket", "NoSuchUpload")


def is_condition_failed(error: Exception) -> bool:
    return status_of(error) == 412


def is_not_implemented(error: Exception) -> bool:
    return status_of(error) == 501 or code_of(error) == "NotImplemented"


def is_upload_gone(error: Exception) -> bool:
    return code_of(error) == "NoSuchUpload"


def as_ours(error: Exception, what: str, credentials: str) -> Exception:
    """`error` as a RecipeError where the request, its credentials or its bucket are wrong; as an EngineError where the
    store says anything else, which is never the data's fault; else as it is.
    """
    code = code_of(error)
    if status_of(error) in (401, 403) or code in DENIED:
        return RecipeError(
            f"{what}: access denied ({code or status_of(error)}) with {credentials}; looked for, in this order: "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE and the files in ~/.aws, a web identity, the "
            "role of the container or machine. Give one that may list, read and write there"
        )
    if code == "NoSuchBucket":
        return RecipeError(f"{what}: no such bucket; create it, or correct its name")
    if isinstance(error, WRONG):
        return RecipeError(f"{what}: {error}")
    if isinstance(error, boto.ClientError):
        told = " ".join(str(error.response.get("Error", {}).get("Message", "")).split())[:300]
        return EngineError(
            f"{what}: the store answers {code or 'without a code'} (HTTP {status_of(error)}) to "
            f"{error.operation_name}: {told or 'no more'}; mend that on its side, then run the same command again"
        )
    if isinstance(error, boto.BotoCoreError | boto.HTTPClientError):
        return EngineError(f"{what}: {error}; run the same command again")
    return error
