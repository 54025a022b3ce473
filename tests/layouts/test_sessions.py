"""A whole session: saved, disarranged and restored, on a real tmux."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from bottlemux.lifecycle.sessions import Part, plan_session
from bottlemux.session.layout import Layout, PaneLayout, WindowLayout
from bottlemux.session.layout_files import find_layout
from tests.layouts.sessions import check_round_trip, context_in, open_session, sessions

if TYPE_CHECKING:
    from pathlib import Path

    from bottlemux.session.server import TmuxServer

pytestmark = [pytest.mark.tmux, pytest.mark.timeout(600)]

AGENT = PaneLayout(role="agent")
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


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ("agent: dev, workspace: copy, bottle: quiet", None),
        ("agent: dev, workspace: mount", "no agent 'dev'"),
        ("agent: dev, bottle: loud", "no agent 'dev'"),
        ("slug: {slug}, workspace: copy", None),
        ("slug: {slug}, workspace: mount", "it has workspace 'copy', the layout wants 'mount'"),
        ("slug: {slug}, bottle: loud", "it has bottle 'quiet', the layout wants 'loud'"),
        ("workspace: copy", None),
        ("workspace: mount", "no bottle is left for it"),
    ],
)
def test_a_running_bottle_is_taken_only_for_what_it_is(
    tmp_path: Path, environ: dict[str, str], server: TmuxServer, keys: str, problem: str | None
) -> None:
    context = context_in(tmp_path, environ, str(server._name))
    (slug,) = open_session(context, Layout(windows=(WindowLayout(agent="dev", panes=(AGENT,)),)))
    context.paths.layouts.mkdir()
    text = f"windows: [{{{{{keys}, panes: [{{{{role: agent}}}}]}}}}]".format(slug=slug)
    (context.paths.layouts / "mine.yaml").write_text(text)
    (part,) = plan_session(context, find_layout("mine", context.paths, context.cwd)).parts
    if problem is None:
        assert (part.slug, part.problem) == (slug, None)
    else:
        assert part.slug is None
        assert problem in str(part.problem)


def test_a_part_is_called_by_its_window_and_whose_it_is() -> None:
    window = WindowLayout(window_name="the \u202e one", agent="dev", panes=(AGENT,))
    assert Part(2, window).name == 'window 2 "the \\u202e one", dev'
    assert Part(2, window, slug="dev-00001").name == 'window 2 "the \\u202e one", dev-00001'
    assert Part(3, WindowLayout(panes=(AGENT,))).name == "window 3"
