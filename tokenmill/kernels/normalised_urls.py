"""URLs in a form in which those that lead to one page are equal, byte by byte and without an object for each.

What is done, in this order; sections are of RFC 3986, "Uniform Resource Identifier: Generic Syntax":

1. White space and controls around the URL go, as from every browser's address bar (WHATWG URL, 4.4).
2. What is not SCHEME://AUTHORITY... or //AUTHORITY... stays as it is.
3. The fragment goes: it names a part of what the rest leads to (3.5), and no server sees it.
4. Scheme and host are lower-cased where they are ASCII (6.2.2.1).
5. http, https and no scheme are one, written as none: our choice, since sites moved from one to the other.
6. An empty port goes, as does 80 behind http and 443 behind https (6.2.3).
7. `www.` goes from the front of the host of a web page where a dot is left behind it: our choice.
8. In path and query, percent-encodings are upper-cased (6.2.2.1), those of unreserved characters (2.3) decoded
   (6.2.2.2), and what may not stand there is encoded by its UTF-8 (2.1; RFC 3987, 3.1). A % without two digits stays.
9. The segments `.` and `..` of the path are carried out (6.2.2.3, 5.2.4).
10. Slashes at the end of the path go: for `/` alone 6.2.3, for longer paths our choice (6.2.4 allows it by experience).
11. Parameters of the query that are empty or ignored go; the others keep their order, since it may mean something. An
    empty query goes with its `?`.

User names stay as they are. `;` divides no parameters, `+` is no space, and `index.html` is a page of its own.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tokenmill.kernels.compiled import compiled
from tokenmill.kernels.hashing import data_and_offsets

# What may stand in a path or query as it is: unreserved (2.3), sub-delims (2.2), and `:@/?` (3.3, 3.4).
UNRESERVED = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
ALLOWED = UNRESERVED + b"!$&'()*+,;=" + b":@/?"

_SLASH, _COLON, _AT, _QUESTION, _AND, _IS, _HASH, _PERCENT, _DOT = (ord(c) for c in "/:@?&=#%.")


def normalised_urls(urls: pa.StringArray | pa.LargeStringArray, ignored: tuple[str, ...]) -> pa.LargeStringArray:
    """Null for null, and for what is blank. Scratch: 3 times the URLs.

    `ignored` are names of parameters, compared without regard to ASCII case; `utm_*` stands for all that begin so.
    Raises ValueError on another type of array, and for an ignored name that is empty or not ASCII.
    """
    if wrong := [name for name in ignored if not name.removesuffix("*") or not name.isascii()]:
        raise ValueError(f"{wrong[0]!r} is no name of a parameter; want ASCII, with * at its end for all that begin so")
    data, offsets = data_and_offsets(urls)
    null = urls.is_null().to_numpy(zero_copy_only=False)
    names = [name.removesuffix("*").lower().encode() for name in ignored]
    name_stops = np.cumsum([0, *map(len, names)])
    prefixes = np.array([name.endswith("*") for name in ignored], np.bool_)
    out = np.empty(3 * int(offsets[-1] - offsets[0]), np.uint8)
    stops = np.zeros(len(urls) + 1, np.int64)
    blank = np.zeros(len(urls), np.bool_)
    name_bytes = np.frombuffer(b"".join(names), np.uint8)
    _normalise(data, offsets, null, name_bytes, name_stops, prefixes, _KINDS, out, stops, blank)
    missing = null | blank
    validity = pa.array(~missing).buffers()[1] if missing.any() else None
    buffers = [validity, pa.py_buffer(stops), pa.py_buffer(out[: stops[-1]])]
    return pa.Array.from_buffers(pa.large_string(), len(urls), buffers)


@compiled
def _normalise(
    data: Any,
    offsets: Any,
    null: Any,
    names: Any,
    name_stops: Any,
    prefixes: Any,
    kinds: Any,
    out: Any,
    stops: Any,
    blank: Any,
) -> None:
    n = np.int64(0)
    for i in range(len(null)):
        at, stop = np.int64(offsets[i]), np.int64(offsets[i + 1])
        if not null[i]:
            while at < stop and data[at] <= 0x20:
                at += 1
            while at < stop and data[stop - 1] <= 0x20:
                stop -= 1
            blank[i] = at == stop
            colon = _end_of_scheme(data, at, stop)
            if colon < 0:
                for k in range(at, stop):
                    out[n] = data[k]
                    n += 1
            else:
                stop = _find(data, at, stop, _HASH)
                at, n = _scheme_and_authority(data, at, stop, colon, out, n)
                query = _find(data, at, stop, _QUESTION)
                n = _path(data, at, query, kinds, out, n)
                n = _query(data, query + 1, stop, names, name_stops, prefixes, kinds, out, n)
        stops[i + 1] = n


@compiled
def _find(data: Any, at: Any, stop: Any, byte: Any) -> Any:
    """Where `byte` first is in data[at:stop]; `stop` where it is not."""
    while at < stop and data[at] != byte:
        at += 1
    return at


@compiled
def _lower(byte: Any) -> Any:
    return np.uint8(byte + 32) if 65 <= byte <= 90 else np.uint8(byte)


@compiled
def _end_of_scheme(data: Any, at: Any, stop: Any) -> Any:
    """Where `//AUTHORITY` begins; -1 where it does not."""
    k = at
    while k < stop and data[k] != _COLON and data[k] != _SLASH:
        letter = 97 <= _lower(data[k]) <= 122
        if not letter and (k == at or not (48 <= data[k] <= 57 or data[k] == 43 or data[k] == 45 or data[k] == 46)):
            return -1
        k += 1
    if k > at:
        if k == stop or data[k] != _COLON:
            return -1
        k += 1
    return k if k + 1 < stop and data[k] == _SLASH and data[k + 1] == _SLASH else -1


@compiled
def _scheme_and_authority(data: Any, at: Any, stop: Any, slashes: Any, out: Any, n: Any) -> Any:
    """(where the path begins, bytes written)."""
    length = slashes - at  # with the colon
    web = length == 0
    if length == 5 or length == 6:
        web = _lower(data[at]) == 104 and _lower(data[at + 1]) == 116 and _lower(data[at + 2]) == 116  # h, t, t
        web = web and _lower(data[at + 3]) == 112 and (length == 5 or _lower(data[at + 4]) == 115)  # p, s
    if not web:
        for k in range(at, slashes):
            out[n] = _lower(data[k])
            n += 1
    out[n] = out[n + 1] = _SLASH
    n += 2
    at = slashes + 2
    end = min(_find(data, at, stop, _SLASH), _find(data, at, stop, _QUESTION))
    for k in range(end - 1, at - 1, -1):
        if data[k] == _AT:
            for j in range(at, k + 1):
                out[n] = data[j]
                n += 1
            at = k + 1
            break
    port = end
    while port > at and 48 <= data[port - 1] <= 57:
        port -= 1
    if port > at and data[port - 1] == _COLON:
        digits = end - port
        default = digits == 2 and length != 6 and data[port] == 56 and data[port + 1] == 48  # 80
        if digits == 3 and length == 6:
            default = data[port] == 52 and data[port + 1] == 52 and data[port + 2] == 51  # 443
        host_end = port - 1 if digits == 0 or (web and default) else end
    else:
        host_end, port = end, end + 1
    if web and host_end - at > 4 and data[at + 3] == _DOT:
        w = _lower(data[at]) == 119 and _lower(data[at + 1]) == 119 and _lower(data[at + 2]) == 119
        if w and _find(data, at + 4, host_end, _DOT) < min(host_end, port - 1):
            at += 4
    for k in range(at, host_end):
        out[n] = _lower(data[k])
        n += 1
    return end, n


@compiled
def _digit(byte: Any) -> Any:
    """The value of a hex digit, -1 for what is none."""
    if 48 <= byte <= 57:
        return np.int64(byte) - 48
    letter = np.int64(_lower(byte)) - 87
    return letter if 10 <= letter <= 15 else np.int64(-1)


@compiled
def _encoded(data: Any, at: Any, stop: Any, kinds: Any, out: Any, n: Any) -> Any:
    """Rule 8: bytes written. `kinds` has 2 for unreserved characters, 1 for others that may stand as they are."""
    while at < stop:
        byte = np.int64(data[at])
        at += 1
        if byte == _PERCENT:
            high = _digit(data[at]) if at + 1 < stop else np.int64(-1)
            low = _digit(data[at + 1]) if at + 1 < stop else np.int64(-1)
            if high < 0 or low < 0:
                out[n] = byte
                n += 1
                continue
            byte = 16 * high + low
            at += 2
            stands = kinds[byte] == 2
        else:
            stands = kinds[byte] > 0
        if stands:
            out[n] = byte
            n += 1
        else:
            out[n] = _PERCENT
            for k in range(2):
                digit = (byte >> 4) if k == 0 else byte & 15
                out[n + 1 + k] = digit + 48 if digit < 10 else digit + 55
            n += 3
    return n


@compiled
def _path(data: Any, at: Any, stop: Any, kinds: Any, out: Any, n: Any) -> Any:
    """Rules 8 to 10: bytes written."""
    begin, read = n, n
    end = _encoded(data, at, stop, kinds, out, n)
    while read < end:  # at a slash
        behind = _find(out, read + 1, end, _SLASH)
        dots = behind - read - 1
        for k in range(read + 1, behind):
            if out[k] != _DOT:
                dots = np.int64(0)
                break
        if dots == 2:
            while n > begin:
                n -= 1
                if out[n] == _SLASH:
                    break
        elif dots != 1:
            for k in range(read, behind):
                out[n] = out[k]
                n += 1
        read = behind
    while n > begin and out[n - 1] == _SLASH:
        n -= 1
    return n


@compiled
def _query(
    data: Any,
    at: Any,
    stop: Any,
    names: Any,
    name_stops: Any,
    prefixes: Any,
    kinds: Any,
    out: Any,
    n: Any,
) -> Any:
    """Rule 11: bytes written."""
    mark = _QUESTION
    while at < stop:
        end = _find(data, at, stop, _AND)
        written = _encoded(data, at, end, kinds, out, n + 1)
        at = end + 1
        if written == n + 1 or _is_ignored(out, n + 1, written, names, name_stops, prefixes):
            continue
        out[n] = mark
        n, mark = written, _AND
    return n


@compiled
def _is_ignored(out: Any, at: Any, stop: Any, names: Any, name_stops: Any, prefixes: Any) -> bool:
    length = _find(out, at, stop, _IS) - at
    for i in range(len(prefixes)):
        begin, size = name_stops[i], name_stops[i + 1] - name_stops[i]
        if length == size or (prefixes[i] and length > size):
            same = True
            for k in range(size):
                if _lower(out[at + k]) != names[begin + k]:
                    same = False
                    break
            if same:
                return True
    return False


def _kinds() -> npt.NDArray[np.uint8]:
    kinds = np.zeros(256, np.uint8)
    kinds[list(ALLOWED)] = 1
    kinds[list(UNRESERVED)] = 2
    return kinds


_KINDS = _kinds()
