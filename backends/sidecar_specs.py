"""What the sidecars of a bottle are told: rendered from its spec, the same for every backend."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from bottlemux.errors import UsageError
from bottlemux.files import write_atomic
from sidecars.egress.routes import RouteSet
from sidecars.egress.spec import EgressSpec
from sidecars.git_gate.remotes import check_identity
from sidecars.git_gate.spec import GitGateSpec
from sidecars.secrets import SecretStore, SecretUnavailable
from sidecars.supervise.grants import with_granted_routes
from sidecars.supervise.spec import RemoteBranches, SuperviseSpec
from sidecars.supervise.store import ProposalStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backends.contract import Authority, BottleSpec


def check_identities(spec: BottleSpec) -> None:
    """Raise ``UsageError`` unless the key file of each git remote is there and its owner's alone."""
    bottle = spec.resolved.bottle
    for remote in bottle.git:
        try:
            check_identity(remote.identity_file)
        except ValueError as error:
            raise UsageError(f"{bottle.source}: git remote {remote.name!r}: {error}") from error


def write_routes(spec: BottleSpec) -> None:
    """Write the egress policy that the proxy watches: the manifest's routes, and what was granted this identity.

    It holds names of credentials, never their values.
    """
    store = ProposalStore(spec.files.proposals, spec.identity)
    with store.locked():
        routes = with_granted_routes(spec.resolved.bottle.egress.routes, store.list())
        write_atomic(spec.files.routes, RouteSet(routes=routes).dump(), durable=False)


def egress(spec: BottleSpec, authority: Authority) -> EgressSpec:
    """Return the proxy's spec."""
    bottle = spec.resolved.bottle
    return EgressSpec(
        slug=spec.identity,
        routes_file=spec.files.routes,
        secrets=dict(spec.secrets),
        ca_key_pem=authority.key,
        ca_cert_pem=authority.certificate,
        audit_file=spec.files.audit,
        max_request_bytes=bottle.pipelock.max_request_bytes,
        scan_mode=bottle.pipelock.mode,
        pipelock_binary=spec.pipelock_binary,
    )


def git_gate(spec: BottleSpec) -> GitGateSpec | None:
    """Return the gate's spec; ``None`` where the bottle has no git remote."""
    bottle = spec.resolved.bottle
    if not bottle.git:
        return None
    return GitGateSpec(
        slug=spec.identity,
        remotes=bottle.git,
        cache_dir=spec.files.state / "git",
        audit_file=spec.files.audit,
        needles=tuple(_readable(SecretStore(spec.secrets))),
        proposals_dir=spec.files.proposals,
        gitleaks=None if spec.gitleaks_binary == "builtin" else Path(spec.gitleaks_binary),
    )


def supervise(spec: BottleSpec, *, can_rebuild: bool = False) -> SuperviseSpec | None:
    """Return the spec of the server for requests; ``None`` where the bottle has none."""
    bottle = spec.resolved.bottle
    if not bottle.supervise:
        return None
    return SuperviseSpec(
        slug=spec.identity,
        proposals_dir=spec.files.proposals,
        routes_file=spec.files.routes,
        audit_file=spec.files.audit,
        activity_file=spec.files.activity,
        git_remotes=tuple(RemoteBranches(remote.name, remote.branches) for remote in bottle.git),
        can_rebuild=can_rebuild,
    )


def _readable(store: SecretStore) -> Iterator[str]:
    for name in store.names:
        with contextlib.suppress(SecretUnavailable):
            yield store.get(name)
