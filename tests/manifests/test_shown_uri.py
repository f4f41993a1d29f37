"""What of a URL may be written down."""

import pytest

from tokenmill.manifests.shown_uri import holds_secret, shown_uri


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        pytest.param("ftp://me:hunter2@host/in/a.gz", "ftp://host/in/a.gz", id="a password"),
        pytest.param("s3://KEY:a/b+c@bucket/in", "s3://KEY:a/b+c@bucket/in", id="no authority: a slash ends it"),
        pytest.param("https://token@host:81/a", "https://host:81/a", id="a token"),
        pytest.param("https://host/a.gz?x=1&X-Amz-Signature=f00", "https://host/a.gz", id="signed for S3"),
        pytest.param("https://host/a.gz?sv=1&sig=f00", "https://host/a.gz", id="signed for Azure"),
    ],
)
def test_secrets_are_left_out(uri, shown):
    assert (shown_uri(uri), holds_secret(uri)) == (shown, uri != shown)


@pytest.mark.parametrize(
    "uri",
    [
        "/data/a@b:c/in?sig=1",
        "in/*.jsonl",
        "s3://bucket/in/crawl-?/**/*.warc.gz",
        "abfs://container@account.dfs.core.windows.net/in",
        "hdfs://user@host:9000/in",
        "https://host/a.gz?version=3",
        ":9464",
        "file:///data/a",
    ],
)
def test_what_holds_none_is_what_it_was(uri):
    assert shown_uri(uri) == uri
    assert not holds_secret(uri)
