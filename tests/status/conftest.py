from __future__ import annotations

from tests.e2e.conftest import api, claude, shell, world

__all__ = ["api", "claude", "shell", "world"]
