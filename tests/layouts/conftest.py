"""The fixtures of a private tmux server."""

from __future__ import annotations

from tests.session.conftest import environ, make_server, server, workspace

__all__ = ["environ", "make_server", "server", "workspace"]
