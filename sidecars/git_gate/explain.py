"""What git and ssh say about upstream, turned into lines that are safe and useful for the agent.

Their messages name the identity file and other files of the host, so only what upstream itself said is passed
on.
"""

from __future__ import annotations

from sidecars.git_gate.refusal import Refused, printable

_REMOTE = b"remote:"
_KNOWN = (
    (b"Host key verification failed", "upstream's host key is not the pinned one", "check known_host_key"),
    (b"Permission denied (publickey", "upstream does not accept the gate's key", "check identity_file"),
    (b"Connection refused", "upstream refused the connection", "is it running?"),
    (b"timed out", "upstream did not answer in time", "try again later"),
    (b"Could not resolve", "upstream's host name cannot be resolved", "check the upstream URL"),
    (b"No route to host", "upstream cannot be reached", "try again later"),
    (b"Network is unreachable", "upstream cannot be reached", "try again later"),
    (b"does not appear to be a git repository", "upstream has no such repository", "check the upstream URL"),
    (b"Repository not found", "upstream has no such repository", "check the upstream URL"),
)


def upstream_lines(stderr: bytes) -> list[str]:
    """Return what upstream said, without git's prefix."""
    lines = stderr.replace(b"\r", b"\n").split(b"\n")
    said = (line.removeprefix(_REMOTE).removeprefix(b" ") for line in lines if line.startswith(_REMOTE))
    return [text for line in said if (text := printable(line).rstrip())]


def upstream_failure(stderr: bytes, *, doing: str) -> Refused:
    """Return the refusal for a failed ``doing`` (such as "fetching"), with the cause where it is known."""
    for needle, cause, advice in _KNOWN:
        if needle.lower() in stderr.lower():
            return Refused("upstream", f"{doing} failed: {cause}", hint=f"the operator can {_mend(advice)}")
    said = upstream_lines(stderr)
    return Refused("upstream", f"{doing} failed: {said[-1] if said else 'upstream did not complete it'}")


def _mend(advice: str) -> str:
    return f"see whether it is up: {advice}" if advice.endswith(("?", "later")) else f"mend it: {advice}"
