"""What `curl --include` shows of a refusal. curl ends by itself only if the server closes the
connection, so that it ends at all is part of each test."""

import json
from dataclasses import dataclass

import pytest

UPGRADE = (
    *("--header", "Connection: Upgrade", "--header", "Upgrade: websocket"),
    *("--header", "Sec-WebSocket-Version: 13"),
    *("--header", "Sec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw=="),
)


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: str

    @property
    def code(self) -> str:
        error = json.loads(self.body)
        assert error["type"] == "error"
        assert error["message"]
        return error["code"]


@pytest.fixture
def curl(server, run):
    def get(path: str, *arguments: str) -> Answer:
        # --http1.1, since curl would offer HTTP/2, which knows no `Connection` header.
        command = ("curl", "--include", "--no-progress-meter", "--http1.1")
        child = run(*command, "--cacert", server.ca, *arguments, server.https + path)
        code = child.ended()
        # 52: a server that closed without an answer, and so on; --include shows what came.
        assert code == 0, child.story()
        empty = child.lines.index("")
        status, *headers = child.lines[:empty]
        pairs = (header.split(": ", 1) for header in headers)
        return Answer(
            int(status.split()[1]),
            {name.lower(): value for name, value in pairs},
            "\n".join(child.lines[empty + 1 :]),
        )

    return get


@pytest.fixture
def refused(curl):
    def get(path: str, *arguments: str) -> Answer:
        answer = curl(path, *arguments)
        assert answer.headers["connection"].lower() == "close"
        return answer

    return get


def test_an_upgrade_without_a_token_is_refused_with_401_and_a_challenge(refused):
    answer = refused("/", *UPGRADE)
    assert answer.status == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="signalcast"'
    assert answer.code == "missing_token"


def test_an_upgrade_with_a_bad_token_is_told_so_and_never_the_token(refused):
    answer = refused("/", *UPGRADE, "--header", "Authorization: Bearer s3cr3t-t0ken")
    assert answer.status == 401
    assert answer.headers["www-authenticate"].startswith(
        'Bearer realm="signalcast", error="invalid_token", error_description="'
    )
    assert answer.code == "invalid_token"
    assert "s3cr3t" not in str(answer)


def test_a_token_without_the_scope_is_refused_with_403_that_names_it(refused, server):
    token = server.token("signals:test")
    answer = refused("/", *UPGRADE, "--header", f"Authorization: Bearer {token}")
    assert answer.status == 403
    assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]
    assert 'scope="signals:read"' in answer.headers["www-authenticate"]
    assert answer.code == "insufficient_scope"


def test_two_authorization_headers_are_refused_with_400(refused):
    twice = ("--header", "Authorization: Bearer a", "--header", "Authorization: Bearer b")
    answer = refused("/", *UPGRADE, *twice)
    assert answer.status == 400
    assert answer.code == "invalid_request"


def test_another_path_is_refused_with_404(refused):
    answer = refused("/signal")
    assert answer.status == 404
    assert answer.code == "not_found"


def test_another_method_is_refused_with_405(refused):
    answer = refused("/ws", "--request", "DELETE")
    assert answer.status == 405
    assert answer.code == "method_not_allowed"


@pytest.mark.parametrize("path", ["/", "/ws"])
def test_a_plain_request_is_told_to_upgrade_with_426(refused, path):
    answer = refused(path)
    assert answer.status == 426
    assert answer.code == "upgrade_required"


def test_another_websocket_version_is_told_the_right_one_with_426(refused):
    version = [part.replace("Version: 13", "Version: 8") for part in UPGRADE]
    answer = refused("/", *version)
    assert answer.status == 426
    assert answer.headers["sec-websocket-version"] == "13"


def test_headers_over_16_kib_are_refused_with_431(refused):
    answer = refused("/", *UPGRADE, "--header", f"X-Long: {'x' * 17_000}")
    assert answer.status == 431
    assert answer.code == "headers_too_large"


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_is_answered_without_a_token(curl, path):
    assert curl(path).status == 200
