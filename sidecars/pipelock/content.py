"""Takes a request apart into the values somebody put into it: parameters, JSON strings, parts of a form."""

from __future__ import annotations

import contextlib
import html
import json
import re
from dataclasses import dataclass
from email.message import Message
from typing import TYPE_CHECKING, cast
from urllib.parse import parse_qsl

from sidecars.scan.budget import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterator

# ASCII text reads the same in these, and the scan copes with the zero bytes of wide characters.
_TRANSPARENT = re.compile(
    r"(?:utf-?(?:8|16|32)(?:-?[lb]e)?|us-ascii|ascii|iso-?8859-\d{1,2}|latin-?1|windows-125\d)"
)
# Named one by one: a codec of Python's may also unpack without bounds, or take quadratic time.
_DECODABLE = re.compile(
    r"cp\d{3,4}|ibm\d{3,4}|utf-?7|gb18030|gbk|gb2312|big5(?:-?hkscs)?|euc-(?:jp|kr)|shift[_-]?jis"
    r"|iso-2022-(?:jp|kr)|koi8-[ru]|macintosh|tis-620"
)
_MOST_PARTS = 10_000
_TAG = re.compile(r"<[^<>]*>")
_ATTRIBUTE = re.compile(r"""=\s*(?:"([^"<>]*)"|'([^'<>]*)')""")
_VERBATIM = re.compile(r"<!\[CDATA\[|\]\]>")


@dataclass(frozen=True)
class MediaType:
    """A Content-Type header taken apart; all parts lower case but ``boundary``, absent ones empty."""

    name: str
    charset: str
    boundary: str

    @classmethod
    def parse(cls, header: str) -> MediaType:
        """Read ``header``; never raises, what is malformed is absent."""
        message = Message()
        message["content-type"] = header.replace("\r", " ").replace("\n", " ")
        charset = message.get_param("charset", "")
        boundary = message.get_boundary() or ""
        return cls(message.get_content_type(), str(charset).strip().lower(), boundary)


def recoded(body: bytes, charset: str) -> bytes:
    """Return ``body`` in UTF-8; an unknown or wrong charset is an :class:`UnreadableError`."""
    if not charset or _TRANSPARENT.fullmatch(charset):
        return body
    if not _DECODABLE.fullmatch(charset):
        raise UnreadableError("unknown-encoding")
    try:
        return body.decode(charset).encode("utf-8", "surrogatepass")
    except (LookupError, UnicodeError) as error:
        raise UnreadableError("unknown-encoding") from error


def query_values(url: bytes) -> list[bytes]:
    """Return the decoded values of the query of ``url``, in order."""
    return _pairs(url.partition(b"?")[2].partition(b"#")[0])


def body_values(body: bytes, media: MediaType) -> list[bytes]:
    """Return the values in ``body`` by its type, in order; none when nothing tells of a structure.

    JSON and XML are recognised by their first character too, for receivers do not all insist on the type.
    """
    if media.boundary:
        return list(_parts(body, media.boundary))
    if media.name.endswith("/x-www-form-urlencoded"):
        return _pairs(body)
    if media.name.endswith("json") or body.lstrip()[:1] in {b"{", b"["}:
        return list(_json_strings(body))
    if media.name.endswith("xml") or body.lstrip()[:1] == b"<":
        return list(_xml_values(body))
    return []


def _pairs(query: bytes) -> list[bytes]:
    """Return the values; where there is a semicolon, also those of who takes it for a separator."""
    text = query.decode("latin-1")
    readings = dict.fromkeys((text, text.replace(";", "&")))
    pairs = [
        pair for each in readings for pair in parse_qsl(each, keep_blank_values=True, encoding="latin-1")
    ]
    return [value.encode("latin-1") for _, value in pairs]


def _xml_values(body: bytes) -> Iterator[bytes]:
    """Yield the text between tags, then the attributes: also of what is malformed, as lenient receivers read it."""
    text = _VERBATIM.sub("", body.decode("utf-8", "surrogateescape"))
    attributes = (double or single for double, single in _ATTRIBUTE.findall(text))
    for value in (*_TAG.split(text), *attributes):
        if found := html.unescape(value).strip():
            yield found.encode("utf-8", "surrogateescape")


def _json_strings(body: bytes) -> Iterator[bytes]:
    """Values in the order of the document, without recursion; one document or one a line."""
    for document in _json_documents(body):
        pending = [document]
        while pending:
            value = pending.pop()
            if isinstance(value, str):
                yield value.encode("utf-8", "surrogatepass")
            elif isinstance(value, list):
                pending.extend(reversed(cast("list[object]", value)))


def _json_documents(body: bytes) -> Iterator[object]:
    try:
        yield _json(body)
    except ValueError:
        for line in body.splitlines():
            with contextlib.suppress(ValueError):
                yield _json(line)


def _json(text: bytes) -> object:
    """Parse ``text``, an object as the list of its values; a key may occur twice, a number have any length."""
    try:
        return json.loads(text, object_pairs_hook=_values, parse_int=_no_value)
    except RecursionError as error:
        raise UnreadableError("too-deep") from error


def _values(pairs: list[tuple[str, object]]) -> list[object]:
    return [value for _, value in pairs]


def _no_value(_number: str) -> None:
    return None


def _parts(body: bytes, boundary: str) -> Iterator[bytes]:
    pieces = body.split(b"--" + boundary.encode("latin-1", "replace"))
    if len(pieces) > _MOST_PARTS:
        raise UnreadableError("too-many")
    for piece in pieces:
        _, separator, content = piece.replace(b"\r\n", b"\n").partition(b"\n\n")
        if separator:
            yield content.removesuffix(b"\n")
