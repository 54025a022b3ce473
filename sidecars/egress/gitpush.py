"""Recognising a git push over HTTPS in any of its forms: git-gate is the only way to push."""

from __future__ import annotations

import json
import re
from typing import cast

from sidecars.egress.paths import decode

HINT = "pushing over HTTPS is not possible: push to the remote's ssh:// URL, which goes through git-gate"
MAX_BATCH_BYTES = 1024 * 1024

_WEBDAV = frozenset({"MKCOL", "MOVE", "COPY", "LOCK", "UNLOCK", "PROPFIND", "PROPPATCH", "ACL", "BIND"})
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_LFS = re.compile(r"/(info/lfs|gitlab-lfs)(/|$)")
_BATCH = re.compile(r"/info/lfs/objects/batch/?$")


def _decode_fully(text: str) -> str:
    for _ in range(4):
        decoded = decode(text)
        if decoded == text:
            break
        text = decoded
    return text.lower()


def is_push(method: str, path: str, query: str) -> bool:
    """Say whether the request is part of a push. ``path`` and ``query`` may be encoded in any way.

    An LFS batch request is judged by its body: see :func:`is_lfs_batch`.
    """
    if method in _WEBDAV:
        return True
    plain = _decode_fully(path)
    if "git-receive-pack" in re.split(r"[/\0;]", plain):
        return True
    if query and _asks_for_receive_pack(query):
        return True
    if method in _READING:
        return False
    if _LFS.search(plain):
        return not (method == "POST" and _BATCH.search(plain))
    return (
        method in {"PUT", "DELETE", "PATCH"}
        and re.search(r"\.git/(objects|refs|head|packed)", plain) is not None
    )


def _asks_for_receive_pack(query: str) -> bool:
    for pair in re.split(r"[&;]", _decode_fully(query).replace("+", " ")):
        key, _, value = pair.partition("=")
        if key.strip() == "service" and value.split("\0", 1)[0].strip() == "git-receive-pack":
            return True
    return False


def is_lfs_batch(method: str, path: str) -> bool:
    """Say whether the body has to be read to tell an upload from a download."""
    return method not in _READING and _BATCH.search(_decode_fully(path)) is not None


def is_lfs_download(body: bytes) -> bool:
    """Say whether an LFS batch body asks for a download and nothing else; what cannot be read does not."""
    try:
        document: object = json.loads(body, object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError):
        return False
    return isinstance(document, dict) and cast("dict[str, object]", document).get("operation") == "download"


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key occurs twice")
    return result
