"""What runs bottles, behind one contract. The names below load on first use, so that importing this costs nothing."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from backends.contract import (
        ActiveAgent,
        Availability,
        Bottle,
        BottleBackend,
        BottlePlan,
        BottleSpec,
        ExecResult,
    )
    from backends.registry import (
        enumerate_active_agents,
        get_bottle_backend,
        has_backend,
        known_backend_names,
    )

__all__ = [
    "ActiveAgent",
    "Availability",
    "Bottle",
    "BottleBackend",
    "BottlePlan",
    "BottleSpec",
    "ExecResult",
    "enumerate_active_agents",
    "get_bottle_backend",
    "has_backend",
    "known_backend_names",
]
_FUNCTIONS = frozenset(
    {"enumerate_active_agents", "get_bottle_backend", "has_backend", "known_backend_names"}
)


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module = "backends.registry" if name in _FUNCTIONS else "backends.contract"
    return getattr(import_module(module), name)
