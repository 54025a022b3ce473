"""A whole session: saved, disarranged and restored, on a real tmux."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.layouts.sessions import check_round_trip, context_in, sessions

if TYPE_CHECKING:
    from pathlib import Path

    from bottlemux.session.layout import Layout
    from bottlemux.session.server import TmuxServer

pytestmark = [pytest.mark.tmux, pytest.mark.timeout(600)]

EXAMPLES = int(os.environ.get("BOTTLEMUX_SESSIONS", "15"))


@settings(
    max_examples=EXAMPLES, deadline=None, derandomize=EXAMPLES < 100, phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(layout=sessions(), seed=st.integers(0, 2**32))
def test_save_apply_save_is_equal(
    tmp_path: Path, environ: dict[str, str], server: TmuxServer, layout: Layout, seed: int
) -> None:
    check_round_trip(context_in(tmp_path, environ, str(server._name)), layout, seed)
