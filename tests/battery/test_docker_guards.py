"""The same for what only a container has: each guard is taken away once and the case that relies on it seen to fail."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from backends.attack import attack
from backends.docker import containers, seccomp, walls
from bottlemux.errors import BottlemuxError
from tests.backends.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .conftest import Outside

pytestmark = [
    pytest.mark.docker,
    pytest.mark.skipif(os.getuid() != 0, reason="an ordinary operator builds no walls"),
]


@pytest.fixture(scope="module")
def open_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("open"), "docker")
    yield made
    made.close()


def no_filter(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(seccomp, "cached_profile", lambda _cache: "unconfined")


def default_route(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(walls, "_close_routes", lambda: None)


def lenient_mounts(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(walls, "_NO_SET_USER_ID", 0)


def writable_mounts(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(walls, "_READ_ONLY", 0)
    patch.setattr(containers, "_HARDENING", {**containers._HARDENING, "read_only": False})


def unmasked(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(containers, "_MASKED", ())


def capabilities(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(containers, "_HARDENING", {**containers._HARDENING, "cap_drop": []})


def root_inside(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(containers, "_numeric", lambda _owner: "0:0")


def unbounded_files(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(containers, "_scratch_size", lambda _plan: "")


GUARDS: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], dict[str, str]]] = {
    "no system call filter": (
        no_filter, dict.fromkeys(("network.families", "kernel.keyctl", "privileges.set-user-id-files"), "broken"),
    ),
    # It leads to a gateway that is not there, which the case tells from one that is.
    "a default route": (default_route, {"network.routes": "skipped"}),
    "mounts that honour set-user-id bits": (lenient_mounts, {"files.mounts": "skipped"}),
    "writable mounts": (writable_mounts, {"files.mounts": "skipped"}),
    "the machine's proc and sys": (unmasked, {"files.host": "broken"}),
    "capabilities": (capabilities, {"privileges.processes": "broken"}),
    "root inside": (root_inside, {"privileges.user": "broken"}),
    "temporary files without bound": (unbounded_files, {"files.temporary-files": "broken"}),
}  # fmt: skip


@pytest.mark.parametrize("guard", GUARDS)
def test_its_case_fails_without_it(
    open_world: World, outside: Outside, monkeypatch: pytest.MonkeyPatch, guard: str
) -> None:
    apply, expected = GUARDS[guard]
    apply(monkeypatch)
    with open_world.launch(workspace="copy") as bottle:
        found = {one.id: one.outcome for one in attack(bottle, targets=outside.targets, only=list(expected))}
    assert found == expected


def test_process_1_can_be_ended_without_the_filter(
    open_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a signal whose sender the kernel had no room to note; the bottle ends with it, and so does the attack."""
    no_filter(monkeypatch)
    with open_world.launch(workspace="copy") as bottle, pytest.raises(BottlemuxError):
        attack(bottle, only=["processes.kill-everything"])


def test_files_stay_the_operators(open_world: World) -> None:
    """Without the exchange of owners the agent could not write at all; with it the disk shows the operator's own."""
    project = open_world.project("-owned")
    (project / "mine").write_text("x")
    with open_world.launch(directory=project) as bottle:
        assert (
            bottle.exec("echo y > made && echo z >> mine && stat -c %u:%g made mine").stdout
            == "1000:1000\n" * 2
        )
    assert {(path.stat().st_uid, path.stat().st_gid) for path in (project / "made", project / "mine")} == {
        (0, 0)
    }


def test_nor_of_another_owner_than_root(open_world: World) -> None:
    project = open_world.project("-others")
    os.chown(project, 4321, 4321)
    with open_world.launch(directory=project) as bottle:
        assert bottle.exec("touch made").returncode == 0
    assert (project / "made").stat().st_uid == 4321


def test_a_plan_without_walls_has_the_engines_mounts(open_world: World) -> None:
    plan = open_world.plan()
    assert plan.trees  # type: ignore[attr-defined]
    assert not replace(plan, is_walled=False).trees  # type: ignore[call-arg, attr-defined]
