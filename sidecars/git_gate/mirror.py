"""The bare repository that stands in for one upstream. Its refs are upstream's, and never anything else."""

from __future__ import annotations

import asyncio
import re
import shutil
import time
from typing import TYPE_CHECKING

from sidecars.git_gate.explain import upstream_failure
from sidecars.git_gate.gitcmd import Git, base_settings
from sidecars.git_gate.refusal import Refused
from sidecars.git_gate.sshcmd import known_hosts_line, ssh_environment
from sidecars.supervise.grants import with_granted_branches
from sidecars.supervise.store import ProposalStore

if TYPE_CHECKING:
    from pathlib import Path

    from sidecars.git_gate.remotes import GitRemote
    from sidecars.git_gate.spec import GitGateSpec

_REFSPECS = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
_BRANCH = re.compile(r"ref: (refs/heads/[^\s]+)\tHEAD")


class Mirror:
    """One remote's mirror in the gate's private directory.

    ``lock`` is held by whoever changes its refs: a refresh, or a push from its first check to its last ref.
    Clones and fetches read without it.
    """

    def __init__(self, spec: GitGateSpec, remote: GitRemote, hooks: Path) -> None:
        self.remote = remote
        self.lock = asyncio.Lock()
        self._limits = spec.limits
        self._proposals = ProposalStore(spec.proposals_dir, spec.slug) if spec.proposals_dir else None
        self._known_hosts = spec.cache_dir / f"{remote.name}.known_hosts"
        self.git = Git(spec.cache_dir / f"{remote.name}.git", base_settings(hooks, spec.limits))
        self._refreshed_since = 0.0

    @property
    def in_force(self) -> GitRemote:
        """The remote with the branches that the operator has granted since: read anew, for a push at a time."""
        if self._proposals is None:
            return self.remote
        return with_granted_branches(self.remote, self._proposals.list())

    @property
    def to_upstream(self) -> Git:
        """A git that can reach upstream."""
        extra = ssh_environment(self.remote, self._known_hosts, connect_s=self._limits.connect_s)
        return self.git.with_extra(**extra)

    async def prepare(self) -> None:
        """Make the repository, or mend what a killed predecessor left in it. No network."""
        self._known_hosts.write_text(known_hosts_line(self.remote))
        path = self.git.repository
        if not (path / "HEAD").is_file():
            shutil.rmtree(path, ignore_errors=True)
            made = await self.git.run(
                "init", "--quiet", "--bare", "--template=", "--initial-branch=main", str(path)
            )
            if made.code != 0:
                raise OSError(f"cannot make the mirror {path}")
        _remove_leftovers(path)

    async def refresh(self) -> None:
        """Follow upstream, or raise :class:`Refused`. Callers that wait for one another share a refresh."""
        asked = time.monotonic()
        async with self.lock:
            if self._refreshed_since <= asked:
                began = time.monotonic()
                await self._follow()
                self._refreshed_since = began

    async def refs(self) -> dict[str, str]:
        """Return the mirror's refs: name to object id."""
        listing = await self.git.run("for-each-ref", "--format=%(objectname) %(refname)")
        if listing.code != 0:
            raise Refused("upstream", "the mirror of this repository cannot be read")
        lines = listing.out.decode("utf-8", "surrogateescape").splitlines()
        return {ref: oid for oid, _, ref in (line.partition(" ") for line in lines)}

    async def _follow(self) -> None:
        listing = await self.to_upstream.run(
            "ls-remote", "--symref", self.remote.target.url, "HEAD", "refs/heads/*", "refs/tags/*",
            timeout_s=self._limits.refresh_s,
        )  # fmt: skip
        if listing.code != 0:
            raise upstream_failure(listing.err, doing="asking upstream for its refs")
        head, theirs = _parse_listing(listing.out.decode("utf-8", "surrogateescape"))
        if theirs != await self.refs():
            await self._fetch()
        if head and (self.git.repository / "HEAD").read_text().strip() != f"ref: {head}":
            await self.git.run("symbolic-ref", "HEAD", head)

    async def _fetch(self) -> None:
        fetched = await self.to_upstream.run(
            "fetch", "--quiet", "--prune", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules",
            self.remote.target.url, *_REFSPECS, timeout_s=self._limits.refresh_s,
        )  # fmt: skip
        if fetched.code != 0:
            _remove_locks(self.git.repository)
            raise upstream_failure(fetched.err, doing="fetching from upstream")


def _parse_listing(text: str) -> tuple[str, dict[str, str]]:
    head = ""
    refs: dict[str, str] = {}
    for line in text.splitlines():
        if match := _BRANCH.fullmatch(line):
            head = match[1]
            continue
        oid, _, ref = line.partition("\t")
        if ref.startswith(("refs/heads/", "refs/tags/")) and not ref.endswith("^{}"):
            refs[ref] = oid
    return head, refs


def _remove_leftovers(path: Path) -> None:
    """Remove what only a killed git leaves; this process is the directory's one owner."""
    _remove_locks(path)
    for directory in (path / "objects").glob("tmp_objdir-*"):
        shutil.rmtree(directory, ignore_errors=True)
    for temporary in (path / "objects" / "pack").glob("tmp_*"):
        temporary.unlink(missing_ok=True)


def _remove_locks(path: Path) -> None:
    for lock in (*path.glob("*.lock"), *(path / "refs").rglob("*.lock")):
        lock.unlink(missing_ok=True)
