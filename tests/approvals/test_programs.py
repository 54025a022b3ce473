"""Approving programs: everything but the building itself, which is another's."""

from __future__ import annotations

import shutil
import subprocess
import threading
from typing import TYPE_CHECKING

import pytest

from bottlemux.approvals.deciding import approve, settle
from bottlemux.approvals.dockerfile import instructions, render
from bottlemux.approvals.finding import granted, store_of
from bottlemux.approvals.showing import details
from bottlemux.errors import BottlemuxError, UnavailableError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from sidecars.supervise.proposal import Proposal

    from .support import World

LINE = "RUN echo more > /opt/more"


class Builder:
    """Notes what it is asked for."""

    def __init__(self, problem: str = "", unready: str = "") -> None:
        self.built: list[str] = []
        self.problem, self.unready = problem, unready

    def check(self, proposal: Proposal) -> None:
        if self.unready:
            raise UnavailableError(self.unready)

    def rebuild(self, proposal: Proposal) -> str:
        self.built.append(proposal.id)
        if self.problem:
            raise BottlemuxError(self.problem)
        return "rebuilt"


def wish(world: World, **request: object) -> Proposal:
    return world.propose("capability", packages=["jq"], dockerfile_lines=[LINE], **request)


def test_it_is_built_and_in_force(world: World) -> None:
    proposal, builder = wish(world), Builder()
    shown = "\n".join(details(world.paths, proposal))
    assert f"+{LINE}" in shown
    assert "apt-get install -y --no-install-recommends -o APT::Cmd::Pattern-Only=true jq " in shown
    done = approve(world.paths, proposal.id, rebuilder=builder)
    assert (done.state, done.note, builder.built) == ("active", "rebuilt", [proposal.id])
    assert [each.id for each in granted(world.paths, world.slug, "capability")] == [proposal.id]
    with pytest.raises(BottlemuxError, match="decided before: active"):
        approve(world.paths, proposal.id, rebuilder=builder)
    assert builder.built == [proposal.id]


@pytest.mark.skipif(shutil.which("apt-get") is None, reason="no apt here")
@pytest.mark.parametrize(
    ("name", "is_one"), [("coreutils", True), ("co.eutils", False), ("coreutil.+", False)]
)
def test_a_package_is_the_one_of_that_name(name: str, is_one: bool) -> None:
    (line,) = instructions({"packages": [name]})
    argv = line.partition("noninteractive ")[2].partition(" && ")[0].split()
    assert argv[:2] == ["apt-get", "install"]
    done = subprocess.run([*argv, "--simulate"], capture_output=True, text=True)
    assert (done.returncode == 0) == is_one, done.stdout + done.stderr


def test_a_failure_is_told_to_both(world: World) -> None:
    proposal = wish(world)
    with pytest.raises(BottlemuxError, match="E: Unable to locate"):
        approve(world.paths, proposal.id, rebuilder=Builder("E: Unable to locate\x1b[2J"))
    failed = store_of(world.paths, world.slug).load(proposal.id)
    assert failed.state == "failed"
    assert "E: Unable to locate" in failed.note
    assert "\x1b" not in failed.note


@pytest.mark.parametrize(
    "builder", [None, Builder(unready="no engine")], ids=["without a builder", "not now"]
)
def test_what_cannot_be_built_here_is_not_decided(world: World, builder: Builder | None) -> None:
    proposal = wish(world)
    with pytest.raises(UnavailableError):
        approve(world.paths, proposal.id, rebuilder=builder)
    assert world.state(proposal) == "pending"


def interrupted(world: World) -> Proposal:
    """Approve, and be killed before anything is built."""

    class Killed(BaseException):
        pass

    class Dying(Builder):
        def rebuild(self, proposal: Proposal) -> str:
            raise Killed

    proposal = wish(world)
    with pytest.raises(Killed):
        approve(world.paths, proposal.id, rebuilder=Dying())
    assert world.state(proposal) == "approved"
    return proposal


def test_interrupted_it_is_finished_once_it_can_be(world: World) -> None:
    proposal = interrupted(world)
    assert settle(world.paths) == []
    with pytest.raises(UnavailableError, match="no engine"):
        settle(world.paths, Builder(unready="no engine"))
    assert world.state(proposal) == "approved"
    builder = Builder()
    assert [each.id for each in settle(world.paths, builder)] == [proposal.id]
    assert settle(world.paths, builder) == []
    assert builder.built == [proposal.id]


def test_others_decide_and_look_while_it_is_built(world: World) -> None:
    began, go_on = threading.Event(), threading.Event()

    class Slow(Builder):
        def rebuild(self, proposal: Proposal) -> str:
            began.set()
            assert go_on.wait(20)
            return super().rebuild(proposal)

    proposal, builder, other = wish(world), Slow(), world.propose()
    building = threading.Thread(
        target=approve, args=(world.paths, proposal.id), kwargs={"rebuilder": builder}
    )
    building.start()
    try:
        assert began.wait(20)
        assert settle(world.paths, Builder()) == []
        assert approve(world.paths, other.id).state == "active"
        with pytest.raises(BottlemuxError, match="decided before: approved"):
            approve(world.paths, proposal.id, rebuilder=builder)
    finally:
        go_on.set()
        building.join()
    assert (world.state(proposal), builder.built) == ("active", [proposal.id])


def test_for_good_needs_an_image_directory(world: World) -> None:
    proposal = wish(world)
    with pytest.raises(UsageError, match="names no image directory of yours"):
        approve(world.paths, proposal.id, persist=True, rebuilder=Builder())
    assert world.state(proposal) == "pending"


def test_for_good_the_users_dockerfile_gets_the_lines(world: World, tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.mkdir()
    (image / "Dockerfile").write_text("FROM debian  # mine\nUSER node\nCMD bash")
    world.manifest(f"image: {image}\n")
    proposal = wish(world)
    approve(world.paths, proposal.id, persist=True, rebuilder=Builder())
    lines = (image / "Dockerfile").read_text().splitlines()
    assert lines == [
        "FROM debian  # mine", "USER node", "CMD bash", "", "USER root", *instructions(proposal.request), "USER node",
    ]  # fmt: skip
    again = world.propose("capability", "another reason", packages=[], dockerfile_lines=[LINE])
    approve(world.paths, again.id, persist=True, rebuilder=Builder())
    assert (image / "Dockerfile").read_text().splitlines() == lines


def test_the_dockerfile_is_the_same_for_the_same() -> None:
    assert render([]) == render([])
    assert "USER root" in render([])
