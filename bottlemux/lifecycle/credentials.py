"""Where a bottle's credentials come from. Values go to the sidecars and nowhere else."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sidecars.secrets import SecretSource

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bottlemux.manifest.models import Bottle
    from sidecars.egress.routes import TokenRef


def find_sources(bottle: Bottle, environ: Mapping[str, str]) -> dict[str, SecretSource]:
    """Return the source of each credential that the bottle's routes name and that is there now."""
    references = {route.token_ref.name: route.token_ref for route in bottle.egress.routes if route.token_ref}
    found = {name: _source(reference, environ) for name, reference in references.items()}
    return {name: source for name, source in found.items() if source is not None}


def _source(reference: TokenRef, environ: Mapping[str, str]) -> SecretSource | None:
    match reference.kind:
        case "env":
            value = environ.get(reference.target)
            return SecretSource(value=value) if value else None
        case "file":
            path = Path(reference.target).expanduser()
            return SecretSource(path=path.absolute()) if path.exists() else None
        case "command":
            return SecretSource(argv=tuple(reference.argv))
