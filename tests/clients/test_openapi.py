"""The documents for machines are valid, and the server does as they say, whatever it is asked."""

import json

import pytest
import schemathesis
import yaml
from hypothesis import HealthCheck, settings
from jsonschema import Draft7Validator
from openapi_spec_validator import validate
from schemathesis import checks

from running import NODE_MODULES, ROOT, Server

DOCS = ROOT / "docs"
OPENAPI = schemathesis.openapi.from_path(DOCS / "openapi.yaml")


@schemathesis.serializer("application/x-ndjson", "application/jsonl")
def lines(context, value):
    """They are text, which schemathesis can't know."""
    return value if isinstance(value, bytes) else str(value).encode()


# Each answer has to be one that the document has: its status, its type, its headers, its body. No
# 5xx, documented or not; and what is not there is not answered.
CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]

# The same requests each time, so that what fails fails for everybody.
BOUNDED = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


def test_openapi_yaml_is_openapi():
    validate(yaml.safe_load((DOCS / "openapi.yaml").read_text()))


def test_asyncapi_yaml_is_asyncapi():
    definition = NODE_MODULES / "@asyncapi" / "specs" / "schemas" / "3.0.0.json"
    validator = Draft7Validator(json.loads(definition.read_text()))
    document = yaml.safe_load((DOCS / "asyncapi.yaml").read_text())
    assert [error.message for error in validator.iter_errors(document)] == []


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """A server that is asked all sorts of things, and has to be well in the end."""
    folder = tmp_path_factory.mktemp("asked")
    secret = folder / "hook.secret"
    secret.touch(mode=0o600)
    secret.write_text("0123456789abcdef\n")
    server = Server(folder)
    server.start(
        "--metrics-listen", "127.0.0.1:0",
        "--auth-failed-tries-per-minute", "0",
        "--hooks-tradingview-secret-file", str(secret),
    )  # fmt: skip
    yield server
    server.stop()
    assert not [line for line in server.child.errors if "panicked" in line or "bug" in line]


@pytest.fixture(scope="module")
def admin(asked) -> dict[str, str]:
    # A subject that nobody comes upon who revokes subjects at random.
    token = asked.token("signals:read signals:publish admin", sub="nobody-guesses-this-subject")
    return {"Authorization": f"Bearer {token}"}


@OPENAPI.exclude(path="/metrics").parametrize()
@BOUNDED
def test_without_a_token_the_server_does_as_its_document_says(case, asked):
    case.call_and_validate(base_url=asked.https, verify=asked.ca, timeout=20, checks=CHECKS)


# With a token the stream goes on until somebody ends it.
@OPENAPI.exclude(path=["/metrics", "/signals/stream"]).parametrize()
@BOUNDED
def test_with_a_token_the_server_does_as_its_document_says(case, asked, admin):
    case.call_and_validate(
        base_url=asked.https, verify=asked.ca, headers=admin, timeout=20, checks=CHECKS
    )


@OPENAPI.include(path=["/metrics", "/healthz", "/readyz"]).parametrize()
@BOUNDED
def test_where_metrics_are_the_server_does_as_its_document_says(case, asked):
    told = "metrics are served address="
    address = asked.child.error_line(told).split(told)[1]
    case.call_and_validate(base_url=f"http://{address}", timeout=20, checks=CHECKS)
