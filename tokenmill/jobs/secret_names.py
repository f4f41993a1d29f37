"""Which names are of secrets, and what a shell line sets: a job file holds neither the one nor sets the other.

A guess that finds what people do write; it is no proof that a file holds none.
"""

import re
from collections.abc import Iterator

SECRET_NAME = re.compile(
    r"SECRET|PASSW|PASSPHRASE|CREDENTIAL|CONNECTION_?STRING|PRIVATE_?KEY|ACCOUNT_?KEY|ACCESS_?KEY$|API_?KEY$|TOKEN$|SAS$",
    re.IGNORECASE,
)
FILE_NAME = re.compile(r"CREDENTIALS?$|_(FILE|PATH|DIR)$", re.IGNORECASE)  # whose value may be where a secret lies
ASSIGNMENT = re.compile(
    r"(?:^|[\s;&|(])(?:(?:export|declare|typeset|readonly)\s+(?:-\w+\s+)*)?"
    r"([A-Za-z_]\w*)=(\"(?:[^\"\\]|\\.)*\"|'[^']*'|[^\s;&|)]*)"
)


def looks_secret(name: str, value: str) -> bool:
    """Whether `name`, of a variable or with dots of a setting, is that of a secret and `value` may be one."""
    if not SECRET_NAME.search(re.sub(r"[.-]", "_", name)):
        return False
    return not (value == "" or (value.startswith("/") and FILE_NAME.search(name)))


def set_by(line: str) -> Iterator[tuple[str, str]]:
    """(name, value without its quotes) of what a line of shell sets."""
    for match in ASSIGNMENT.finditer(line):
        yield match[1], match[2].strip("\"'")
