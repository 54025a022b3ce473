"""Fake secrets, made anew in each run so that no text of this repository looks like one."""

from __future__ import annotations

import secrets
import string

_BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


def aws_key() -> str:
    return "AK" + "IA" + "".join(secrets.choice(_BASE32) for _ in range(16))


def forge_token() -> str:
    return "gh" + "p_" + "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(36))


def needle() -> str:
    return "Nd" + secrets.token_urlsafe(30)
