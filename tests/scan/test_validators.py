from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.scan.entropy import shannon
from sidecars.scan.validators import VALIDATORS, checksum62
from tests.scan.corpus import Maker

MAKER = Maker(9)


def test_the_checksum_is_that_of_the_published_example() -> None:
    assert checksum62(b"zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ") == b"0mL" + b"q17"


@pytest.mark.parametrize("prefix", ["ghp_", "gho_", "ghs_", "npm_"])
def test_one_wrong_character_fails_the_checksum(prefix: str) -> None:
    token = MAKER.checked(prefix).encode()
    assert VALIDATORS["crc62"](token)
    wrong = token[:10] + (b"A" if token[10:11] != b"A" else b"B") + token[11:]
    assert not VALIDATORS["crc62"](wrong)


@pytest.mark.parametrize(
    ("token", "valid"),
    [
        (MAKER.jwt({"sub": "x"}), True),
        ("eyJub3QiOiJhIn0.eyJzdWIiOiJ4In0.c2ln", False),
        ("eyJhbGciOiJub25lIn0.bm90IGpzb24.c2ln", False),
        ("eyJ.eyJ.x", False),
        ("", False),
    ],
)
def test_tokens_need_a_header_with_an_algorithm(token: str, *, valid: bool) -> None:
    assert VALIDATORS["jwt"](token.encode()) is valid


def test_a_key_needs_a_body_of_a_key_s_length() -> None:
    body = "".join(MAKER.pem("PRIVATE KEY").splitlines(keepends=True)[1:-1])
    assert VALIDATORS["pem"](f"\n{body}".encode())
    assert VALIDATORS["pem"](f"\n{body}".replace("\n", "\\n").encode())
    assert not VALIDATORS["pem"](b"\nAAAA\n")


@given(st.binary(max_size=200))
def test_no_input_makes_a_validator_raise(secret: bytes) -> None:
    for validator in VALIDATORS.values():
        validator(secret)


@pytest.mark.parametrize(
    ("data", "bits"), [(b"", 0), (b"aaaa", 0), (b"abab", 1), (b"abcd", 2), (bytes(range(256)), 8)]
)
def test_entropy(data: bytes, bits: float) -> None:
    assert shannon(data) == pytest.approx(bits)
