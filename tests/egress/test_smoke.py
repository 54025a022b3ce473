from __future__ import annotations

from pathlib import Path

from tests.egress.support import Upstream, running_proxy
from sidecars.egress.routes import Route
from sidecars.secrets import SecretSource


def test_all(tmp_path: Path) -> None:
    upstream = Upstream(tmp_path, "api.example.com")
    route = Route(
        host="api.example.com", upstream=upstream.address, upstream_ca=str(upstream.ca_file), token_ref="TOK"
    )
    with running_proxy(tmp_path, route, secrets={"TOK": SecretSource(value="s3cret-token-value")}) as proxy:
        with proxy.client() as client:
            client.tunnel("api.example.com")
            for _ in range(2):
                answer = client.request(
                    "GET", "/v1/x?y=1", "api.example.com", {"Authorization": "Bearer mine"}
                )
                assert answer.status == 200, answer
            answer = client.request("POST", "/v1/x?y=1", "api.example.com", {}, b"hello")
            assert answer.status == 200, answer
            answer = client.request("GET", "/a%2fb", "api.example.com")
            assert answer.reason == "path-not-allowed"
        with proxy.client() as client:
            print(client.connect("evil.com:443"))
        with proxy.client() as client:
            print(client.request("GET", "http://_egress.local/routes", "_egress.local").json())
        for line in proxy.audit():
            print(line)
        print(upstream.requests[0])
    upstream.close()
