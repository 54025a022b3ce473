"""A user's directories with one bottle that has proposals; no bottle runs."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bottlemux.approvals.finding import store_of
from bottlemux.files import make_private_dir
from bottlemux.paths import Paths
from bottlemux.state.store import BottleStore
from sidecars.egress.routes import Route, RouteSet
from sidecars.supervise.proposal import Proposal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJHqRRQGcMkYZ0lqkT3SkzYvkmyqJ9tKJ5HrkCgxq1uH"


@dataclass
class World:
    root: Path
    slug: str = ""

    def __post_init__(self) -> None:
        self.paths = Paths(self.root / "config", self.root / "state", self.root / "run")
        self.manifest("egress:\n  routes:\n    - host: files.example.com\n      paths: [/public/]\n")
        record = BottleStore(self.paths).create("tester", bottle="dev", backend="bubblewrap", cwd=self.root)
        self.slug = record.identity
        self.files.routes.write_text(
            RouteSet(routes=(Route(host="files.example.com", paths=("/public/",)),)).dump()
        )

    @property
    def files(self) -> Any:
        return self.paths.bottle(self.slug)

    @property
    def manifest_file(self) -> Path:
        return self.paths.bottles_config / "dev.md"

    def manifest(self, front: str) -> None:
        make_private_dir(self.paths.bottles_config)
        self.manifest_file.write_text(f"---\n{front}---\nThe body.\n\n  Kept.\n")

    def propose(self, kind: str = "egress", reason: str = "the task needs it", **request: Any) -> Proposal:
        wanted = request or {"host": "new.example.com", "port": 443, "scheme": "https"}
        proposal = Proposal(self.slug, kind, wanted, reason)  # type: ignore[arg-type]
        store_of(self.paths, self.slug).save(proposal)
        return proposal

    def state(self, proposal: Proposal) -> str:
        return store_of(self.paths, self.slug).load(proposal.id).state

    def hosts(self) -> list[str]:
        return [route.host for route in RouteSet.load(self.files.routes).routes]

    def audit(self) -> list[dict[str, Any]]:
        try:
            return [json.loads(line) for line in self.files.audit.read_text().splitlines()]
        except FileNotFoundError:
            return []


def in_child(act: Callable[[], object]) -> int:
    """Run ``act`` in a process of its own and return its exit code; 1 when it raised."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            act()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
