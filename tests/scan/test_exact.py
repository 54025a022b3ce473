from __future__ import annotations

import base64
import codecs
import gzip
import json
import time
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecars.scan.exact import SecretNeedles
from sidecars.scan.inspect import KNOWN_SECRET, Inspector
from sidecars.scan.library import own_rules, provider_engine
from tests.scan.corpus import WEB, Maker

MAKER = Maker(7)
SECRET = "tok-" + MAKER.take(WEB, 44)
RAW = SECRET.encode()
NEEDLES = SecretNeedles([SECRET])


def _wrapped(text: bytes, width: int, separator: bytes = b"\n") -> bytes:
    return separator.join(text[i : i + width] for i in range(0, len(text), width))


ENCODINGS = {
    "plain": RAW,
    "upper": RAW.upper(),
    "reversed": RAW[::-1],
    "base64-0": base64.b64encode(RAW),
    "base64-1": base64.b64encode(b"a" + RAW),
    "base64-2": base64.b64encode(b"ab" + RAW + b"c"),
    "base64-in-text": base64.b64encode(b'{"note":"' + RAW + b'","more":1}'),
    "base64url": base64.urlsafe_b64encode(RAW),
    "base64-wrapped": _wrapped(base64.b64encode(b"ab" + RAW * 2), 20, b"\r\n"),
    "base64-reversed": base64.b64encode(RAW)[::-1],
    "base32-0": base64.b32encode(RAW),
    **{f"base32-{n}": base64.b32encode(bytes(n) + RAW) for n in range(1, 5)},
    "base32-lower": base64.b32encode(RAW).lower(),
    "hex": RAW.hex().encode(),
    "hex-upper": RAW.hex().upper().encode(),
    "hex-colons": RAW.hex(":").encode(),
    "hex-dump": _wrapped(RAW.hex(" ").encode(), 48),
    "hex-0x": ", ".join(f"0x{byte:02x}" for byte in RAW).encode(),
    "hex-escapes": b"".join(b"\\x%02x" % byte for byte in RAW),
    "percent-full": b"".join(b"%%%02x" % byte for byte in RAW),
    "percent-upper": b"".join(b"%%%02X" % byte for byte in RAW),
    "unicode-escapes": b"".join(b"\\u%04x" % byte for byte in RAW),
    "entities": b"".join(b"&#%d;" % byte for byte in RAW),
    "entities-hex": b"".join(b"&#x%x;" % byte for byte in RAW),
    "decimal-list": str(list(RAW)).encode(),
    "octal": b"".join(b"\\%03o" % byte for byte in RAW),
    "binary": b" ".join(f"{byte:08b}".encode() for byte in RAW),
    "rot13": codecs.encode(SECRET, "rot13").encode(),
    "utf-16": SECRET.encode("utf-16"),
    "utf-32": SECRET.encode("utf-32-be"),
    "spaced": _wrapped(RAW, 1, b" "),
    "quoted-pieces": _wrapped(RAW, 9, b'" + "'),
    "path": _wrapped(RAW, 8, b"/"),
    "labels": _wrapped(RAW.hex().encode(), 30, b"."),
    "first-half": RAW[: len(RAW) // 2 + 3],
    "second-half": RAW[len(RAW) // 2 - 3 :],
}

# These need the content to be read first.
LAYERED = {
    "percent-partial": b"".join(b"%%%02x" % byte if i % 3 else bytes([byte]) for i, byte in enumerate(RAW)),
    "percent-twice": quote("".join(f"%{byte:02x}" for byte in RAW)).encode(),
    "escapes-partial": b"".join(b"\\u%04x" % byte if i % 2 else bytes([byte]) for i, byte in enumerate(RAW)),
    "base64-twice": base64.b64encode(base64.b64encode(b"x" + RAW)),
    "base64-of-hex": base64.b64encode(b"zz" + RAW.hex().encode()),
    "hex-of-base64": base64.b64encode(RAW).hex().encode(),
    "json-in-json": json.dumps({"a": json.dumps({"b": SECRET})}).encode(),
    "gzip": gzip.compress(RAW),
    "base64-gzip": base64.b64encode(gzip.compress(RAW)),
    "hex-gzip": gzip.compress(RAW).hex().encode(),
    "hex-gzip-wrapped": _wrapped(gzip.compress(RAW).hex().encode(), 60, b"\n"),
    "hex-among-digests": b"\n".join([b"5e" * 32, base64.b64encode(RAW).hex().encode(), b"d7" * 32]),
}


@pytest.mark.parametrize("encoded", ENCODINGS.values(), ids=ENCODINGS.keys())
def test_finds_each_encoding(encoded: bytes) -> None:
    assert NEEDLES.find(b"before: " + encoded + b" after")


@pytest.mark.parametrize("encoded", (ENCODINGS | LAYERED).values(), ids=(ENCODINGS | LAYERED).keys())
def test_the_inspector_finds_each_encoding_and_nesting(encoded: bytes) -> None:
    inspector = Inspector(provider_engine(), NEEDLES)
    assert KNOWN_SECRET in inspector.rules(b'{"value": "' + encoded + b'"}')


@pytest.mark.parametrize("encoded", ENCODINGS.values(), ids=ENCODINGS.keys())
def test_finds_nothing_without_the_secret(encoded: bytes) -> None:
    assert not SecretNeedles(["another-" + MAKER.take(WEB, 40)]).find(encoded)


@settings(max_examples=300, deadline=None)
@given(
    secret=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=12, max_size=80).filter(
        lambda text: len(set(text)) >= 5
    ),
    before=st.binary(max_size=50),
    after=st.binary(max_size=50),
    encode=st.sampled_from([bytes, base64.b64encode, base64.urlsafe_b64encode, lambda raw: raw[::-1]]),
)
def test_any_strong_secret_is_found_at_any_place(secret: str, before: bytes, after: bytes, encode) -> None:  # type: ignore[no-untyped-def]
    needles = SecretNeedles([secret])
    content = encode(before + secret.encode() + after)
    assert needles.weak == 0
    assert needles.find(b"\n" + content + b"\n")


def test_a_secret_spread_over_values_is_found() -> None:
    parts = [RAW[i : i + 7] for i in range(0, len(RAW), 7)]
    assert not NEEDLES.find(b"&key=".join(parts))
    assert NEEDLES.find_split(parts)
    assert NEEDLES.find_split(parts[::-1])
    assert not NEEDLES.find_split(parts[::2])


def test_each_line_of_a_private_key_counts_but_not_the_common_first() -> None:
    key = MAKER.pem("OPENSSH PRIVATE KEY")
    needles = SecretNeedles([key])
    lines = key.splitlines()
    assert needles.find(lines[3].encode())
    assert not needles.find(lines[1].encode())
    assert needles.find(key.replace("\n", "\\n").encode())


@pytest.mark.parametrize(
    "value", ["", "   ", "short", "aaaaaaaaaaaa", "12345678", "password", "abababababab"]
)
def test_weak_values_are_not_searched_for(value: str) -> None:
    needles = SecretNeedles([value])
    assert not needles.find(f"the {value} is here".encode())
    assert needles.size == 0
    assert needles.weak == (1 if value.strip() else 0)


def test_no_representation_shows_a_value() -> None:
    assert SECRET not in repr(NEEDLES) + str(NEEDLES) + str(vars(NEEDLES))
    assert repr(NEEDLES) == "SecretNeedles(1 secrets, 0 too weak)"


def test_surrounding_white_space_is_not_part_of_a_secret() -> None:
    assert SecretNeedles([SECRET + "\n"]).find(RAW)


def test_many_secrets_stay_fast() -> None:
    needles = SecretNeedles([MAKER.take(WEB, 48) for _ in range(60)] + [SECRET])
    data = MAKER.raw(1 << 20) + b"\n".join(rule.id.encode() for rule in own_rules().rules) * 200
    start = time.monotonic()
    assert not needles.find(data)
    assert time.monotonic() - start < 2
    assert needles.find(data + RAW.hex().encode())
