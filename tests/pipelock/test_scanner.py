from __future__ import annotations

import base64
import gzip
import json
import time
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecars.pipelock.scanner import Finding, PipelockScanner
from sidecars.scan.budget import Limits
from sidecars.scan.exact import SecretNeedles
from sidecars.scan.library import provider_engine
from tests.scan.corpus import ALNUM, Case, Maker, decoys, planted

MAKER = Maker(11)
SECRET = "live_" + MAKER.take(ALNUM, 40)
HALVES = (SECRET[:11], SECRET[11:22], SECRET[22:33], SECRET[33:])
SCANNER = PipelockScanner(provider_engine(), SecretNeedles([SECRET]))
PROVIDER = [case for case in planted() if case.provider]
TOKEN = next(case.secret for case in PROVIDER if case.name == "github-pat")
KNOWN = "known-secret"
BASIC = base64.b64encode(f"u:{SECRET}".encode()).decode()
PACKED = base64.b64encode(gzip.compress(SECRET.encode())).decode()
UTF_7 = [base64.b64encode(char.encode("utf-16-be")).decode().rstrip("=") for char in SECRET]


def _multipart(*parts: str) -> bytes:
    return "".join(f"--XyZ\r\n{part}\r\n" for part in parts).encode() + b"--XyZ--\r\n"


def _field(name: str, value: str, more: str = "") -> str:
    return f'Content-Disposition: form-data; name="{name}"{more}\r\n\r\n{value}'


HEADS = {
    "url-path": ("GET", f"https://a.test/x/{SECRET}/y", []),
    "url-query": ("GET", f"https://a.test/?q={SECRET}", []),
    "url-fragment": ("GET", f"https://a.test/#{SECRET}", []),
    "url-user": ("GET", f"https://u:{SECRET}@a.test/", []),
    "url-host-hex": ("GET", f"https://{SECRET.encode().hex()[:60]}.{SECRET.encode().hex()[60:]}.a.test/", []),
    "url-percent": ("GET", "https://a.test/?q=" + "".join(f"%{ord(c):02X}" for c in SECRET), []),
    "url-percent-partial": ("GET", f"https://a.test/?q={SECRET[:8]}%{ord(SECRET[8]):02x}{SECRET[9:]}", []),
    "url-percent-twice": ("GET", "https://a.test/?q=" + quote("".join(f"%{ord(c):02X}" for c in SECRET)), []),
    "url-parameter-name": ("GET", f"https://a.test/?{SECRET}=1", []),
    "url-split": ("GET", "https://a.test/?" + "&".join(f"p{i}={part}" for i, part in enumerate(HALVES)), []),
    "url-split-by-semicolons": ("GET", "https://a.test/?" + ";".join(f"p={part}" for part in HALVES), []),
    "url-split-backwards": ("GET", "https://a.test/?" + "&".join(f"p={part}" for part in HALVES[::-1]), []),
    "url-split-path": ("GET", "https://a.test/" + "/".join(HALVES), []),
    "url-base64": ("GET", "https://a.test/" + base64.urlsafe_b64encode(f"k={SECRET}".encode()).decode(), []),
    "method": (SECRET, "https://a.test/", []),
    "header-value": ("GET", "https://a.test/", [("X-A", SECRET)]),
    "header-name": ("GET", "https://a.test/", [(SECRET, "1")]),
    "header-cookie": ("GET", "https://a.test/", [("Cookie", f"a=1; b={SECRET[::-1]}")]),
    "header-basic": ("GET", "https://a.test/", [("Authorization", f"Basic {BASIC}")]),
    "header-split": ("GET", "https://a.test/", [(f"X-{i}", part) for i, part in enumerate(HALVES)]),
}  # fmt: skip


@pytest.mark.parametrize(("method", "url", "headers"), HEADS.values(), ids=HEADS.keys())
def test_heads(method: str, url: str, headers: list[tuple[str, str]]) -> None:
    found = SCANNER.scan_head(method, url, headers)
    assert found == Finding(KNOWN, "header" if headers else "url")


FORM = "application/x-www-form-urlencoded"
JSON = "application/json; charset=utf-8"
FORM_DATA = "multipart/form-data; boundary=XyZ"
_attributes = " ".join(f"p{i} = '&#{ord(part[0])};{part[1:]}'" for i, part in enumerate(HALVES))
_split_json = {f"p{i}": {"x": [part]} for i, part in enumerate(HALVES)}
BODIES: dict[str, tuple[bytes, str, str]] = {
    "text": (f"note {SECRET}".encode(), "text/plain", ""),
    "no-type": (SECRET.encode(), "", ""),
    "wrong-type": (json.dumps(_split_json).encode(), "image/png", ""),
    "binary": (bytes(range(256)) + SECRET.encode() + bytes(300), "application/octet-stream", ""),
    "form": (urlencode({"a": f"{SECRET[:20]}%{SECRET[20:]}".replace("%", ""), "b": "x"}).encode(), FORM, ""),
    "form-percent": (b"a=" + b"".join(b"%%%02x" % byte for byte in SECRET.encode()), FORM, ""),
    "form-split": (urlencode([("p", part) for part in HALVES]).encode(), FORM, ""),
    "json": (json.dumps({"a": [1, {"b": SECRET}]}).encode(), JSON, ""),
    "json-key": (json.dumps({SECRET: 1}).encode(), JSON, ""),
    "json-escaped": (b'{"a":"' + b"".join(b"\\u%04x" % byte for byte in SECRET.encode()) + b'"}', JSON, ""),
    "form-split-by-semicolons": (";".join(f"p={part}" for part in HALVES).encode(), FORM, ""),
    "xml-split": (("<a>" + "".join(f"<p> {part}\n</p>" for part in HALVES) + "</a>").encode(), "text/xml", ""),
    "xml-split-verbatim": ("".join(f"<p><![CDATA[{part}]]></p>" for part in HALVES).encode(), "", ""),
    "xml-split-attributes": (f"<a {_attributes}/>".encode(), "application/soap+xml", ""),
    "json-split": (json.dumps(_split_json).encode(), JSON, ""),
    "json-split-backwards": (json.dumps(dict(enumerate(HALVES[::-1]))).encode(), JSON, ""),
    "json-lines-split": ("\n".join(json.dumps({"p": part}) for part in HALVES).encode(), "text/json", ""),
    "json-split-beside-a-long-number": (
        json.dumps({"n": 0, **_split_json}).replace("0", "1" * 5000, 1).encode(), JSON, "",
    ),
    "json-split-over-one-key": (("{" + ",".join(f'"p":"{part}"' for part in HALVES) + "}").encode(), JSON, ""),
    "json-split-over-numbers": (json.dumps([x for part in HALVES for x in (1, part)]).encode(), JSON, ""),
    "json-duplicate-key": (b'{"a":"' + SECRET.encode() + b'","a":"x"}', JSON, ""),
    "json-base64": (json.dumps({"a": base64.b64encode(f"zz{SECRET}".encode()).decode()}).encode(), JSON, ""),
    "json-base64-gzip": (json.dumps({"a": PACKED}).encode(), JSON, ""),
    "multipart": (_multipart(_field("a", "x"), _field("f", SECRET, '; filename="a.txt"')), FORM_DATA, ""),
    "multipart-filename": (_multipart(_field("f", "x", f'; filename="{SECRET}"')), FORM_DATA, ""),
    "multipart-split": (_multipart(*(_field("p", part) for part in HALVES)), FORM_DATA, ""),
    "multipart-gzip": (_multipart(_field("p", "x")) + gzip.compress(SECRET.encode()), FORM_DATA, ""),
    "gzip": (gzip.compress(SECRET.encode()), "text/plain", "gzip"),
    "gzip-undeclared": (gzip.compress(SECRET.encode()), "text/plain", ""),
    "gzip-twice": (gzip.compress(gzip.compress(SECRET.encode())), "text/plain", "gzip, gzip"),
    "gzip-half-declared": (gzip.compress(gzip.compress(SECRET.encode())), "text/plain", "gzip"),
    "gzip-form-split": (gzip.compress(urlencode([("p", part) for part in HALVES]).encode()), FORM, "gzip"),
    "utf-16": (SECRET.encode("utf-16"), "text/plain; charset=utf-16", ""),
    "utf-16-undeclared": (SECRET.encode("utf-16-le"), "text/plain", ""),
    "ebcdic": (SECRET.encode("cp037"), "text/plain; charset=cp037", ""),
    "utf-7": ("".join(f"+{code}-" for code in UTF_7).encode(), "text/plain; charset=utf-7", ""),
}  # fmt: skip


@pytest.mark.parametrize(("body", "kind", "encoding"), BODIES.values(), ids=BODIES.keys())
def test_bodies(body: bytes, kind: str, encoding: str) -> None:
    assert SCANNER.scan_body(body, kind, encoding) == Finding(KNOWN, "body")


@pytest.mark.parametrize(("body", "kind", "encoding"), BODIES.values(), ids=BODIES.keys())
def test_the_same_bodies_pass_without_the_secret(body: bytes, kind: str, encoding: str) -> None:
    other = SCANNER.with_needles(SecretNeedles(["live_" + MAKER.take(ALNUM, 40)]))
    assert other.scan_body(body, kind, encoding) is None


UNREADABLE: dict[str, tuple[bytes, str, str, str]] = {
    "unknown-encoding": (b"x", "text/plain", "compress", "unknown-encoding"),
    "not-what-it-claims": (b"plain", "text/plain", "gzip", "damaged"),
    "truncated": (gzip.compress(b"x" * 999)[:-3], "text/plain", "gzip", "damaged"),
    "bomb": (gzip.compress(bytes(64 << 20)), "text/plain", "gzip", "too-large"),
    "hidden-bomb": (gzip.compress(bytes(64 << 20)), "text/plain", "", "too-large"),
    "unknown-charset": (b"x", "text/plain; charset=klingon", "", "unknown-encoding"),
    "codec-that-is-no-charset": (b"x", "text/plain; charset=zip", "", "unknown-encoding"),
    "costly-codec": (b"bcher-kva", "text/plain; charset=punycode", "", "unknown-encoding"),
    "wrong-charset": (b"\xff\xfe\xfd", "text/plain; charset=gb18030", "", "unknown-encoding"),
    "seven-zip": (b"7z\xbc\xaf\x27\x1c" + bytes(90), "application/octet-stream", "", "unknown-encoding"),
    "deep-json-line": (b"{}\n" + b"[" * 200_000 + b"]" * 200_000, "application/json", "", "too-deep"),
    "deep-json": (b"[" * 200_000 + b"]" * 200_000, "application/json", "", "too-deep"),
}


@pytest.mark.parametrize(("body", "kind", "encoding", "reason"), UNREADABLE.values(), ids=UNREADABLE.keys())
def test_what_cannot_be_read_is_a_finding(body: bytes, kind: str, encoding: str, reason: str) -> None:
    scanner = PipelockScanner(provider_engine(), SecretNeedles([]), limits=Limits(max_bytes=32 << 20))
    assert scanner.scan_body(body, kind, encoding) == Finding("unreadable", f"body:{reason}")


@pytest.mark.parametrize("case", PROVIDER, ids=lambda case: case.name)
def test_provider_formats_are_found_in_a_conversation(case: Case) -> None:
    message = {"model": "m", "messages": [{"role": "user", "content": f"here it is:\n{case.text}\nthanks"}]}
    found = SCANNER.scan_body(json.dumps(message).encode(), JSON, "")
    assert found is not None
    assert case.secret not in repr(found)


def _conversation() -> bytes:
    blocks = [{"type": "text", "text": case.text} for case in decoys()]
    blocks += [{"type": "tool_result", "content": json.dumps({"stdout": case.text})} for case in decoys()]
    return json.dumps({"messages": [{"role": "user", "content": blocks}]}).encode()


def test_a_coding_conversation_passes() -> None:
    assert SCANNER.scan_body(_conversation(), JSON, "") is None
    assert SCANNER.scan_body(gzip.compress(_conversation()), JSON, "gzip") is None


def test_a_token_in_an_authorization_header_is_found() -> None:
    assert SCANNER.scan_head("GET", "https://a.test/", [("Authorization", f"Bearer {TOKEN}")]) == Finding(
        "github-token", "header"
    )


def test_ordinary_requests_pass() -> None:
    headers = [("User-Agent", "claude-cli/2.1"), ("Authorization", "Bearer placeholder"), ("Accept", "*/*")]
    url = f"https://api.test/v1/messages?beta=true&trace={MAKER.uuid()}"
    assert SCANNER.scan_head("POST", url, headers) is None


@pytest.mark.parametrize(
    "data", [SECRET.encode(), json.dumps(list(HALVES)).encode(), gzip.compress(SECRET.encode())]
)
def test_messages(data: bytes) -> None:
    assert SCANNER.scan_message(data) == Finding(KNOWN, "message")
    assert SCANNER.scan_message(b"hello") is None


def test_off_scans_nothing() -> None:
    off = PipelockScanner(provider_engine(), SecretNeedles([SECRET]), "off")
    assert off.scan_head("GET", f"https://a.test/{SECRET}", [("a", SECRET)]) is None
    assert off.scan_body(SECRET.encode(), "", "") is None
    assert off.scan_message(SECRET.encode()) is None


def test_new_needles_replace_the_old() -> None:
    rotated = "fresh_" + MAKER.take(ALNUM, 40)
    scanner = SCANNER.with_needles(SecretNeedles([rotated]))
    assert scanner.scan_body(SECRET.encode(), "", "") is None
    assert scanner.scan_body(rotated.encode(), "", "") is not None


def test_a_large_conversation_is_scanned_in_time() -> None:
    body = json.dumps({"content": [_conversation().decode()] * 40}).encode()
    start = time.monotonic()
    assert SCANNER.scan_body(body, JSON, "") is None
    assert time.monotonic() - start < 2


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.text(max_size=60), st.text(max_size=20))
def test_no_body_or_header_makes_it_raise(body: bytes, kind: str, encoding: str) -> None:
    SCANNER.scan_body(body, kind, encoding)
    SCANNER.scan_body(body, "multipart/form-data; boundary=" + kind, "")
    SCANNER.scan_message(body)


@settings(max_examples=200, deadline=None)
@given(
    st.text(max_size=60),
    st.text(max_size=120),
    st.lists(st.tuples(st.text(max_size=9), st.text(max_size=40))),
)
def test_no_head_makes_it_raise(method: str, url: str, headers: list[tuple[str, str]]) -> None:
    SCANNER.scan_head(method, "https://a.test/" + url, headers)


def test_a_picture_with_the_letters_of_a_key_in_its_encoding_passes() -> None:
    picture = Maker(9).base64(400)
    body = json.dumps({"type": "image", "data": f"{picture}ABSK{picture}"}).encode()
    assert SCANNER.scan_body(body, "application/json", "") is None
    key = json.dumps({"data": f"ABSK{picture[:130]}"}).encode()
    assert SCANNER.scan_body(key, "application/json", "") == Finding("aws-bedrock-api-key", "body")
