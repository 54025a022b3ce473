"""Why an engine elsewhere cannot be reached, in one line, with what to do."""

from __future__ import annotations

import re

from backends.docker.endpoint import described
from bottlemux.errors import UnavailableError

_REASONS = (
    (r"Host key verification failed|REMOTE HOST IDENTIFICATION", "ssh does not know its host key",
     "log in with ssh once, and compare the key that it shows"),
    (r"Permission denied \((.*)\)", "ssh was refused",
     "ssh-add the key that the machine accepts, or name it in ~/.ssh/config"),
    (r"Could not resolve hostname|no such host", "there is no machine of that name", "docker context inspect"),
    (r"Connection refused|connection refused", "nothing listens there", "start its engine or its ssh server"),
    (r"timed out|i/o timeout|No route to host|unreachable", "its machine does not answer", "is it on and reachable?"),
    (r"x509|certificate|tls:", "it and this machine do not trust each other's certificates",
     "docker context update, with the ca, cert and key that belong to it"),
    (r"context .*(not found|does not exist)", "there is no such context", "docker context ls"),
    (r"docker: (command )?not found|executable file not found", "it has no docker command", "install it there"),
    (r"permission denied while trying to connect", "your user there may not use the engine",
     "add it to the docker group there"),
    (r"Cannot connect to the Docker daemon|dial unix", "its machine answers, but no engine runs on it",
     "sudo systemctl start docker there"),
)  # fmt: skip


_SAID_BY_SSH = re.compile(r"stderr=(.*)", re.DOTALL)
_SHOWN = 300


def unreachable(endpoint: str, complaint: str) -> UnavailableError:
    """Return the error for what the client or ssh complained of."""
    for pattern, reason, hint in _REASONS:
        if re.search(pattern, complaint):
            return UnavailableError(f"the Docker engine {described(endpoint)}: {reason}", hint=hint)
    return UnavailableError(
        f"the Docker engine {described(endpoint)} does not answer: {_last_line(complaint)}",
        hint="docker context ls; docker --context NAME version",
    )


def _last_line(complaint: str) -> str:
    said = _SAID_BY_SSH.findall(complaint)
    lines = [line.strip() for line in (said[-1] if said else complaint).splitlines() if line.strip()]
    return lines[-1][:_SHOWN] if lines else "no reason given"
