"""Which header fields cross, and which are added, against section 4 of the contract."""

from __future__ import annotations

import re
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.errors import HeadTooLarge
from router.core.hygiene import (
    check_id_lengths,
    client_request_id,
    forwarded,
    request_id,
    to_client,
    to_replica,
    trace_context,
)

Header = tuple[bytes, bytes]

DIGITS = b"0123456789abcdef0123456789abcdef0123456789abcdef"
GUID = b"6F9619FF-8b86-d011-b42d-00c04fc964ff"
PARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

hex_digits = st.text("0123456789abcdef", min_size=48, max_size=48).map(str.encode)
NAMES = (b"x-a", b"x-b", b"content-type", b"cookie", b"x-internal-user", b"accept")
names = st.sampled_from(NAMES)
spellings = st.sampled_from((bytes.lower, bytes.upper, bytes.title))


@st.composite
def connection_values(draw: st.DrawFn) -> bytes:
    """What a `Connection` field may say: options in any spelling, with white space and empty elements."""
    options = st.one_of(names, st.sampled_from((b"close", b"keep-alive", b"te", b"", b"upgrade")))
    listed = [draw(spellings)(option) for option in draw(st.lists(options, max_size=4))]
    return draw(st.sampled_from((b",", b", ", b" ,\t"))).join(listed)


fields_to_cross = st.lists(
    st.one_of(
        st.tuples(names, st.sampled_from((b"1", b"", b"a, b"))),
        st.tuples(st.just(b"connection"), connection_values()),
        st.tuples(st.sampled_from((b"proxy-authorization", b"proxy-connection", b"proxy-x", b"te", b"upgrade")), names),
        st.tuples(st.sampled_from((b"keep-alive", b"trailer", b"transfer-encoding", b"http2-settings")), names),
    ),
    max_size=8,
)


def named_in_connection(headers: list[Header]) -> set[bytes]:
    return {
        option.strip(b" \t").lower() for name, value in headers if name == b"connection" for option in value.split(b",")
    }


def replica_lines(headers: list[Header]) -> list[Header]:
    lines = to_replica(headers, dict(headers)).split(b"\r\n")
    assert lines.pop() == b""
    return [(name, value) for name, _, value in (line.partition(b": ") for line in lines)]


# -- what crosses ----------------------------------------------------------------------------------------------


@given(fields_to_cross)
def test_nothing_hop_by_hop_crosses_and_all_else_does(headers: list[Header]) -> None:
    hop_by_hop = {
        b"connection", b"keep-alive", b"te", b"trailer", b"transfer-encoding", b"upgrade", b"http2-settings",
    }  # fmt: skip
    dropped = hop_by_hop | named_in_connection(headers)
    expected = [header for header in headers if header[0] not in dropped and not header[0].startswith(b"proxy-")]
    assert replica_lines(headers) == expected
    assert to_client(headers) == expected


@pytest.mark.parametrize("values", [(b"x-a", b"close"), (b"close", b"x-a"), (b"keep-alive", b"X-A"), (b"x-b,x-a", b"")])
def test_what_any_of_several_connection_fields_names_stays_here(values: tuple[bytes, ...]) -> None:
    headers = [(b"x-a", b"1"), (b"accept", b"*/*"), *((b"connection", value) for value in values)]
    assert replica_lines(headers) == [(b"accept", b"*/*")]
    assert to_client(headers) == [(b"accept", b"*/*")]


@pytest.mark.parametrize(
    "name",
    [
        b"authorization", b"content-length", b"expect", b"x-request-id", b"x-ms-client-request-id", b"traceparent",
        b"tracestate", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"forwarded",
    ],
)  # fmt: skip
def test_what_the_router_writes_itself_is_not_passed_on(name: bytes) -> None:
    assert replica_lines([(name, b"1"), (b"accept", b"*/*")]) == [(b"accept", b"*/*")]


@pytest.mark.parametrize(
    "name", [b"x-request-id", b"x-ms-request-id", b"x-ms-client-request-id", b"azureml-model-deployment"]
)
def test_a_replica_does_not_speak_for_the_router(name: bytes) -> None:
    assert to_client([(name, b"1"), (b"content-length", b"0")]) == [(b"content-length", b"0")]


@pytest.mark.parametrize(
    "name", [b"x-ms-run-function-failed", b"x-ms-run-fn-exec-ms", b"x-ms-server-version", b"set-cookie"]
)
def test_what_the_model_says_of_itself_passes_through(name: bytes) -> None:
    assert to_client([(name, b"1"), (name, b"2")]) == [(name, b"1"), (name, b"2")]


# -- ids -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given_id", [GUID, GUID.lower(), GUID.upper(), b"00000000-0000-0000-0000-000000000000"])
def test_a_guid_of_the_client_stays(given_id: bytes) -> None:
    assert request_id(given_id, DIGITS) == given_id


@pytest.mark.parametrize(
    "given_id",
    [
        None, b"", b"1", GUID.replace(b"-", b""), b"{" + GUID + b"}", b"urn:uuid:" + GUID, GUID + b"\n", b" " + GUID,
        GUID[:-1], GUID + b"0", b"G" + GUID[1:], GUID.replace(b"-", b"_"), b"\xd9\xa0" + GUID[2:],
    ],
)  # fmt: skip
def test_anything_else_is_replaced_by_one(given_id: bytes | None) -> None:
    made = request_id(given_id, DIGITS)
    assert made != given_id
    assert uuid.UUID(made.decode()).version == 4


@given(hex_digits)
def test_a_new_id_is_of_version_4_and_the_rfcs_variant_and_of_the_digits_given(digits: bytes) -> None:
    made = request_id(None, digits)
    assert re.fullmatch(rb"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", made)
    parsed = uuid.UUID(made.decode())
    assert (parsed.version, parsed.variant) == (4, uuid.RFC_4122)
    bare = made.replace(b"-", b"")
    assert [bare[n] == digits[n] for n in range(32) if n not in (12, 16)] == [True] * 30


@given(st.binary(max_size=120))
def test_a_client_id_is_cleaned_and_cut(given_id: bytes) -> None:
    kept = bytes(byte for byte in given_id if chr(byte) in "-_" or (byte < 128 and chr(byte).isalnum()))
    assert client_request_id(given_id) == kept[:40]


@pytest.mark.parametrize("name", [b"x-request-id", b"x-ms-request-id", b"x-ms-client-request-id", b"x-ms-a-request-id"])
def test_an_id_may_have_100_characters(name: bytes) -> None:
    check_id_lengths({name: b"a" * 100, b"cookie": b"a" * 1_000})
    with pytest.raises(HeadTooLarge, match="101"):
        check_id_lengths({b"accept": b"", name: b"a" * 101})


@pytest.mark.parametrize("name", [b"request-id", b"x-requests", b"x-ms-request", b"my-x-request-id"])
def test_other_fields_may_be_longer(name: bytes) -> None:
    check_id_lengths({name: b"a" * 101})


# -- trace context ---------------------------------------------------------------------------------------------


def traced(fields: dict[bytes, bytes], digits: bytes = DIGITS) -> dict[bytes, bytes]:
    lines = trace_context(fields, digits).split(b"\r\n")
    assert lines.pop() == b""
    return dict(line.split(b": ", 1) for line in lines)


@pytest.mark.parametrize("parent", [PARENT, PARENT[:-2] + b"00", b"cc" + PARENT[2:], b"cc" + PARENT[2:] + b"-more"])
def test_trace_context_is_passed_on(parent: bytes) -> None:
    assert traced({b"traceparent": parent}) == {b"traceparent": parent}
    both = {b"traceparent": parent, b"tracestate": b"a=1,b=2"}
    assert traced(both) == both


@pytest.mark.parametrize(
    "parent",
    [
        None, b"", b"00", PARENT[:-1], PARENT.upper(), b"ff" + PARENT[2:], b" " + PARENT, PARENT.replace(b"-", b"_"),
        b"00-" + b"0" * 32 + PARENT[35:], PARENT[:36] + b"0" * 16 + b"-01", PARENT + b"\n", PARENT + b"x",
        PARENT + b"-more",  # version 00 has exactly these four parts
    ],
)  # fmt: skip
def test_without_a_valid_one_a_trace_begins_here(parent: bytes | None) -> None:
    given_fields = {b"tracestate": b"a=1"} if parent is None else {b"traceparent": parent, b"tracestate": b"a=1"}
    made = traced(given_fields)
    assert made.keys() == {b"traceparent"}  # a state without its parent means nothing
    assert made[b"traceparent"] != parent


@given(hex_digits)
def test_a_new_trace_is_valid(digits: bytes) -> None:
    (made,) = traced({}, digits).values()
    assert re.fullmatch(rb"00-[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-01", made)
    assert made.startswith(b"00-%b-%b" % (digits[:32], digits[32:47]))
    if int(digits[:32], 16):
        assert traced({b"traceparent": made}) == {b"traceparent": made}


# -- forwarded -------------------------------------------------------------------------------------------------


def forwarded_fields(client: bytes, before: dict[bytes, bytes] | None) -> dict[bytes, bytes]:
    lines = forwarded(client, b"https", b"api.example:8080", before).split(b"\r\n")
    assert lines.pop() == b""
    return dict(line.split(b": ", 1) for line in lines)


BEFORE = {
    b"x-forwarded-for": b"1.2.3.4",
    b"x-forwarded-proto": b"http",
    b"x-forwarded-host": b"outer.example",
    b"forwarded": b"for=1.2.3.4",
}


@pytest.mark.parametrize(("client", "node"), [(b"10.0.0.5", b"10.0.0.5"), (b"2001:db8::1", b'"[2001:db8::1]"')])
def test_who_asked_is_told(client: bytes, node: bytes) -> None:
    assert forwarded_fields(client, None) == {
        b"x-forwarded-for": client,
        b"x-forwarded-proto": b"https",
        b"x-forwarded-host": b"api.example:8080",
        b"forwarded": b"for=" + node + b';host="api.example:8080";proto=https',
    }


def test_what_a_trusted_peer_said_is_appended_to() -> None:
    assert forwarded_fields(b"2001:db8::1", BEFORE) == {
        b"x-forwarded-for": b"1.2.3.4, 2001:db8::1",
        b"x-forwarded-proto": b"http",
        b"x-forwarded-host": b"outer.example",
        b"forwarded": b'for=1.2.3.4, for="[2001:db8::1]";host="api.example:8080";proto=https',
    }


def test_a_trusted_peer_that_said_nothing_changes_nothing() -> None:
    assert forwarded_fields(b"10.0.0.5", {}) == forwarded_fields(b"10.0.0.5", None)
