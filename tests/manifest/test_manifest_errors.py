"""Every form of mistake in a manifest: its exact text, with the line it is on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bottlemux.errors import NotFoundError, UsageError
from bottlemux.manifest.loader import load_agent, load_bottle
from bottlemux.manifest.problems import ManifestError

if TYPE_CHECKING:
    from pathlib import Path

    from bottlemux.paths import Paths

BOTTLE_KEYS = "accepted: backend, egress, env, git, image, pipelock, resources, supervise"
NAME_RULE = (
    "must be 1 to 32 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit, "
    "ending in no '-' or '.', without '--' or '..'"
)
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHYJ0Ys8mVjzT2m5h0V3mH0sVQb3Kk1qWw1o0mQ1bq7d"
GIT = f"{{name: NAME, upstream: 'ssh://git@h.example/o/r.git', identity_file: ~/k, known_host_key: {KEY}}}"

BOTTLE_CASES = {
    "unknown key": ("foo: 1", f"2: foo: is not a known key ({BOTTLE_KEYS})"),
    "unknown key with a near one": (
        "backend: docker\nenvv: {}",
        f"3: envv: is not a known key ({BOTTLE_KEYS}; did you mean 'env'?)",
    ),
    "key that the file name gives": ("name: x", f"2: name: is not a known key ({BOTTLE_KEYS})"),
    "hostile key": ('"a\\e[31m": 1', f"2: 'a\\x1b[31m': is not a known key ({BOTTLE_KEYS})"),
    "surrogate in a key": ('"a\\ud800": 1', "2: holds half of a surrogate pair"),
    "surrogate in a value": (
        'image: "a\\ud800"',
        "2: image: holds half of a surrogate pair",
    ),
    "nested unknown key": (
        "resources:\n  cpu: 2",
        "3: resources.cpu: is not a known key (accepted: cpus, memory, pids; did you mean 'cpus'?)",
    ),
    "unknown key of a route": (
        "egress:\n  routes:\n    - host: a.example\n      prot: 1",
        (
            "5: egress.routes[0].prot: is not a known key (accepted: allow_private, auth_scheme, header, "
            "host, methods, paths, pipelock, port, scheme, token_ref, upstream, upstream_ca, websocket; "
            "did you mean 'port'?)"
        ),
    ),
    "number for text": ("backend: 3", "2: backend: must be text; put it in quotes (value 3)"),
    "text for a boolean": ("supervise: yes", "2: supervise: must be true or false (value 'yes')"),
    "boolean for a number": (
        "resources: {pids: true}",
        "2: resources.pids: must be a whole number (value true)",
    ),
    "fraction for a number": (
        "resources: {pids: 99.5}",
        "2: resources.pids: must be a whole number (value 99.5)",
    ),
    "text for a number": ("resources: {cpus: '2'}", "2: resources.cpus: must be a number (value '2')"),
    "too small": ("resources: {cpus: 0}", "2: resources.cpus: must be greater than 0 (value 0)"),
    "too few": ("resources: {pids: 1}", "2: resources.pids: must be at least 16 (value 1)"),
    "too large": ("resources: {cpus: 5000}", "2: resources.cpus: must be at most 1024 (value 5000)"),
    "memory unit": (
        "resources: {memory: 4x}",
        "2: resources.memory: must be a number with m or g, such as 512m or 4g (value '4x')",
    ),
    "memory too small": (
        "resources: {memory: 4}",
        "2: resources.memory: must be at least 67108864 (value 4)",
    ),
    "mapping for a list": ("egress: {routes: {host: x}}", "2: egress.routes: must be a list"),
    "text for a list": ("git: origin", "2: git: must be a list (value 'origin')"),
    "list for a mapping": ("egress: [x]", "2: egress: must be a mapping of keys to values"),
    "text for an entry": (
        "egress:\n  routes:\n    - a.example",
        "4: egress.routes[0]: must be a mapping of keys to values (value 'a.example')",
    ),
    "missing key of an entry": (
        "egress:\n  routes:\n    - host: a.example\n    - port: 1",
        "5: egress.routes[1].host: is missing",
    ),
    "unknown word": (
        "supervise: true\npipelock:\n  mode: blok",
        "4: pipelock.mode: is not known (value 'blok'; accepted: 'block', 'warn', 'off')",
    ),
    "backend name": ("backend: Docker", f"2: backend: {NAME_RULE} (value 'Docker')"),
    "image that is an option": (
        "image: -v",
        "2: image: must be a name in images/, a directory with a Dockerfile, or an image (value '-v')",
    ),
    "no value": ("supervise: true\nenv:\nimage: x", "3: env: has no value; give one or remove the key"),
    "no value at the end": (
        "egress:\n  routes:",
        "3: egress.routes: has no value; give one or remove the key",
    ),
    "variable for a number": ("env: {N: 3}", "2: env.N: must be text; put it in quotes"),
    "variable's name": (
        "env: {a-b: c}",
        "2: env.'a-b': is not a name of an environment variable (letters, digits and _)",
    ),
    "reserved variable": ("env: {HOME: /x}", "2: env.HOME: is set by bottlemux and cannot be changed"),
    "proxy variable": (
        "env: {https_proxy: x}",
        "2: env.https_proxy: is set by bottlemux and cannot be changed",
    ),
    "loader variable": (
        "env: {LD_PRELOAD: x}",
        "2: env.LD_PRELOAD: is set by bottlemux and cannot be changed",
    ),
    "secret in a variable": (
        "env:\n  T: ghp_0123",
        "3: env.T: looks like a secret; name it in the token_ref of a route, so that only the proxy sees it",
    ),
    "line end in a variable": (
        'env: {A: "x\\ny"}',
        "2: env.A: must not hold control characters or line ends",
    ),
    "variable that a route provides": (
        "env: {TOK: x}\negress: {routes: [{host: a.example, token_ref: env:TOK}]}",
        "2: env.TOK: is the token_ref of a route, which puts a placeholder here",
    ),
    "placeholder over a reserved variable": (
        "egress:\n  routes:\n    - host: a.example\n      token_ref: PATH",
        "5: egress.routes[0].token_ref: its placeholder PATH is set by bottlemux and cannot be changed",
    ),
    "two tokens under one placeholder": (
        (
            "egress:\n  routes:\n    - {host: a.example, token_ref: 'file:/a/tok'}\n"
            "    - {host: b.example, token_ref: 'file:/b/tok'}"
        ),
        "5: egress.routes[1].token_ref: its placeholder TOK is that of another token_ref",
    ),
    "pasted token": (
        "egress:\n  routes:\n    - host: a.example\n      token_ref: sk-ant-0123",
        (
            "5: egress.routes[0].token_ref: does not say where a token is "
            "(accepted: NAME, env:NAME, file:PATH, command:ARGV)"
        ),
    ),
    "remote named twice": (
        f"git:\n  - {GIT.replace('NAME', 'origin')}\n  - {GIT.replace('NAME', 'origin')}",
        "2: git: more than one git remote is named origin",
    ),
    "duplicate key": ("a: 1\nb: 2\na: 3", "4: a: is given twice"),
    "nested duplicate key": ("egress:\n  routes: []\n  routes: []", "4: egress.routes: is given twice"),
    "tab": ("env:\n\tA: b", "3: is indented with a tab; YAML takes spaces"),
    "anchor": ("image: &a x", "2: image: anchors and aliases (&, *) are not accepted; write the value out"),
    "anchored mapping": ("&a\nimage: x", "2: anchors and aliases (&, *) are not accepted"),
    "alias without anchor": ("image: *a", "2: not valid YAML: found undefined alias 'a'"),
    "merge key": ("<<: {image: x}", "2: merge keys (<<) are not accepted; write the values out"),
    "tag": ("image: !!python/name:os.system x", "2: image: tags are not accepted: 'python/name:os.system'"),
    "key that is a number": ("1: x", "2: a key must be plain text"),
    "key that is a list": ("? [a]\n: b", "2: a key must be plain text"),
    "list at the top": ("- a", "2: must be a mapping of keys to values"),
    "text at the top": ("just words", "2: must be a mapping of keys to values"),
    "two mistakes in one line": (
        "env: {A: [",
        "3: not valid YAML: expected the node content, but found '<stream end>'",
    ),
    "nested too deeply": ("[" * 2000, "2: nested too deeply"),
    "nested more than any key is": (
        "a: " + "[" * 20 + "]" * 20,
        f"2: a{'[0]' * 12}: nested too deeply",
    ),
    "enormous number": (
        f"resources: {{pids: 0x{'f' * 9000}}}",
        f"2: resources.pids: is not a number that is accepted: '0x{'f' * 38}'",
    ),
    "infinite": ("resources: {cpus: .inf}", "2: resources.cpus: is not a number that is accepted: '.inf'"),
    "control character": ("image: a\x07", "2: control character U+0007 is not accepted"),
    "second document": ("image: x\n...\nimage: y", "4: not valid YAML: but found another document"),
}


@pytest.mark.parametrize(("front", "expected"), BOTTLE_CASES.values(), ids=BOTTLE_CASES.keys())
def test_message_of_a_wrong_bottle(paths: Paths, front: str, expected: str) -> None:
    source = paths.bottles_config / "b.md"
    source.write_text(f"---\n{front}\n---\nBody\n")

    with pytest.raises(ManifestError) as caught:
        load_bottle(paths, "b")

    assert caught.value.message == f"{source}:{expected}"
    assert caught.value.exit_code == 2


FILE_CASES = {
    "empty": (b"", ":1: has no front matter"),
    "Markdown only": (b"# Title\n", ":1: has no front matter"),
    "not closed": (b"---\nimage: x\n", ":1: the front matter that begins here has no closing ---"),
    "not UTF-8": (b"---\nimage: x\n---\n\nb\xff\n", ":5: not UTF-8: byte 0xff"),
    "UTF-16": ("---\n---\n".encode("utf-16"), ":1: not UTF-8: byte 0xff"),
    "null byte": (b"---\n---\n\x00", ":3: holds a null byte"),
    "huge file": (b"---\n---\n" + b"x" * (256 * 1024), ": is larger than 256 KiB"),
    "huge front matter": (
        b"---\n" + b"# x\n" * 20_000 + b"---\n",
        ":1: the front matter is larger than 64 KiB",
    ),
}


@pytest.mark.parametrize(("content", "expected"), FILE_CASES.values(), ids=FILE_CASES.keys())
def test_message_of_a_file_that_is_no_manifest(paths: Paths, content: bytes, expected: str) -> None:
    source = paths.bottles_config / "b.md"
    source.write_bytes(content)

    with pytest.raises(UsageError) as caught:
        load_bottle(paths, "b")

    assert caught.value.message == f"{source}{expected}"


AGENT_CASES = {
    "missing bottle": ("program: claude", "1: bottle: is missing"),
    "program with a space": (
        "bottle: demo\nprogram: bash -l",
        "3: program: holds a space; write a list: [bash, -l] (value 'bash -l')",
    ),
    "program of nothing": (
        "bottle: demo\nprogram: []",
        "3: program: must not be empty",
    ),
    "argument that is a number": (
        "bottle: demo\nargs:\n  - -n\n  - 1",
        "5: args[1]: must be text; put it in quotes (value 1)",
    ),
    "unknown workspace": (
        "bottle: demo\nworkspace: mont",
        "3: workspace: is not known (value 'mont'; accepted: 'mount', 'clone', 'copy')",
    ),
    "dangling bottle": (
        "bottle: demmo",
        "2: bottle: there is no such bottle (value 'demmo'; accepted: claude, demo; did you mean 'demo'?)",
    ),
    "bottle that is a path": ("bottle: ../x", f"2: bottle: {NAME_RULE} (value '../x')"),
    "dangling layout": (
        "bottle: demo\nlayout: mine",
        "3: layout: there is no such layout (value 'mine'; accepted: default, review, solo, team, wide)",
    ),
    "dangling skill": (
        "bottle: demo\nskills: [tdd, tbd]",
        "3: skills[1]: there is no such skill (value 'tbd'; accepted: tdd; did you mean 'tdd'?)",
    ),
    "skill given twice": ("bottle: demo\nskills: [tdd, tdd]", "3: skills: has 'tdd' more than once"),
    "skill that is a path": (
        "bottle: demo\nskills: [../tdd]",
        "3: skills[0]: must be the name of a directory in skills/, at most 64 characters (value '../tdd')",
    ),
    "claims to be the user's": (
        "bottle: demo\nfrom_project: false",
        "3: from_project: is not a known key (accepted: args, bottle, layout, program, skills, workspace)",
    ),
}


@pytest.mark.parametrize(("front", "expected"), AGENT_CASES.values(), ids=AGENT_CASES.keys())
def test_message_of_a_wrong_agent(paths: Paths, cwd: Path, front: str, expected: str) -> None:
    (paths.skills / "tdd").mkdir()
    (paths.skills / "tdd" / "SKILL.md").write_text("Test first.")
    source = paths.agents_config / "a.md"
    source.write_text(f"---\n{front}\n---\nBody\n")

    with pytest.raises(ManifestError) as caught:
        load_agent(paths, "a", cwd)

    assert caught.value.message == f"{source}:{expected}"


def test_all_mistakes_are_told_at_once_in_the_order_of_lines(paths: Paths) -> None:
    source = paths.bottles_config / "b.md"
    source.write_text("---\nsupervise: 1\nfoo: 1\nbackend: 2\n---\n")

    with pytest.raises(ManifestError) as caught:
        load_bottle(paths, "b")

    told = [caught.value.message, *caught.value.also]
    assert [line.removeprefix(f"{source}:")[:2] for line in told] == ["2:", "3:", "4:"]


def test_a_pasted_token_is_not_repeated(paths: Paths) -> None:
    pasted = "sk-ant-api03-Zm9vYmFy"
    source = paths.bottles_config / "b.md"
    front = f"egress: {{routes: [{{host: a.example, token_ref: '{pasted}'}}]}}\nenv: {{A: {pasted}}}"
    source.write_text(f"---\n{front}\n---\n")

    with pytest.raises(ManifestError) as caught:
        load_bottle(paths, "b")

    assert pasted not in f"{caught.value.message}{caught.value.also}{caught.value.hint}"
    assert caught.value.__cause__ is None


UNKNOWN = {
    "bottle": (
        lambda paths, cwd: load_bottle(paths, "dev"),
        "no bottle 'dev' (known: claude, demo)",
        "write {config}/bottles/dev.md",
    ),
    "agent": (
        lambda paths, cwd: load_agent(paths, "dev", cwd),
        "no agent 'dev' (known: claude, demo)",
        "bottlemux init dev",
    ),
    "agent that is a path": (
        lambda paths, cwd: load_agent(paths, "../agents/demo", cwd),
        "no agent '../agents/demo' (known: claude, demo)",
        NAME_RULE.replace("must be", "a name is"),
    ),
}


@pytest.mark.parametrize(("load", "message", "hint"), UNKNOWN.values(), ids=UNKNOWN.keys())
def test_an_unknown_name_lists_the_known(paths: Paths, cwd: Path, load, message: str, hint: str) -> None:
    with pytest.raises(NotFoundError) as caught:
        load(paths, cwd)

    assert (caught.value.message, caught.value.hint) == (message, hint.format(config=paths.config))
    assert caught.value.exit_code == 4
