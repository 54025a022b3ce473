"""What a rebuild does when a step of it fails; its backend, its window and the image are stand-ins."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from bottlemux.errors import BottlemuxError
from bottlemux.lifecycle import rebuilding, running
from bottlemux.lifecycle.context import Context
from bottlemux.lifecycle.rebuilding import Rebuilding
from bottlemux.state.store import BottleStore

if TYPE_CHECKING:
    from pathlib import Path

    from sidecars.supervise.proposal import Proposal

    from .support import World


class Steps:
    """The steps a rebuild takes after the image is built; each that is in ``failing`` fails."""

    def __init__(self, *failing: str) -> None:
        self.failing = failing
        self.taken: list[str] = []

    def take(self, name: str, result: object = None) -> Any:
        def step(*_: object, **_options: object) -> object:
            self.taken.append(name)
            if name in self.failing:
                raise BottlemuxError(f"{name} failed")
            return result

        return step


@pytest.fixture
def proposal(world: World) -> Proposal:
    return world.propose("capability", packages=["jq"], dockerfile_lines=[])


def rebuild(
    world: World, proposal: Proposal, steps: Steps, monkeypatch: pytest.MonkeyPatch, cwd: Path
) -> tuple[str, list[str]]:
    backend = SimpleNamespace(build=lambda *_: "image", image_of=lambda _: "former")
    planned = SimpleNamespace(backend=backend, plan=None)
    record = SimpleNamespace(identity=proposal.slug)
    monkeypatch.setattr(rebuilding, "plan_resume", lambda *_: planned)
    monkeypatch.setattr(rebuilding, "remember", lambda _: None)
    monkeypatch.setattr(running, "running_bottle", lambda *_: None)
    for name, result in (("relaunch", (record, None)), ("show", ""), ("resume", "")):
        monkeypatch.setattr(running, name, steps.take(name, result))
    context = Context(world.paths, {}, cwd)
    monkeypatch.setattr(BottleStore, "load", lambda *_: record)
    said: list[str] = []
    return Rebuilding(context, said.append).rebuild(proposal), said


def test_one_that_does_not_start_comes_back_as_it_was(
    world: World, proposal: Proposal, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    steps = Steps("relaunch")
    with pytest.raises(BottlemuxError, match="relaunch failed"):
        rebuild(world, proposal, steps, monkeypatch, tmp_path)
    assert steps.taken == ["relaunch", "resume"]
    assert not world.paths.bottle(proposal.slug).dockerfile.exists()


def test_one_that_is_back_without_its_window_keeps_what_it_was_given(
    world: World, proposal: Proposal, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    steps = Steps("show")
    done, said = rebuild(world, proposal, steps, monkeypatch, tmp_path)
    assert (done, steps.taken) == ("", ["relaunch", "show"])
    assert "show failed" in said[-1]
    assert f"bottlemux resume {proposal.slug} opens it" in said[-1]
    assert "jq" in world.paths.bottle(proposal.slug).dockerfile.read_text()
