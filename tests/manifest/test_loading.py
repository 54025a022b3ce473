"""What a right manifest becomes, who wins, and what a project may not do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bottlemux.errors import NotFoundError, UsageError
from bottlemux.manifest.config import load_config
from bottlemux.manifest.frontmatter import parse_document
from bottlemux.manifest.loader import (
    Skill,
    list_agents,
    list_bottles,
    list_layouts,
    list_skills,
    load_agent,
    load_bottle,
    resolve,
)
from bottlemux.manifest.models import Config, Pipelock, Resources
from bottlemux.manifest.problems import ManifestError
from bottlemux.paths import Paths

FULL_BOTTLE = """---
backend: bubblewrap              # optional
env: {EDITOR: vim, STARTED: 2026-01-02}
image: agent
resources: {cpus: 2, memory: 4g, pids: 512}
supervise: false
egress:
  routes:
    - host: API.Example.com.
      methods: [GET, POST]
      paths: [/v1/]
      token_ref: CLAUDE_CODE_OAUTH_TOKEN
      upstream: 127.0.0.1:9443
pipelock: {mode: warn, max_request_bytes: 2048}
git:
  - name: origin
    upstream: ssh://git@example.com:22/org/repo.git
    identity_file: ~/.ssh/id_ed25519
    known_host_key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHYJ0Ys8mVjzT2m5h0V3mH0sVQb3Kk1qWw1o0mQ1bq7d
    branches: ["bottlemux/*"]
---
What this bottle is for.

---
More of it.
"""


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_full_bottle(paths: Paths) -> None:
    source = write(paths.bottles_config / "dev.md", FULL_BOTTLE)

    bottle = load_bottle(paths, "dev")

    assert (bottle.name, bottle.source, bottle.backend, bottle.image) == (
        "dev",
        source,
        "bubblewrap",
        "agent",
    )
    assert bottle.description == "What this bottle is for.\n\n---\nMore of it."
    assert bottle.env == {"EDITOR": "vim", "STARTED": "2026-01-02"}
    assert bottle.resources == Resources(cpus=2.0, memory=4 * 1024**3, pids=512)
    assert bottle.supervise is False
    assert bottle.pipelock == Pipelock(mode="warn", max_request_bytes=2048)
    (route,) = bottle.egress.routes
    assert (route.host, route.port, route.methods, route.paths) == (
        "api.example.com",
        443,
        ("GET", "POST"),
        ("/v1/",),
    )
    assert route.token_ref is not None
    assert route.token_ref.name == "CLAUDE_CODE_OAUTH_TOKEN"
    (remote,) = bottle.git
    assert (remote.name, remote.branches) == ("origin", ("bottlemux/*",))


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"---\n---\n", id="nothing"),
        pytest.param(b"\xef\xbb\xbf---\r\nsupervise: true\r\n---\r\nText\r\n", id="BOM and CRLF"),
        pytest.param(b"---  \n# only a comment\n---", id="comment, no last line end"),
    ],
)
def test_all_is_denied_by_default(paths: Paths, content: bytes) -> None:
    (paths.bottles_config / "b.md").write_bytes(content)

    bottle = load_bottle(paths, "b")

    assert (bottle.egress.routes, bottle.git, bottle.env) == ((), (), {})
    assert (bottle.pipelock.mode, bottle.supervise) == ("block", True)
    assert bottle.description in {"", "Text"}


def test_a_full_agent(paths: Paths, cwd: Path) -> None:
    write(paths.skills / "tdd" / "SKILL.md", "Test first.")
    write(paths.bottles_config / "dev.md", FULL_BOTTLE)
    front = "bottle: dev\nprogram: [bash, -l]\nargs: ['-x']\nskills: [tdd]\nworkspace: clone\nlayout: solo"
    source = write(paths.agents_config / "a.md", f"---\n{front}\n---\nDo it.\n")

    resolved = resolve(paths, "a", cwd)

    agent = resolved.agent
    assert (agent.name, agent.instructions, agent.source, agent.from_project) == (
        "a",
        "Do it.",
        source,
        False,
    )
    assert (agent.program, agent.args, agent.workspace, agent.layout) == (
        ("bash", "-l"),
        ("-x",),
        "clone",
        "solo",
    )
    assert resolved.bottle.name == "dev"
    assert resolved.skills == (Skill("tdd", paths.skills / "tdd"),)


def test_the_default_program_is_claude(paths: Paths, cwd: Path) -> None:
    write(paths.agents_config / "a.md", "---\nbottle: demo\n---\n")

    assert load_agent(paths, "a", cwd).program == ("claude",)


def test_the_demo_needs_no_configuration(tmp_path: Path, cwd: Path) -> None:
    nothing = Paths(config=tmp_path / "none", state=tmp_path / "none", runtime=tmp_path / "none")

    resolved = resolve(nothing, "demo", cwd)

    assert resolved.bottle.egress.routes == ()
    assert list_agents(nothing, cwd) == ["claude", "demo"]


def test_the_user_replaces_the_demo(paths: Paths, cwd: Path) -> None:
    write(paths.bottles_config / "demo.md", "---\nenv: {MINE: '1'}\n---\n")
    write(paths.agents_config / "demo.md", "---\nbottle: demo\nprogram: sh\n---\n")

    resolved = resolve(paths, "demo", cwd)

    assert (resolved.agent.program, resolved.bottle.env) == (("sh",), {"MINE": "1"})


def test_an_agent_of_the_project_wins_and_says_so(paths: Paths, cwd: Path) -> None:
    write(paths.agents_config / "a.md", "---\nbottle: demo\n---\nUser's\n")
    source = write(cwd / ".bottlemux" / "agents" / "a.md", "---\nbottle: demo\n---\nProject's\n")

    agent = load_agent(paths, "a", cwd)

    assert (agent.instructions, agent.from_project, agent.source) == ("Project's", True, source)
    assert agent.digest != load_agent(paths, "a", cwd.parent).digest


def test_a_project_cannot_name_a_bottle_the_user_lacks(paths: Paths, cwd: Path) -> None:
    write(cwd / ".bottlemux" / "agents" / "a.md", "---\nbottle: wide\n---\n")

    with pytest.raises(ManifestError, match="there is no such bottle"):
        resolve(paths, "a", cwd)


@pytest.mark.parametrize("agent", ["demo", "mine"])
def test_a_project_with_bottles_is_refused(paths: Paths, cwd: Path, agent: str) -> None:
    write(cwd / ".bottlemux" / "bottles" / "demo.md", "---\n---\n")
    write(cwd / ".bottlemux" / "agents" / "mine.md", "---\nbottle: demo\n---\n")

    with pytest.raises(UsageError) as caught:
        resolve(paths, agent, cwd)

    assert caught.value.message == f"{cwd / '.bottlemux' / 'bottles'}: a project may not define bottles"


def test_the_configuration_itself_is_no_project(tmp_path: Path) -> None:
    paths = Paths(config=tmp_path / ".bottlemux", state=tmp_path / "s", runtime=tmp_path / "r")
    write(paths.bottles_config / "dev.md", "---\n---\n")
    write(paths.agents_config / "a.md", "---\nbottle: dev\n---\n")

    assert resolve(paths, "a", tmp_path).agent.from_project is False


def _link_file(cwd: Path, outside: Path) -> None:
    (cwd / ".bottlemux" / "agents").mkdir(parents=True)
    (cwd / ".bottlemux" / "agents" / "a.md").symlink_to(outside / "agents" / "a.md")


def _link_agents(cwd: Path, outside: Path) -> None:
    (cwd / ".bottlemux").mkdir()
    (cwd / ".bottlemux" / "agents").symlink_to(outside / "agents")


def _link_project(cwd: Path, outside: Path) -> None:
    (cwd / ".bottlemux").symlink_to(outside)


def _pipe(cwd: Path, _outside: Path) -> None:
    (cwd / ".bottlemux" / "agents").mkdir(parents=True)
    os.mkfifo(cwd / ".bottlemux" / "agents" / "a.md")


def _directory(cwd: Path, _outside: Path) -> None:
    (cwd / ".bottlemux" / "agents" / "a.md").mkdir(parents=True)


def _plain_file(cwd: Path, _outside: Path) -> None:
    (cwd / ".bottlemux").write_text("x")


@pytest.mark.parametrize("arrange", [_link_file, _link_agents, _link_project, _pipe, _directory, _plain_file])
def test_a_hostile_project_is_refused(paths: Paths, cwd: Path, tmp_path: Path, arrange) -> None:
    write(paths.agents_config / "a.md", "---\nbottle: demo\n---\n")
    outside = write(
        tmp_path / "outside" / "agents" / "a.md", "---\nbottle: demo\n---\nSecret.\n"
    ).parent.parent
    arrange(cwd, outside)

    with pytest.raises(UsageError) as caught:
        load_agent(paths, "a", cwd)

    assert str(cwd / ".bottlemux" / "agents" / "a.md") in caught.value.message
    assert list_agents(paths, cwd) == ["a", "claude", "demo"]


def test_a_user_may_link_manifests(paths: Paths, tmp_path: Path) -> None:
    (paths.bottles_config / "dev.md").symlink_to(write(tmp_path / "dotfiles" / "dev.md", "---\n---\n"))

    assert load_bottle(paths, "dev").name == "dev"


def test_a_pipe_among_the_users_files_does_not_hang(paths: Paths) -> None:
    os.mkfifo(paths.bottles_config / "dev.md")

    with pytest.raises(UsageError, match="is not a regular file"):
        load_bottle(paths, "dev")


def test_listings_are_sorted_and_skip_what_is_no_name(paths: Paths, cwd: Path) -> None:
    for name in ("b.md", "a.md", "UPPER.md", "-x.md", "a--b.md", "notes.txt", ".md"):
        write(paths.agents_config / name, "not a manifest")
        write(paths.bottles_config / name, "not a manifest")
    write(cwd / ".bottlemux" / "agents" / "p.md", "")
    write(cwd / ".bottlemux" / "layouts" / "wall.yaml", "")
    write(paths.skills / "tdd" / "SKILL.md", "")
    (paths.skills / "empty").mkdir()

    assert list_agents(paths, cwd) == ["a", "b", "claude", "demo", "p"]
    assert list_bottles(paths) == ["a", "b", "claude", "demo"]
    assert list_skills(paths) == ["tdd"]
    assert {"default", "wall"} <= set(list_layouts(paths, cwd))


def test_listing_imports_nothing_heavy() -> None:
    script = (
        "import sys, pathlib; from bottlemux.paths import Paths; from bottlemux.manifest import loader;"
        "paths = Paths.from_environ(); loader.list_agents(paths, paths.state); loader.list_bottles(paths);"
        "print([name for name in ('pydantic', 'ruamel.yaml', 'psutil', 'sidecars') if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"


def test_models_are_frozen(paths: Paths, cwd: Path) -> None:
    agent = load_agent(paths, "demo", cwd)

    with pytest.raises(ValueError, match="frozen"):
        agent.bottle = "other"  # type: ignore[misc]


# Text that YAML can hold as it is; what it cannot is in the table of mistakes.
TEXT = st.text(st.characters(categories=["L", "N", "P", "S"], include_characters=" \n\t"), max_size=30)
VALUES = st.recursive(
    TEXT | st.integers(-(10**9), 10**9) | st.booleans() | st.sampled_from([0.5, -2.25, 1024.125]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT.filter(bool), inner, max_size=4),
    max_leaves=15,
)


@given(values=st.dictionaries(TEXT.filter(bool), VALUES, max_size=5), body=TEXT)
def test_front_matter_round_trip(values: dict[str, object], body: str) -> None:
    text = f"---\n{json.dumps(values, ensure_ascii=False)}\n---\n{body}"

    document = parse_document(text.encode(), Path("a.md"))

    assert document.values == values
    assert document.body == body.strip()
    assert {line for key, line in document.lines.items()} <= {2}


@given(
    content=st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode(errors="replace"))
)
def test_no_bytes_make_the_parser_fail_in_another_way(content: bytes) -> None:
    for variant in (content, b"---\n" + content + b"\n---\n"):
        with suppress(ManifestError):
            parse_document(variant, Path("a.md"))


KEYS = ["backend", "env", "image", "resources", "supervise", "egress", "pipelock", "git", "routes", "host",
        "port", "methods", "paths", "token_ref", "upstream", "cpus", "memory", "pids", "mode", "name",
        "cred_proxy",
        "identity_file", "known_host_key", "branches", "header"]  # fmt: skip
ODD = st.recursive(
    st.text(max_size=12)
    | st.integers()
    | st.booleans()
    | st.floats()
    | st.sampled_from(["a.example", "~/x", "4g"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=12,
)


@given(values=st.dictionaries(st.sampled_from(KEYS), ODD, max_size=5))
def test_no_values_make_a_bottle_fail_in_another_way(tmp_path_factory, values: dict[str, object]) -> None:
    base = tmp_path_factory.getbasetemp() / "odd"
    paths = Paths(config=base, state=base, runtime=base)
    write(paths.bottles_config / "b.md", f"---\n{json.dumps(values)}\n---\n")

    with suppress(ManifestError):
        load_bottle(paths, "b")


CONFIG_CASES = {
    "syntax": ("agent = 'a'\nbackend = [\n", "3: not valid TOML: Invalid value"),
    "unknown key": (
        "agent = 'a'\nbackends = 'x'",
        (
            "2: backends: is not a known key (accepted: agent, backend, docker, engines, keys, layout, notices, "
            "workspace; did you mean 'backend'?)"
        ),
    ),
    "wrong type": ("\nbackend = 3", "2: backend: must be text; put it in quotes (value 3)"),
    "in a table": (
        "agent = 'a'\n[engines]\npipelock = 'x'",
        "3: engines.pipelock: must be an absolute path or one of auto, builtin (value 'x')",
    ),
    "given twice": ("agent = 'a'\nagent = 'b'\n", "2: not valid TOML: Cannot overwrite a value"),
    "not UTF-8": (b"agent = '\xff'", "1: not UTF-8: byte 0xff"),
}


@pytest.mark.parametrize(("text", "expected"), CONFIG_CASES.values(), ids=CONFIG_CASES.keys())
def test_message_of_a_wrong_config(paths: Paths, text: str | bytes, expected: str) -> None:
    paths.config_file.write_bytes(text if isinstance(text, bytes) else text.encode())

    with pytest.raises(ManifestError) as caught:
        load_config(paths)

    assert caught.value.message == f"{paths.config_file}:{expected}"


def test_a_config(paths: Paths) -> None:
    write(
        paths.config_file,
        "backend = 'docker'\nagent = 'demo'\nlayout = 'wide'\n[engines]\npipelock = '/opt/pl'\n",
    )

    config = load_config(paths)

    assert (config.backend, config.agent, config.layout) == ("docker", "demo", "wide")
    assert (config.engines.pipelock, config.engines.gitleaks) == ("/opt/pl", "auto")


def test_no_config_is_the_defaults(paths: Paths) -> None:
    assert load_config(paths) == Config()


def test_a_missing_agent_is_not_found(paths: Paths, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        resolve(paths, "nobody", tmp_path / "no" / "directory")
