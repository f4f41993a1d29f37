"""A large file to S3 in parallel parts: nothing is visible before the last step, and a failure aborts it all."""

import math
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenmill.manifests.content_md5 import content_md5
from tokenmill.manifests.objects import in_parallel
from tokenmill.manifests.s3_errors import Cut, is_upload_gone

if TYPE_CHECKING:
    from tokenmill.manifests.s3_objects import S3Objects

PART_BYTES = 16 << 20  # each is held in memory while it is sent; S3 wants 5 MiB at least
MOST_PARTS = 10_000  # of S3
UPLOAD_THREADS = 4


def upload_parts(objects: "S3Objects", key: str, file: Path, writer: str, metadata: dict[str, str]) -> str | None:
    """The etag, when the store has said that the object is complete; None if that answer was lost.

    Memory: PART_BYTES x UPLOAD_THREADS, or more for files above 160 GB, whose parts must be larger. Raises what `ask`
    raises, the upload being aborted; Cut if somebody else aborted it, so that it is to be begun anew.
    """
    place = {"Bucket": objects.bucket, "Key": key}
    size = file.stat().st_size
    step = max(PART_BYTES, math.ceil(size / MOST_PARTS))
    halt = threading.Event()
    made = objects.ask(key, lambda s3: s3.create_multipart_upload(**place, Metadata=metadata))
    upload = place | {"UploadId": made["UploadId"]}

    def send(number: int, start: int) -> dict[str, Any]:
        with file.open("rb") as stream:
            stream.seek(start)
            part = stream.read(step)
        request = upload | {"PartNumber": number, "Body": part, "ContentMD5": content_md5(part)}
        answer = objects.ask(key, lambda s3: s3.upload_part(**request), expects=is_upload_gone, halt=halt)
        return {"PartNumber": number, "ETag": answer["ETag"]}

    try:
        calls: list[Callable[[], Any]] = [
            partial(send, number, start) for number, start in enumerate(range(0, size, step), 1)
        ]
        parts = in_parallel(calls, UPLOAD_THREADS, halt)
        whole = upload | {"MultipartUpload": {"Parts": parts}}
        try:
            done = objects.ask(key, lambda s3: s3.complete_multipart_upload(**whole), expects=is_upload_gone)
            return str(done["ETag"]) if "ETag" in done else None
        except Exception as error:
            # It was completed already, by a request whose answer was lost; or somebody aborted it.
            if not is_upload_gone(error) or not objects.is_written_by(key, writer):
                raise
            return None
    except Exception as error:
        if is_upload_gone(error):
            raise Cut("somebody aborted the upload (NoSuchUpload)") from error
        objects.abort(key, upload["UploadId"])
        raise
    except BaseException:
        objects.abort(key, upload["UploadId"])
        raise
