"""Planted secrets and decoys, made at run time from random data: no file of the repository holds one."""

from __future__ import annotations

import base64
import json
import random
import string
import uuid
from dataclasses import dataclass

from sidecars.scan.validators import checksum62

DIGITS = string.digits
LOWER = string.ascii_lowercase
UPPER = string.ascii_uppercase
ALNUM = string.ascii_letters + DIGITS
HEX = "0123456789abcdef"
WEB = ALNUM + "-_"
BASE32 = UPPER + "234567"
BECH32 = "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L"


@dataclass(frozen=True)
class Case:
    """``text`` as it would stand in a file; ``secret`` is the part to be found, empty for a decoy."""

    name: str
    text: str
    secret: str = ""
    provider: bool = True


class Maker:
    """Random material, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def take(self, alphabet: str, length: int) -> str:
        return "".join(self.random.choice(alphabet) for _ in range(length))

    def raw(self, length: int) -> bytes:
        return self.random.randbytes(length)

    def base64(self, length: int) -> str:
        return base64.b64encode(self.raw(length)).decode()

    def checked(self, prefix: str) -> str:
        payload = self.take(ALNUM, 30)
        return prefix + payload + checksum62(payload.encode()).decode()

    def uuid(self) -> str:
        return str(uuid.UUID(bytes=self.raw(16), version=4))

    def pem(self, kind: str, length: int = 400) -> str:
        body = base64.b64encode(b"\x30\x82" + self.raw(length)).decode()
        lines = "\n".join(body[i : i + 64] for i in range(0, len(body), 64))
        dashes = "-" * 5
        return f"{dashes}BEGIN {kind}{dashes}\n{lines}\n{dashes}END {kind}{dashes}\n"

    def jwt(self, claims: dict[str, object]) -> str:
        objects: list[dict[str, object]] = [{"alg": "HS256", "typ": "JWT"}, claims]
        parts = [*(json.dumps(each, separators=(",", ":")).encode() for each in objects), self.raw(32)]
        return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def planted(seed: int = 1) -> list[Case]:
    """One secret of each kind, in the kind of line it is usually leaked in."""
    return _provider(Maker(seed)) + _contextual(Maker(seed + 1))


def _provider(m: Maker) -> list[Case]:
    tokens = {
        "aws-access-key-id": "AKIA" + m.take(BASE32, 16),
        "aws-session-key-id": "ASIA" + m.take(BASE32, 16),
        "gcp-api-key": "AI" + "za" + m.take(WEB[:-2], 35),
        "gcp-oauth-client-secret": "GOCSPX-" + m.take(ALNUM, 28),
        "azure-client-secret": m.take(ALNUM, 3) + "8Q~" + m.take(ALNUM, 34),
        "digitalocean": "dop_v1_" + m.take(HEX, 64),
        "heroku": "HRKU-" + m.take(WEB, 60),
        "github-pat": m.checked("ghp_"),
        "github-oauth": m.checked("gho_"),
        "github-server": m.checked("ghs_"),
        "github-fine-grained": f"github_pat_{m.take(ALNUM, 22)}_{m.take(ALNUM, 59)}",
        "gitlab-pat": "glpat-" + m.take(ALNUM, 20),
        "npm": m.checked("npm_"),
        "pypi": "pypi-AgEIcHlwaS5vcmc" + m.take(WEB, 120),
        "rubygems": "rubygems_" + m.take(HEX, 48),
        "docker-hub": "dckr_pat_" + m.take(ALNUM, 27),
        "anthropic-api": "sk-ant-api03-" + m.take(WEB, 93) + "AA",
        "anthropic-oauth": "sk-ant-oat01-" + m.take(WEB, 86),
        "openai-project": "sk-proj-" + m.take(WEB, 74) + "T3Blbk" + "FJ" + m.take(WEB, 74),
        "openai-legacy": "sk-" + m.take(ALNUM, 20) + "T3Blbk" + "FJ" + m.take(ALNUM, 20),
        "huggingface": "hf_" + m.take(string.ascii_letters, 34),
        "slack-bot": f"xoxb-{m.take(DIGITS, 12)}-{m.take(DIGITS, 12)}-{m.take(ALNUM, 24)}",
        "slack-webhook": f"hooks.slack.com/services/T{m.take(UPPER, 9)}/B{m.take(UPPER, 9)}/"
        + m.take(ALNUM, 24),
        "telegram": f"{m.take('123456789', 10)}:AA{m.take(WEB, 33)}",
        "sendgrid": f"SG.{m.take(ALNUM, 22)}.{m.take(ALNUM, 43)}",
        "stripe-live": "sk_live_" + m.take(ALNUM, 24),
        "shopify": "shpat_" + m.take(HEX, 32),
        "databricks": "dapi" + m.take(HEX, 32),
        "vault": "hvs." + m.take(ALNUM, 90),
        "terraform": f"{m.take(ALNUM, 14)}.atlasv1.{m.take(ALNUM, 67)}",
        "age": "AGE-SECRET-KEY-1" + m.take(BECH32, 58),
        "linear": "lin_api_" + m.take(ALNUM, 40),
        "grafana": f"glsa_{m.take(ALNUM, 32)}_{m.take(HEX, 8)}",
        "doppler": "dp.pt." + m.take(ALNUM, 43),
        "tailscale": f"tskey-auth-{m.take(ALNUM, 16)}-{m.take(ALNUM, 32)}",
        "figma": "figd_" + m.take(ALNUM, 40),
    }
    cases = [Case(name, f'TOKEN_{i} = "{token}"\n', token) for i, (name, token) in enumerate(tokens.items())]
    secret = m.base64(30)
    storage = m.base64(64)
    keys = [("rsa-key", "RSA PRIVATE KEY"), ("pkcs8-key", "PRIVATE KEY"), ("ssh-key", "OPENSSH PRIVATE KEY")]
    blocks = [Case(name, block, block.splitlines()[2]) for name, kind in keys for block in [m.pem(kind)]]
    escaped = m.pem("PRIVATE KEY")
    return [
        *cases,
        *blocks,
        Case("aws-secret", f"aws_secret_access_key = {secret}\n", secret),
        Case(
            "azure-storage", f"DefaultEndpointsProtocol=https;AccountName=a;AccountKey={storage};\n", storage
        ),
        Case("gcp-service-account", json.dumps({"private_key": escaped}), escaped.splitlines()[2]),
    ]


def _contextual(m: Maker) -> list[Case]:
    password = m.take(ALNUM, 14) + "7"
    auth = base64.b64encode(f"deploy:{m.take(ALNUM, 20)}".encode()).decode()
    token, api_key, test_key = m.jwt({"sub": m.uuid(), "scope": "all"}), m.take(ALNUM, 40), m.take(ALNUM, 24)
    kube = m.base64(120)
    texts = {
        "url-credential": (f"postgres://app:{password}@db.internal.corp:5432/main\n", password),
        "git-url-credential": (f"[remote]\n url = https://bot:{password}@git.corp.net/a/b.git\n", password),
        "netrc": (f"machine git.corp.net\n login bot\n password {password}\n", password),
        "docker-config": (json.dumps({"auths": {"registry.corp.net": {"auth": auth}}}), auth),
        "npmrc": (f"//registry.corp.net/:_authToken={m.uuid()}\n", ""),
        "jwt": (f"curl -H 'X-Token: {token}'\n", token),
        "kubeconfig": (f"kind: Config\nusers:\n- user:\n    client-key-data: {kube}\n", kube),
        "generic-python": (f'client_secret = "{api_key}"\n', api_key),
        "dotenv": (f"SERVICE_API_KEY={api_key}\n", api_key),
        "yaml-password": (f'password: "{m.take(ALNUM, 22)}9x"\n', ""),
        "basic-header": (f"Authorization: Basic {auth}\n", auth),
        "stripe-test": (f"STRIPE=sk_test_{test_key}\n", test_key),
    }
    return [Case(name, text, secret, provider=False) for name, (text, secret) in texts.items()]


def decoys(seed: int = 2) -> list[Case]:
    """Things that look random or talk about secrets, and are harmless."""
    m = Maker(seed)
    pixels = base64.b64encode(b"\x89PNG\r\n\x1a\n" + m.raw(900)).decode()
    sha512 = base64.b64encode(m.raw(64)).decode()
    minified = ";".join(
        f"var {m.take(LOWER, 2)}=function(e,t){{return e.{m.take(LOWER, 1)}(t)}}" for _ in range(60)
    )
    # The sample of the standard's home page, put together here.
    sample = m.jwt({"sub": "1234567890", "name": "John Doe", "iat": 1516239022})
    aws = "AKIA" + "IOSFODNN7" + "EXAMPLE"
    texts = {
        "commit-hash": f"Revert commit {m.take(HEX, 40)}\n",
        "short-hashes": "\n".join(f"{m.take(HEX, 9)} fix the key handling" for _ in range(20)),
        "sha256-sums": "\n".join(f"{m.take(HEX, 64)}  pkg-{i}.tar.gz" for i in range(20)),
        "git-index": f"index {m.take(HEX, 10)}..{m.take(HEX, 10)} 100644\n",
        "uuid": f'"id": "{m.uuid()}"\n',
        "uuid-key": f'"request_key": "{m.uuid()}"\n',
        "npm-integrity": f'"integrity": "sha512-{sha512}"\n',
        "yarn-lock": f'resolved "https://registry.corp.net/a/-/a-1.0.0.tgz#{m.take(HEX, 40)}"\n',
        "poetry-lock": f'{{file = "a.whl", hash = "sha256:{m.take(HEX, 64)}"}}\n',
        "go-sum": f"golang.org/x/net v0.1.0 h1:{m.base64(32)}\n",
        "cargo-lock": f'checksum = "{m.take(HEX, 64)}"\n',
        "docker-digest": f"FROM alpine@sha256:{m.take(HEX, 64)}\n",
        "action-pin": f"uses: actions/checkout@{m.take(HEX, 40)}\n",
        "jwt-sample": f"Authorization example: {sample}\n",
        "changeme": 'password = "changeme"\n',
        "password-words": 'password = "correct horse battery staple"\n',
        "password-empty": 'password = ""\n',
        "password-prompt": 'password = getpass.getpass("Password: ")\n',
        "password-env": 'password = os.environ["DATABASE_PASSWORD"]\n',
        "password-template": 'password: "{{ vault_database_password }}"\n',
        "password-shell": 'API_KEY="${PRODUCTION_API_KEY}"\n',
        "password-secretsyntax": "token: ${{ secrets.GITHUB_TOKEN }}\n",
        "password-placeholder": 'api_key = "your-api-key-goes-here-1234"\n',
        "password-stars": "api_key = '****************************'\n",
        "password-exes": 'token = "ghp_' + "x" * 36 + '"\n',
        "password-ellipsis": 'OPENAI_API_KEY="sk-..."\n',
        "aws-example": f"aws_access_key_id = {aws}\n",
        "aws-secret-example": "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfi" + "CYEXAMPLEKEY\n",
        "anthropic-form": 'if key.startswith("sk-ant-api03-"): return True\n',
        "github-form": "tokens start with ghp_, gho_ or github_pat_\n",
        "regex": r'PATTERN = re.compile(r"ghp_[A-Za-z0-9]{36}|sk-ant-[a-z0-9-]{20,}")' + "\n",
        "pem-marker": 'if line.startswith("-----BEGIN ' + 'PRIVATE KEY-----"):\n',
        "pem-elided": "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIE...\n-----END RSA PRIVATE KEY-----\n",
        "public-key": f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA{m.take(ALNUM, 43)} me@host\n",
        "certificate": m.pem("CERTIFICATE"),
        "png-data-url": f'<img src="data:image/png;base64,{pixels}">\n',
        "svg-path": 'd="M' + " ".join(f"{m.random.random() * 99:.3f}" for _ in range(200)) + 'z"\n',
        "minified-js": minified,
        "sourcemap": '{"version":3,"mappings":"' + m.take(ALNUM + ";,", 800) + '"}\n',
        "url-user": "git clone https://git@github.com/org/repo.git\n",
        "url-port": "proxy = http://localhost:3128\n",
        "url-example": "postgres://user:password@localhost:5432/db\n",
        "url-variable": "https://oauth2:${GITLAB_TOKEN}@gitlab.com/a/b.git\n",
        "snake-names": "secret_key_base_rotation_interval_seconds = 3600\n",
        "dotted-names": 'access_token = "azure.identity.aio.credential.provider"\n',
        "css": ".btn-" + m.take(HEX, 6) + "{color:#" + m.take(HEX, 6) + "}\n",
        "base64-text": base64.b64encode(b"The quick brown fox jumps over the lazy dog. " * 5).decode(),
        "hexdump": "\n".join(
            f"{i:08x}  " + " ".join(f"{b:02x}" for b in m.raw(16)) for i in range(0, 256, 16)
        ),
        "log-ids": "\n".join(f"trace_id={m.take(HEX, 32)} span_id={m.take(HEX, 16)}" for _ in range(20)),
        "etag": f'ETag: "{m.take(HEX, 32)}"\n',
        "csrf-name": '<input name="csrf_token" type="hidden">\n',
        "i18n": '"passwordResetTokenExpired": "Your password reset token has expired"\n',
        "checked-dead": f"# a token with a wrong checksum: {_dead(m)}\n",
    }
    return [Case(name, text) for name, text in texts.items()]


def _dead(m: Maker) -> str:
    alive = m.checked("ghp_")
    return alive[:-1] + ("A" if alive[-1] != "A" else "B")
