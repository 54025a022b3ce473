from __future__ import annotations

import base64

import pytest

from sidecars.pipelock.labels import suspicious_label
from tests.scan.corpus import Maker

MAKER = Maker(5)
NAMES = [
    "www", "api", "eu-west-1", "my-bucket-name", "team-a.staging", "registry-1", "objects", "d111111abcdef8",
    "service-7xk2j4hq3a-uc.a", "feature-login-page-git-main-team", "pr-1234", "xn--bcher-kva", "a.b.c.d",
    "internationalization", "cdn-assets-production", MAKER.uuid(), "release-2026-03-01", "",
]  # fmt: skip
DATA = {
    "hex": MAKER.raw(20).hex(),
    "base32": base64.b32encode(MAKER.raw(25)).decode().lower(),
    "base64-like": "dG9rLVB0WWdqbVVoQmVsMzFpRXJMMXNw",
    "long": "this-is-a-very-long-label-made-of-plain-words-only-yes-so",
    "many": "a.b.c.d.e.f.g",
    "much": ".".join(["plainwordsinlabels"] * 6),
    "behind-a-name": "www." + MAKER.raw(16).hex(),
    "before-a-name": MAKER.raw(16).hex() + ".www",
}


@pytest.mark.parametrize("name", NAMES)
def test_names_of_services_pass(name: str) -> None:
    assert not suspicious_label(f"{name}.example.com", "*.example.com")


@pytest.mark.parametrize("name", DATA.values(), ids=DATA.keys())
def test_data_in_labels_is_suspicious(name: str) -> None:
    assert suspicious_label(f"{name}.example.com", "*.example.com")
    assert suspicious_label(f"{name.upper()}.EXAMPLE.com.", "*.example.com")


def test_the_zone_itself_is_not_judged() -> None:
    zone = MAKER.raw(16).hex() + ".example.com"
    assert not suspicious_label(f"www.{zone}", f"*.{zone}")
