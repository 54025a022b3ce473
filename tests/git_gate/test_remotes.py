"""The manifest's git entries: what is accepted, how it is read, and what is refused."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from sidecars.git_gate.remotes import GitRemote, check_identity, check_unique_names
from sidecars.git_gate.sshcmd import known_hosts_line, ssh_environment


def host_key(kind: str = "ssh-ed25519", inner: str = "") -> str:
    name = (inner or kind).encode()
    raw = len(name).to_bytes(4, "big") + name + (32).to_bytes(4, "big") + bytes(32)
    return f"{kind} {base64.b64encode(raw).decode()}"


def remote(**changes: Any) -> GitRemote:
    values: dict[str, Any] = {
        "name": "origin",
        "upstream": "ssh://git@example.com:22/org/repo.git",
        "identity_file": "/keys/id",
        "known_host_key": host_key(),
    }
    return GitRemote.model_validate({**values, **changes})


@pytest.mark.parametrize(
    ("upstream", "expected"),
    [
        pytest.param(
            "ssh://git@example.com:2222/o/r.git", ("git", "example.com", 2222, "/o/r.git"), id="ssh-port"
        ),
        pytest.param("ssh://git@example.com/o/r", ("git", "example.com", 22, "/o/r"), id="ssh-default-port"),
        pytest.param("git@example.com:o/r.git", ("git", "example.com", 22, "o/r.git"), id="scp"),
        pytest.param(
            "git@example.com:/srv/r.git", ("git", "example.com", 22, "/srv/r.git"), id="scp-absolute"
        ),
        pytest.param("ssh://git@[::1]:22/r.git", ("git", "[::1]", 22, "/r.git"), id="ipv6"),
        pytest.param("ssh://a.b@h/~/r", ("a.b", "h", 22, "/~/r"), id="home"),
    ],
)
def test_upstream_is_parsed(upstream: str, expected: tuple[str, str, int, str]) -> None:
    made = remote(upstream=upstream)
    assert (made.user, made.host, made.port, made.path) == expected


@pytest.mark.parametrize(
    "upstream",
    [
        "", "-oProxyCommand=x", "ssh://-oProxyCommand=x/r", "ssh://git@-oProxyCommand=x/r", "git@-h:r",
        "-git@h:r", "ssh://-g@h/r", "git@h:-r", "ssh://git@h/a/-r", "ssh://git@h:0/r", "ssh://git@h:65536/r",
        "ssh://git@h:22;id/r", "ssh://h/r", "https://h/r", "ext::sh -c id", "file:///r", "/srv/r", "git@h:",
        "ssh://git@h", "ssh://git@h/", "ssh://git@h/a/../b", "ssh://git@h/a//b", "ssh://git@h/./a", "git@h:r;id",
        "git@h:$(id)",
        "git@h:`id`",
        "git@h:a b", "git@h:a\nb",
        "git@h:a\n", "git@h:a\x00b", "git@h:a'b", 'git@h:a"b', "git@h:%h",
        "git@h:a|b", "git@h:a\\b",
        "ssh://git:pw@h/r", "ssh://git@h/r?x", "ssh://git@h/r#x", "ssh://git@h:٢٢/r",
    ],
)  # fmt: skip
def test_hostile_upstream_is_refused(upstream: str) -> None:
    with pytest.raises(ValidationError):
        remote(upstream=upstream)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"name": "../x"}, id="name-traversal"),
        pytest.param({"name": "-x"}, id="name-dash"),
        pytest.param({"name": "Origin"}, id="name-case"),
        pytest.param({"name": "a..b"}, id="name-dots"),
        pytest.param({"name": "a\n"}, id="name-newline"),
        pytest.param({"name": "a.lock"}, id="name-lock"),
        pytest.param({"name": ""}, id="name-empty"),
        pytest.param({"identity_file": "keys/id"}, id="identity-relative"),
        pytest.param({"identity_file": "/keys/%h"}, id="identity-percent"),
        pytest.param({"identity_file": "/keys/a\nb"}, id="identity-newline"),
        pytest.param({"known_host_key": "ssh-ed25519 AAAA"}, id="key-short"),
        pytest.param({"known_host_key": host_key("ssh-ed25519", "ssh-rsa")}, id="key-other-type"),
        pytest.param({"known_host_key": "example.com " + host_key()}, id="key-with-host"),
        pytest.param({"known_host_key": "ssh-dss AAAA"}, id="key-old-type"),
        pytest.param({"known_host_key": "ssh-ed25519 !!!!"}, id="key-not-base64"),
        pytest.param({"known_host_key": ""}, id="key-empty"),
        pytest.param({"branches": ["refs/heads/x"]}, id="branch-full-name"),
        pytest.param({"branches": ["-x"]}, id="branch-dash"),
        pytest.param({"branches": ["a b"]}, id="branch-space"),
        pytest.param({"branch": ["x"]}, id="unknown-key"),
    ],
)
def test_bad_entries_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        remote(**changes)


def test_home_is_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    assert remote(identity_file="~/.ssh/id").identity_file == Path("/home/someone/.ssh/id")


def test_every_spelling_of_the_default_port() -> None:
    stems = [
        "ssh://git@example.com:22/org/repo", "ssh://git@example.com/org/repo", "git@example.com:org/repo",
        "git@example.com:/org/repo", "https://example.com/org/repo", "git://example.com/org/repo",
    ]  # fmt: skip
    assert set(remote().instead_of()) == {stem + suffix for stem in stems for suffix in ("", ".git")}


def test_another_port_is_another_server() -> None:
    spellings = remote(upstream="ssh://git@example.com:2222/org/repo").instead_of()
    assert "ssh://git@example.com:2222/org/repo.git" in spellings
    assert not any(each.startswith(("git@", "ssh://git@example.com/")) for each in spellings)


@pytest.mark.parametrize(
    ("branches", "branch", "allowed"),
    [
        (("*",), "any/thing", True),
        (("bottlemux/*",), "bottlemux/a/b", True),
        (("bottlemux/*",), "bottlemux", False),
        (("bottlemux/*",), "Bottlemux/a", False),
        (("bottlemux/*",), "xbottlemux/a", False),
        (("main", "fix-?"), "fix-1", True),
        ((), "main", False),
    ],
)
def test_branch_patterns(branches: tuple[str, ...], branch: str, allowed: bool) -> None:
    assert remote(branches=branches).may_push_branch(branch) is allowed


def test_names_are_unique() -> None:
    check_unique_names((remote(), remote(name="other")))
    with pytest.raises(ValueError, match="origin"):
        check_unique_names((remote(), remote()))


@pytest.mark.parametrize(("mode", "fine"), [(0o600, True), (0o400, True), (0o640, False), (0o604, False)])
def test_identity_permissions(tmp_path: Path, mode: int, fine: bool) -> None:
    key = tmp_path / "id"
    key.write_text("k")
    key.chmod(mode)
    if fine:
        check_identity(key)
        return
    with pytest.raises(ValueError, match="chmod 600"):
        check_identity(key)


def test_identity_must_be_a_file(tmp_path: Path) -> None:
    for path in (tmp_path / "absent", tmp_path):
        with pytest.raises(ValueError, match="identity file"):
            check_identity(path)


def test_ssh_is_pinned_and_alone() -> None:
    environ = ssh_environment(remote(), Path("/c/o 100%.known"), connect_s=7)
    command = environ["GIT_SSH_COMMAND"]
    for part in ("-F /dev/null", "StrictHostKeyChecking=yes", "IdentitiesOnly=yes", "IdentityAgent=none",
                 "GlobalKnownHostsFile=/dev/null", "ForwardAgent=no", "BatchMode=yes", "ConnectTimeout=7"):  # fmt: skip
        assert part in command
    assert """'UserKnownHostsFile="/c/o 100%%.known"'""" in command


@pytest.mark.parametrize(
    ("upstream", "name"),
    [("git@Example.com:r", "example.com"), ("ssh://g@h:23/r", "[h]:23"), ("ssh://g@[::1]/r", "::1")],
)
def test_known_hosts_name(upstream: str, name: str) -> None:
    assert known_hosts_line(remote(upstream=upstream)) == f"{name} {host_key()}\n"
