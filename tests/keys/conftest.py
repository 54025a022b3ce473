"""The fixtures of a private tmux server, and of terminals attached to it."""

from __future__ import annotations

from tests.session.conftest import environ, make_server, server, terminal, workspace

__all__ = ["environ", "make_server", "server", "terminal", "workspace"]
