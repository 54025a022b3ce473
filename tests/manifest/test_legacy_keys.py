"""Keys of older manifests: refused with lines that are a manifest themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bottlemux.manifest.frontmatter import Document
from bottlemux.manifest.legacy import refuse_legacy_keys
from bottlemux.manifest.loader import load_bottle
from bottlemux.manifest.problems import ManifestError
from bottlemux.manifest.yaml_tree import read_yaml

if TYPE_CHECKING:
    from bottlemux.paths import Paths

CASES = {
    "cred_proxy": (
        (
            "cred_proxy:\n  routes:\n    - path: /anthropic/\n      upstream: https://api.anthropic.com:8443\n"
            "      auth_scheme: Bearer\n      token_ref: CLAUDE_CODE_OAUTH_TOKEN"
        ),
        (
            "egress:\n  routes:\n    - host: api.anthropic.com\n      port: 8443\n"
            "      token_ref: CLAUDE_CODE_OAUTH_TOKEN"
        ),
    ),
    "egress_proxy": (
        (
            "egress_proxy:\n  routes:\n    - host: api.github.com\n      path_allowlist: [/repos/]\n"
            "      auth: {scheme: token, token_ref: GH_TOKEN}\n    - host: docs.example.com"
        ),
        (
            "egress:\n  routes:\n    - host: api.github.com\n      paths: [/repos/]\n"
            "      token_ref: GH_TOKEN\n"
            "      auth_scheme: token\n    - host: docs.example.com"
        ),
    ),
    "ssh": (
        (
            "ssh:\n  - Host: gitea\n    Hostname: git.example.com\n    User: git\n    Port: 2222\n"
            "    IdentityFile: ~/.ssh/id\n    KnownHostKey: ssh-ed25519 AAAA"
        ),
        (
            "git:\n  - name: gitea\n    upstream: ssh://git@git.example.com:2222/ORG/REPO.git\n"
            "    identity_file: ~/.ssh/id\n    known_host_key: ssh-ed25519 AAAA"
        ),
    ),
    "tokens by name": (
        "tokens: {GH_TOKEN: ghp_sesame}",
        "egress:\n  routes:\n    - host: HOST\n      token_ref: GH_TOKEN",
    ),
    "tokens as a list": (
        "tokens: [GH_TOKEN, ghp-sesame]",
        (
            "egress:\n  routes:\n    - host: HOST\n      token_ref: GH_TOKEN\n"
            "    - host: HOST\n      token_ref: NAME"
        ),
    ),
    "tokens as entries": (
        "tokens:\n  - {kind: github, TokenRef: GH_TOKEN}",
        "egress:\n  routes:\n    - host: HOST\n      token_ref: GH_TOKEN",
    ),
    "runtime of a container": ("runtime: runsc", "backend: docker"),
    "runtime that is a backend": ("runtime: bubblewrap", "backend: bubblewrap"),
    "a value that makes no sense": (
        "ssh: [1, [x]]",
        (
            "git:\n  - name: origin\n    upstream: ssh://git@HOST:22/ORG/REPO.git\n"
            "    identity_file: ~/.ssh/KEY\n"
            "    known_host_key: ssh-ed25519 KEY"
        ),
    ),
    "an address that is none": (
        "cred_proxy: {routes: [{upstream: 'https://[x:y'}]}",
        "egress:\n  routes:\n    - host: HOST",
    ),
}


@pytest.mark.parametrize(("front", "replacement"), CASES.values(), ids=CASES.keys())
def test_refusal_gives_the_lines_to_write(paths: Paths, front: str, replacement: str) -> None:
    source = paths.bottles_config / "b.md"
    source.write_text(f"---\nsupervise: true\n{front}\n---\n")

    with pytest.raises(ManifestError) as caught:
        load_bottle(paths, "b")

    key = front.split(":", maxsplit=1)[0]
    assert caught.value.message == f"{source}:3: {key}: is a key of older manifests"
    head, *lines = caught.value.hint.split("\n")
    assert head == "write instead:"
    assert "\n".join(line.removeprefix("    ") for line in lines) == replacement
    assert "sesame" not in caught.value.hint


ODD = st.recursive(
    st.text(max_size=20) | st.integers() | st.booleans(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["routes", "host", "upstream", "port", "auth", "token_ref", "paths", "User", "Host", "x"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@given(key=st.sampled_from(["cred_proxy", "egress_proxy", "ssh", "tokens", "runtime"]), value=ODD)
def test_whatever_the_value_the_lines_are_yaml(tmp_path_factory, key: str, value: object) -> None:
    document = Document(tmp_path_factory.getbasetemp() / "b.md", {key: value}, {}, "", "")

    with pytest.raises(ManifestError) as caught:
        refuse_legacy_keys(document)

    lines = "\n".join(line.removeprefix("    ") for line in caught.value.hint.split("\n")[1:])
    assert set(read_yaml(lines).values) <= {"egress", "git", "backend"}
