"""administration/openapi.py: the description is true, as far as a machine can ask.

Schemathesis makes requests from the document, right and wrong ones, and holds each reply against it: the statuses, the
content types, the shapes; that wrong data is refused, right data is not, that no key is no access. It always makes the
same ones.
"""

from __future__ import annotations

import asyncio
import copy
import json
import re
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema

from router import __version__
from router.administration import OPERATIONS, ROOT
from router.administration.openapi import document
from tests.administration.office import ADMIN_KEY, Office, open_office
from tests.models import served

DOCUMENT = document(OPERATIONS, ROOT, __version__)
NOUNS = {
    "endpoint": ["iris"],
    "deployment": ["blue", "green"],
    "key": ["primary", "secondary", "team"],
    "uid": ["iris/blue@10.0.0.1:5001#1", "two"],
}
LABELS = {f"{method.upper()} {path}" for path, methods in DOCUMENT["paths"].items() for method in methods}
CAN_NOT_BE = ["2xx", "401", "403", "404", "409", "422"]
"""What right data may lead to: 422 is for values that only the platform can judge, and a document can't say."""


class Seen(NamedTuple):
    """By operation, how often each status was seen; and what was wrong."""

    statuses: dict[str, dict[int, int]]
    faults: list[str]
    checks: set[str]


class HastyOffice(Office):
    """Every look at its clock takes a second, so that nobody is refused too often."""

    def clock(self) -> float:
        self.now_s += 1
        return self.now_s


@contextmanager
def listening() -> Iterator[str]:
    """On a loop of its own: who asks, waits for the reply. Yields the internal port's URL."""
    ready, urls = threading.Event(), list[str]()
    end: list[Callable[[], object]] = []

    async def serve() -> None:
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        async with open_office(HastyOffice()) as office, served(office.app) as port:
            urls.append(f"http://127.0.0.1:{port}")
            end.append(lambda: loop.call_soon_threadsafe(ended.set))
            ready.set()
            await ended.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(20)
        yield urls[0]
    finally:
        for each in end:
            each()
        thread.join(20)


def asked(description: dict[str, Any], mode: str, max_examples: int) -> Seen:
    """What schemathesis sees of the app, in all its phases. `mode`: whether it asks for what is right, or for all."""
    with listening() as url:
        config = SchemathesisConfig.from_dict(
            {
                "base-url": url,
                "seed": 1,
                "headers": {"Authorization": f"Bearer {ADMIN_KEY}"},
                "generation": {"mode": mode, "deterministic": True, "max-examples": max_examples, "database": "none"},
                "checks": {"positive_data_acceptance": {"expected-statuses": CAN_NOT_BE}},
            }
        )
        return _seen(schemathesis.openapi.from_dict(copy.deepcopy(description), config=config))


def _seen(schema: Any) -> Seen:
    statuses: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    seen = Seen(statuses, [], set())
    for event in from_schema(schema).execute():
        if isinstance(event, events.NonFatalError | events.FatalError):
            seen.faults.append(str(getattr(event, "info", event)))
        elif isinstance(event, events.ScenarioFinished):
            for interaction in event.recorder.interactions.values():
                if interaction.response is not None:
                    statuses[event.recorder.label][interaction.response.status_code] += 1
            for checks in event.recorder.checks.values():
                seen.checks.update(check.name for check in checks)
                seen.faults.extend(
                    f"{event.recorder.label}: {check.failure_info.failure.title}: {check.failure_info.failure.message}"
                    for check in checks
                    if check.failure_info is not None
                )
    return seen


def with_nouns(description: dict[str, Any]) -> dict[str, Any]:
    """Naming the endpoints, deployments, keys and replicas that there are."""
    named = copy.deepcopy(description)
    for path in named["paths"].values():
        for operation in path.values():
            for parameter in operation["parameters"]:
                if parameter["name"] in NOUNS:
                    parameter["schema"] = {"type": "string", "enum": NOUNS[parameter["name"]]}
    return named


def test_every_reply_to_whatever_may_be_asked_is_as_the_document_says() -> None:
    seen = asked(DOCUMENT, "all", 20)
    assert sorted(set(seen.faults)) == []
    assert {"not_a_server_error", "status_code_conformance", "content_type_conformance"} <= seen.checks
    assert {"response_schema_conformance", "negative_data_rejection", "positive_data_acceptance"} <= seen.checks
    assert {"ignored_auth", "unsupported_method"} <= seen.checks
    assert set(seen.statuses) >= LABELS


def test_every_operation_on_what_there_is_succeeds_as_the_document_says() -> None:
    seen = asked(with_nouns(DOCUMENT), "positive", 20)
    assert sorted(set(seen.faults)) == []
    assert [label for label in LABELS if not {200, 201} & set(seen.statuses[label])] == []


def test_the_document_has_every_operation_with_its_name_and_summary() -> None:
    told = {
        (method.upper(), path): (each["operationId"], each["summary"])
        for path, methods in DOCUMENT["paths"].items()
        for method, each in methods.items()
    }
    assert len(told) == len(OPERATIONS)
    for each in OPERATIONS:
        path = (each.path if each.is_open else ROOT + each.path).replace(":path}", "}")
        assert told[each.method, path] == (each.name, each.summary)


def test_only_what_is_open_needs_no_key() -> None:
    no_key = [
        each["operationId"] for path in DOCUMENT["paths"].values() for each in path.values() if not each["security"]
    ]
    assert no_key == ["showJwks"]
    assert DOCUMENT["components"]["securitySchemes"] == {"adminKey": {"type": "http", "scheme": "bearer"}}


def test_no_reference_leads_nowhere() -> None:
    names = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(DOCUMENT)))
    assert names == set(DOCUMENT["components"]["schemas"])


async def test_it_is_served_to_anybody() -> None:
    async with Office().client(None) as client:
        reply = await client.get("/openapi.json")
    assert (reply.status_code, reply.headers["content-type"]) == (200, "application/json")
    assert reply.json() == DOCUMENT
