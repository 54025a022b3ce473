"""Which backends there are: ours, and those that other distributions register."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

import backends
from backends import registry
from bottlemux.errors import BottlemuxError, UnavailableError
from bottlemux.paths import Paths

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MODULE = """
from bottlemux.errors import BottlemuxError
from backends.contract import ActiveAgent, Availability

class Other:
    name = "other"
    def __init__(self, paths, engine=""):
        self.engine = engine
    def is_available(self):
        return Availability(available={available}, reason="out of order")
    def enumerate_active(self):
        {enumerate}

create = Other
"""
ONE = 'return [ActiveAgent("other", "dev-00001", "dev", "2026-01-01T00:00:00Z", ("egress",))]'


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    registry._load.cache_clear()
    yield
    for name in ("other_module", "bubblewrap_module"):
        sys.modules.pop(name, None)
    registry._load.cache_clear()


def distribution(
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    name: str = "other",
    available: bool = True,
    enumerate_: str = ONE,
) -> None:
    info = place / f"{name}_dist-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-dist\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[bottlemux.backends]\n{name} = {name}_module:create\n")
    (place / f"{name}_module.py").write_text(MODULE.format(available=available, enumerate=enumerate_))
    monkeypatch.syspath_prepend(place)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path / "config", tmp_path / "state", tmp_path / "run")


def test_ours_comes_first(paths: Paths) -> None:
    assert backends.known_backend_names()[0] == "bubblewrap"
    assert registry.get_bottle_backend("bubblewrap", paths=paths).name == "bubblewrap"


def test_an_unknown_name_lists_the_known(paths: Paths) -> None:
    assert not backends.has_backend("nope")
    with pytest.raises(BottlemuxError, match=r"no backend 'nope' \(known: .*bubblewrap"):
        registry.get_bottle_backend("nope", paths=paths)


def test_another_distribution_adds_one(tmp_path: Path, paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    distribution(tmp_path / "site", monkeypatch)
    assert backends.known_backend_names()[-1] == "other"
    assert backends.has_backend("other@engine")
    assert registry.get_bottle_backend("other", paths=paths).name == "other"
    assert registry.get_bottle_backend("other@there", paths=paths).engine == "there"  # type: ignore[attr-defined]
    assert [one.slug for one in registry.enumerate_active_agents(paths=paths)] == ["dev-00001"]


def test_one_that_is_installed_later_is_found(
    tmp_path: Path, paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "site"
    place.mkdir()
    monkeypatch.syspath_prepend(place)
    assert not backends.has_backend("other")
    distribution(place, monkeypatch)
    assert backends.has_backend("other")


def test_none_takes_the_place_of_ours(tmp_path: Path, paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    distribution(tmp_path / "site", monkeypatch, name="bubblewrap")
    assert (
        type(registry.get_bottle_backend("bubblewrap", paths=paths)).__module__
        == "backends.bubblewrap.backend"
    )


@pytest.mark.parametrize(
    "failure", ['raise BottlemuxError("engine gone")', 'raise OSError("no socket")', "import no_such_module"]
)
def test_one_that_fails_stops_no_listing(
    tmp_path: Path, paths: Paths, monkeypatch: pytest.MonkeyPatch, failure: str
) -> None:
    distribution(tmp_path / "site", monkeypatch, enumerate_=failure)
    failures: list[str] = []
    assert list(registry.enumerate_active_agents(paths=paths, failures=failures)) == []
    assert len(failures) == 1
    assert failures[0].startswith("other: ")


def test_the_first_available_is_taken(tmp_path: Path, paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    distribution(tmp_path / "site", monkeypatch)
    monkeypatch.setattr(registry, "_OWN", {})
    assert registry.get_bottle_backend(paths=paths).name == "other"


def test_none_available_says_why(tmp_path: Path, paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    distribution(tmp_path / "site", monkeypatch, available=False)
    monkeypatch.setattr(registry, "_OWN", {})
    with pytest.raises(UnavailableError, match="other: out of order"):
        registry.get_bottle_backend(paths=paths)
