"""Each guard is taken away once and the case that relies on it seen to fail: one that cannot fail proves nothing."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from backends.attack import attack
from backends.bubblewrap import places, sandbox, seccomp
from backends.bubblewrap.sandbox import Mount
from backends.environment import bottle_environ

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from backends.bubblewrap.plan import BubblewrapPlan
    from tests.backends.world import World

    from .conftest import Outside

pytestmark = pytest.mark.bwrap
as_root = pytest.mark.skipif(os.getuid() != 0, reason="only where root is the operator")


@dataclass
class Weakening:
    """What a test may change before the bottle is made."""

    monkeypatch: pytest.MonkeyPatch
    outside: Outside
    world: World

    def options(self, change: Callable[[list[str]], list[str]]) -> None:
        original = sandbox.arguments
        self.monkeypatch.setattr(sandbox, "arguments", lambda view: change(original(view)))

    def filters(self) -> None:
        self.monkeypatch.setattr(seccomp, "cached_filters", lambda _cache: seccomp.filters())

    def setting(self, name: str, value: object) -> None:
        self.monkeypatch.setattr(seccomp, name, value)
        self.filters()


def without(*words: str) -> Callable[[list[str]], list[str]]:
    def change(options: list[str]) -> list[str]:
        for index in range(len(options) - len(words) + 1):
            if tuple(options[index : index + len(words)]) == words:
                return options[:index] + options[index + len(words) :]
        raise AssertionError(f"{words} is no option")

    return change


def instead(old: Sequence[str], new: Sequence[str]) -> Callable[[list[str]], list[str]]:
    def change(options: list[str]) -> list[str]:
        for index in range(len(options)):
            if options[index : index + len(old)] == list(old):
                return options[:index] + list(new) + options[index + len(old) :]
        raise AssertionError(f"{old} is no option")

    return change


def also(*words: str, before: str = "--remount-ro") -> Callable[[list[str]], list[str]]:
    def change(options: list[str]) -> list[str]:
        index = options.index(before)
        return options[:index] + list(words) + options[index:]

    return change


def no_filter(weakening: Weakening) -> None:
    weakening.options(
        lambda options: without("--add-seccomp-fd", "13")(without("--add-seccomp-fd", "14")(options))
    )


def allow_calls(*names: str) -> Callable[[Weakening], None]:
    def apply(weakening: Weakening) -> None:
        left = tuple(name for name in seccomp.REFUSED_CALLS if name not in names)
        assert len(left) == len(seccomp.REFUSED_CALLS) - len(names)
        weakening.setting("REFUSED_CALLS", left)
        weakening.options(without("--disable-userns"))

    return apply


def allow_namespaces(weakening: Weakening) -> None:
    weakening.setting("NEW_NAMESPACE_FLAGS", ())
    weakening.options(without("--disable-userns"))


def hidden_arguments(weakening: Weakening) -> None:
    weakening.setting("HIDDEN_ARGUMENTS", frozenset())


def share_network(weakening: Weakening) -> None:
    weakening.options(without("--unshare-net"))


def all_capabilities(weakening: Weakening) -> None:
    weakening.options(instead(["--cap-drop", "ALL"], ["--cap-add", "ALL"]))


def root_inside(weakening: Weakening) -> None:
    weakening.options(without("--uid", "1000", "--gid", "1000"))


def hosts_proc(weakening: Weakening) -> None:
    weakening.options(instead(["--proc", "/proc"], ["--ro-bind", "/proc", "/proc"]))


def hosts_devices(weakening: Weakening) -> None:
    def change(options: list[str]) -> list[str]:
        options = instead(["--dev", "/dev"], ["--dev-bind", "/dev", "/dev"])(options)
        return without("--remount-ro", "/dev")(options)

    weakening.options(change)


def writable_proc(weakening: Weakening) -> None:
    weakening.options(without("--remount-ro", "/proc"))


def writable_root(weakening: Weakening) -> None:
    weakening.options(without("--remount-ro", "/"))


def writable_guest(weakening: Weakening) -> None:
    def change(options: list[str]) -> list[str]:
        index = options.index("/run/bottlemux")
        return [*options[: index - 2], "--bind", *options[index - 1 :]]

    weakening.options(change)


def more_of_the_host(weakening: Weakening) -> None:
    place = str(weakening.outside.directory)
    weakening.options(also("--ro-bind", place, place))


def unbounded_files(weakening: Weakening) -> None:
    original = sandbox.arguments
    weakening.monkeypatch.setattr(
        sandbox, "arguments", lambda view: original(replace(view, scratch_memory=None))
    )


def secret_variable(weakening: Weakening) -> None:
    secret = weakening.outside.targets.secret
    weakening.monkeypatch.setattr(
        "backends.bubblewrap.plan.bottle_environ", lambda spec: {**bottle_environ(spec), "TOKEN": secret}
    )


def hosts_variables(weakening: Weakening) -> None:
    weakening.options(also("--setenv", "SSH_AUTH_SOCK", "/tmp/agent"))


def attachable_init(weakening: Weakening) -> None:
    source = places._OWN_CODE[0]
    places.own_code.cache_clear()
    text = source.read_text()
    changed = text.replace(".prctl(_PR_SET_DUMPABLE, 0,", ".prctl(_PR_SET_DUMPABLE, 1,")
    assert changed != text
    copy = weakening.world.root / source.name
    copy.write_text(changed)
    weakening.monkeypatch.setattr(places, "_OWN_CODE", (copy, *places._OWN_CODE[1:]))
    weakening.monkeypatch.setattr(places, "own_code", places.own_code.__wrapped__)


def route_to_the_host(weakening: Weakening) -> None:
    weakening.world.write_bottle(
        "dev",
        "egress: {routes: [{host: 127.0.0.1, port: "
        f"{weakening.outside.targets.port}, allow_private: true}}]}}",
    )


GUARDS: dict[str, tuple[Callable[[Weakening], None], tuple[str, ...]]] = {
    "no system call filter": (
        no_filter,
        ("network.families", "terminal.TIOCSETD", "kernel.keyctl", "privileges.processes",
         "privileges.set-user-id-files", "kernel.pidfd_getfd"),
    ),
    "keyctl let through": (allow_calls("keyctl"), ("kernel.keyctl",)),
    "add_key let through": (allow_calls("add_key"), ("kernel.add_key",)),
    "request_key let through": (allow_calls("request_key"), ("kernel.request_key",)),
    "userfaultfd let through": (allow_calls("userfaultfd"), ("kernel.userfaultfd",)),
    "name_to_handle_at let through": (allow_calls("name_to_handle_at"), ("kernel.name_to_handle_at",)),
    "pidfd_getfd let through": (allow_calls("pidfd_getfd"), ("kernel.pidfd_getfd",)),
    "modify_ldt let through": (allow_calls("modify_ldt"), ("kernel.modify_ldt",)),
    "unshare let through": (allow_calls("unshare"), ("kernel.unshare",)),
    "setns let through": (allow_calls("setns"), ("kernel.setns",)),
    "clone with namespaces let through": (allow_namespaces, ("kernel.clone",)),
    "calls with hidden arguments let through": (hidden_arguments, ("kernel.openat2",)),
    "no terminal requests refused": (lambda it: it.setting("TERMINAL_INJECTION", ()), ("terminal.TIOCSETD",)),
    "set-user-id modes let through": (
        lambda it: it.setting("MODE_ARGUMENTS", {}), ("privileges.set-user-id-files",),
    ),
    "set-user-id modes let through at open": (
        lambda it: it.setting("OPEN_ARGUMENTS", {}), ("privileges.set-user-id-files",),
    ),
    "another family let through": (
        lambda it: it.setting("ALLOWED_FAMILIES", seccomp.ALLOWED_FAMILIES | {38, 40, 17}), ("network.families",),
    ),
    "the host's network": (share_network, ("network.loopback", "network.abstract")),
    "all capabilities": (all_capabilities, ("privileges.processes", "privileges.exec")),
    "root inside": (root_inside, ("privileges.user",)),
    "the host's proc": (hosts_proc, ("processes.list",)),
    "the host's devices": (hosts_devices, ("files.devices",)),
    "a writable root": (writable_root, ("files.mounts",)),
    "writable files of bottlemux": (writable_guest, ("files.system",)),
    "a directory of the host": (more_of_the_host, ("files.host", "files.ways-round", "network.sockets")),
    "temporary files without bound": (unbounded_files, ("files.temporary-files",)),
    "a secret in the environment": (secret_variable, ("processes.environment",)),
    "a variable of the host's session": (hosts_variables, ("processes.environment",)),
    "a process 1 that can be attached to": (attachable_init, ("processes.proc-1",)),
    "a route to the host": (route_to_the_host, ("network.proxy",)),
}  # fmt: skip


@pytest.fixture
def weakening(monkeypatch: pytest.MonkeyPatch, outside: Outside, weakened: World) -> Iterator[Weakening]:
    weakened.bottles = []
    weakened.write_bottle("dev", "")
    yield Weakening(monkeypatch, outside, weakened)
    weakened.close()


def outcomes(weakening: Weakening, cases: Sequence[str]) -> dict[str, str]:
    with weakening.world.launch(workspace="copy") as bottle:
        return {one.id: one.outcome for one in attack(bottle, targets=weakening.outside.targets, only=cases)}


@pytest.mark.parametrize("guard", GUARDS)
def test_its_case_fails_without_it(weakening: Weakening, guard: str) -> None:
    apply, cases = GUARDS[guard]
    apply(weakening)
    assert outcomes(weakening, cases) == dict.fromkeys(cases, "broken")


@as_root
def test_kernel_settings_are_writable_to_root_without_the_guard(weakening: Weakening) -> None:
    writable_proc(weakening)
    assert outcomes(weakening, ["files.kernel-settings"]) == {"files.kernel-settings": "broken"}


def test_protected_files_are_not_without_their_mounts(
    weakening: Weakening, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = weakening.world
    project = world.project("-open", repository=True)
    plan: BubblewrapPlan = world.plan(directory=project)  # type: ignore[assignment]
    open_mounts = tuple(
        Mount(one.source, one.target, writable=True) if one.target == "/workspace/.git/config" else one
        for one in plan.sandbox.mounts
    )
    with world.launch(replace(plan, sandbox=replace(plan.sandbox, mounts=open_mounts))) as bottle:
        assert bottle.exec("echo evil >> .git/config").returncode == 0
