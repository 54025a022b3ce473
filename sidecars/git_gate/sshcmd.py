"""The ssh that reaches upstream: one key, one pinned host key, no configuration of the user's, no agent."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from sidecars.git_gate.remotes import GitRemote


def known_hosts_line(remote: GitRemote) -> str:
    """Return the only entry of the remote's known hosts file."""
    return f"{remote.target.known_hosts_name} {remote.known_host_key}\n"


def ssh_environment(remote: GitRemote, known_hosts: Path, *, connect_s: int) -> dict[str, str]:
    """Return what makes git use this ssh; ``connect_s`` bounds the connection's set-up in seconds."""
    return {
        "GIT_SSH_COMMAND": shlex.join(_command(remote, known_hosts, connect_s)),
        "GIT_SSH_VARIANT": "ssh",
    }


def _command(remote: GitRemote, known_hosts: Path, connect_s: int) -> list[str]:
    options = {
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": '"' + str(known_hosts).replace("%", "%%") + '"',
        "GlobalKnownHostsFile": "/dev/null",
        "UpdateHostKeys": "no",
        "VerifyHostKeyDNS": "no",
        "CheckHostIP": "no",
        "BatchMode": "yes",
        "PreferredAuthentications": "publickey",
        "ForwardAgent": "no",
        "ForwardX11": "no",
        "ClearAllForwardings": "yes",
        "PermitLocalCommand": "no",
        "ControlMaster": "no",
        "ControlPath": "none",
        "ConnectTimeout": str(connect_s),
        "ServerAliveInterval": "15",
        "ServerAliveCountMax": "3",
        "LogLevel": "ERROR",
    }
    flags = [flag for name, value in options.items() for flag in ("-o", f"{name}={value}")]
    return ["ssh", "-F", "/dev/null", *flags, "-i", str(remote.identity_file), "-p", str(remote.port)]
