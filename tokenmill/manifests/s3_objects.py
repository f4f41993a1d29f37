"""Objects of S3 and of whatever speaks its protocol, through botocore, which reads endpoint and credentials itself.

Not through s3fs: it has no conditional replacement, no abort and no hold on what is tried again; its files publish
what was written so far when an exception leaves their `with` block.
"""

import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from tokenmill.core.errors import EngineError
from tokenmill.manifests.content_md5 import content_md5
from tokenmill.manifests.objects import Changed, Found, Options
from tokenmill.manifests.retrying import Patience, retried
from tokenmill.manifests.s3_client import client, credentials_told
from tokenmill.manifests.s3_errors import (
    Cut,
    as_ours,
    is_absent,
    is_condition_failed,
    is_not_implemented,
    is_passing,
    is_upload_gone,
    status_of,
)
from tokenmill.manifests.s3_upload import upload_parts

T = TypeVar("T")
READ_BYTES = 1 << 18  # at a time from a connection: what a cut costs
ONE_PUT_BYTES = 16 << 20  # up to here an object is sent in one request
WRITER = "tokenmill-writer"  # metadata: tells a writer whose answer was lost that the object is its own


@dataclass(frozen=True, slots=True)
class S3Objects:
    """A bucket. `options`: of botocore's client, say endpoint_url."""

    bucket: str
    options: Options
    patience: Patience

    def uri(self, key: str) -> str:
        return f"s3://{self.bucket}/{key}"

    def find(self, key: str) -> Found | None:
        answer = self._head(key)
        return _found(key, answer, answer["ContentLength"]) if answer else None

    def get(
        self, key: str, start: int, stop: int, etag: str | None = None, halt: threading.Event | None = None
    ) -> tuple[bytes, Found]:
        data = bytearray()
        found: list[Found] = []

        def go_on(s3: Any) -> None:
            at = start + len(data)
            known = found[-1].etag if found else etag
            condition = {"IfMatch": known} if known else {}
            answer = s3.get_object(Bucket=self.bucket, Key=key, Range=f"bytes={at}-{stop - 1}", **condition)
            found.append(_found(key, answer, _whole_size(self.uri(key), answer, at)))
            end = min(stop, found[-1].size)
            with answer["Body"] as body:
                while (at := start + len(data)) < end and (block := body.read(min(READ_BYTES, end - at))):
                    data.extend(block)
            if start + len(data) != end:
                raise Cut(f"the answer ended at byte {start + len(data):,} of {end:,}")

        try:
            self.ask(key, go_on, expects=_is_about_ranges, progress=lambda: len(data), halt=halt)
        except Exception as error:
            if is_absent(error):
                raise FileNotFoundError(f"{self.uri(key)}: no such object") from error
            if is_condition_failed(error):
                raise Changed(self.uri(key)) from error
            if status_of(error) == 416:  # nothing from `start` on: it is empty, or shorter than was thought
                now = self.find(key)
                if now is None or (etag is not None and now.etag != etag):
                    raise Changed(self.uri(key)) from error
                return b"", now
            raise
        return bytes(data), found[-1]

    def put(self, key: str, content: bytes, *, new: bool = False, etag: str | None = None) -> Found:
        if new or etag is not None:  # a store that ignores conditions is at least asked before
            now = self.find(key)
            if (now.etag if now else None) != etag:
                raise Changed(self.uri(key))
        found = self._put(key, content, new, etag)
        if found is None:
            raise Changed(self.uri(key))
        return found

    def _put(self, key: str, content: bytes, new: bool = False, etag: str | None = None) -> Found | None:
        condition = {"IfNoneMatch": "*"} if new else {"IfMatch": etag} if etag is not None else {}
        request = {"Bucket": self.bucket, "Key": key, "Body": content, "ContentMD5": content_md5(content)}

        def is_refused(error: Exception) -> bool:
            return is_condition_failed(error) or (etag is not None and is_absent(error))

        def is_expected(error: Exception) -> bool:
            return bool(condition) and (is_not_implemented(error) or is_refused(error))

        def send(writer: str) -> str | None:
            marked = request | {"Metadata": {WRITER: writer}}
            try:
                answer = self.ask(key, lambda s3: s3.put_object(**marked, **condition), expects=is_expected)
            except Exception as error:
                if not is_expected(error):
                    raise
                if is_refused(error):
                    if not self.is_written_by(key, writer):  # it may be: by a request whose answer was lost
                        raise Changed(self.uri(key)) from error
                    return None
                answer = self.ask(key, lambda s3: s3.put_object(**marked))
            return str(answer["ETag"]) if "ETag" in answer else None

        return self._sent(key, len(content), send, again=not condition)

    def upload(self, key: str, file: Path) -> Found | None:
        size = file.stat().st_size
        if size <= ONE_PUT_BYTES:
            return self._put(key, file.read_bytes())
        return self._sent(key, size, lambda writer: upload_parts(self, key, file, writer, {WRITER: writer}), again=True)

    def listed(self, prefix: str) -> Iterator[Found]:
        request = {"Bucket": self.bucket, "Prefix": prefix}
        while True:
            page = self.ask(prefix, lambda s3: s3.list_objects_v2(**request))
            for item in page.get("Contents", []):
                if not item["Key"].endswith("/"):  # consoles make such for folders
                    yield _found(item["Key"], page, item["Size"], item)
            if not page.get("IsTruncated"):
                return
            request["ContinuationToken"] = page["NextContinuationToken"]

    def delete(self, keys: Sequence[str]) -> None:
        if len(keys) == 1:
            self.ask(keys[0], lambda s3: s3.delete_object(Bucket=self.bucket, Key=keys[0]))
            return
        for first in range(0, len(keys), 1000):  # the most that one request takes
            left = [{"Key": key} for key in keys[first : first + 1000]]

            def delete_left(s3: Any, left: list[dict[str, str]] = left) -> None:
                wanted = {"Objects": left, "Quiet": True}
                failed = s3.delete_objects(Bucket=self.bucket, Delete=wanted).get("Errors", [])
                left[:] = [{"Key": e["Key"]} for e in failed]
                if failed:
                    raise Cut(f"{len(failed)} objects not deleted, the first: {failed[0]}")

            self.ask(keys[first], delete_left)

    def delete_same(self, key: str, etag: str) -> None:
        """Looks first: conditional deletion is not to be had everywhere."""
        found = self.find(key)
        if found is not None and found.etag == etag:
            self.delete([key])

    def abort_uploads(self, prefix: str, older_than_s: float) -> int:
        request: dict[str, Any] = {"Bucket": self.bucket, "Prefix": prefix}
        aborted, more = 0, True
        while more:
            page = self.ask(prefix, partial(_uploads, request=request))
            for upload in page.get("Uploads", []):
                if _now_of(page).timestamp() - upload["Initiated"].timestamp() >= older_than_s:
                    self.abort(upload["Key"], upload["UploadId"])
                    aborted += 1
            more = page.get("IsTruncated", False)
            request |= {"KeyMarker": page.get("NextKeyMarker"), "UploadIdMarker": page.get("NextUploadIdMarker")}
        return aborted

    def abort(self, key: str, upload_id: str) -> None:
        """An upload that is gone already is no error."""
        try:
            wanted = {"Bucket": self.bucket, "Key": key, "UploadId": upload_id}
            self.ask(key, lambda s3: s3.abort_multipart_upload(**wanted), expects=is_upload_gone)
        except Exception as error:
            if not is_upload_gone(error):
                raise

    def ask(
        self,
        key: str,
        call: Callable[[Any], T],
        expects: Callable[[Exception], bool] = lambda error: False,
        progress: Callable[[], int] = lambda: 0,
        halt: threading.Event | None = None,
    ) -> T:
        """The answer to a request about `key`, tried again. What the caller `expects` is raised as it is, all else as
        one of our errors.
        """
        what = self.uri(key)
        try:
            s3 = client(self.options)
            return retried(
                what, lambda: call(s3), patience=self.patience, is_passing=is_passing, progress=progress, stop=halt
            )
        except Exception as error:
            if expects(error):
                raise
            ours = as_ours(error, what, credentials_told(self.options))
            if ours is error:
                raise
            raise ours from error

    def is_written_by(self, key: str, writer: str) -> bool:
        answer = self._head(key)
        return answer is not None and answer.get("Metadata", {}).get(WRITER) == writer

    def _head(self, key: str) -> dict[str, Any] | None:
        try:
            wanted = {"Bucket": self.bucket, "Key": key}
            answer: dict[str, Any] = self.ask(key, lambda s3: s3.head_object(**wanted), expects=is_absent)
            return answer
        except Exception as error:
            if is_absent(error):
                return None
            raise

    def _sent(self, key: str, size: int, send: Callable[[str], str | None], again: bool) -> Found | None:
        """What the store has after `send`, which is believed only when the store shows all of it; else sent `again`.

        `send` gives the etag of what it sent, None if the answer was lost. None if another has replaced it since.
        """

        def send_and_look() -> Found | None:
            writer = uuid.uuid4().hex
            etag = send(writer)
            answer = self._head(key)
            if answer is None:
                raise Cut("sent, and the store shows nothing")
            found = _found(key, answer, answer["ContentLength"])
            mark = answer.get("Metadata", {}).get(WRITER)  # not every store keeps it, and not every writer is ours
            if mark != writer and (mark is not None or etag is None or found.etag != etag):
                return None
            if found.size != size:
                self.delete([key])
                raise Cut(f"sent {size:,} bytes, the store shows {found.size:,}")
            return found

        return retried(
            self.uri(key),
            send_and_look,
            patience=self.patience if again else Patience(total_s=0),
            is_passing=lambda error: isinstance(error, Cut),
        )


def _is_about_ranges(error: Exception) -> bool:
    """Absent, changed, or empty where the range begins."""
    return is_absent(error) or is_condition_failed(error) or status_of(error) == 416


def _found(key: str, answer: dict[str, Any], size: int, item: dict[str, Any] | None = None) -> Found:
    item = item or answer
    modified = item["LastModified"]
    return Found(
        key=key,
        size=size,
        modified_ns=round(modified.timestamp()) * 1_000_000_000,  # HTTP tells whole seconds, listings thousandths
        etag=item["ETag"],
        age_s=_now_of(answer).timestamp() - modified.timestamp(),
    )


def _whole_size(uri: str, answer: dict[str, Any], at: int) -> int:
    """Of the object, from the head of an answer that was to begin at byte `at`."""
    told = answer.get("ContentRange", "")  # bytes 0-99/1234
    if told.startswith(f"bytes {at}-") and told.rpartition("/")[2].isdigit():
        return int(told.rpartition("/")[2])
    if not told and at == 0:
        return int(answer["ContentLength"])
    raise EngineError(f"{uri}: asked for bytes from {at:,} on, the store answers with {told or 'all of it'}")


def _uploads(s3: Any, request: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = s3.list_multipart_uploads(**request)
    return answer


def _now_of(answer: dict[str, Any]) -> datetime:
    """The store's clock: what ages are measured by, whatever this machine thinks of the time."""
    told = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
    return parsedate_to_datetime(told) if told else datetime.now(UTC)
