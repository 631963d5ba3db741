"""Every service in every protocol that botocore may choose for it: both sides understand each other."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import urlencode, urlsplit

import botocore.loaders
import botocore.model
import botocore.parsers
import botocore.serialize
import pytest
from botocore.awsrequest import HeadersDict

from modeldyno.buckets.listings import NAMESPACE
from modeldyno.buckets.table import TABLE
from modeldyno.domain.errors import MalformedRequest
from modeldyno.wire.decode import PREFIXES, Call, Protocol, api_of, decode_call, protocol_of
from modeldyno.wire.encode import encode_answer
from modeldyno.wire.faults import Fault, encode_fault
from modeldyno.wire.forms import VERSIONS, read_form
from modeldyno.wire.rest import match, read_head, read_request, write_answer
from modeldyno.wire.service import Api, service
from modeldyno.wire.xml import read_document
from tests.unit.wire.samples import on_our_side, sample

SPOKEN = [
    (Api.SAGEMAKER, "json"),
    (Api.LOGS, "json"),
    (Api.SCALING, "json"),
    (Api.METRICS, "json"),
    (Api.METRICS, "query"),
    (Api.METRICS, "smithy-rpc-v2-cbor"),
    (Api.STS, "query"),
    (Api.IAM, "query"),
]
NAMES = {"json": Protocol.JSON, "query": Protocol.QUERY, "smithy-rpc-v2-cbor": Protocol.CBOR}
WHOLE = datetime(2024, 2, 29, 12, 30, 15, tzinfo=UTC)  # headers have no fractions of a second


def theirs(api):
    return botocore.model.ServiceModel(botocore.loaders.Loader().load_service_model(api, "service-2"))


MODELS = {api: theirs(api) for api in Api if api is not Api.RUNTIME}


def test_the_protocols_are_all_that_botocore_may_choose():
    for api, model in MODELS.items():
        if api is not Api.S3:
            assert {protocol for one, protocol in SPOKEN if one is api} == set(model.metadata["protocols"]), api


def test_services_are_told_by_what_their_models_say():
    for prefix, api in PREFIXES.items():
        assert MODELS[api].metadata["targetPrefix"] == prefix
    for version, api in VERSIONS.items():
        assert MODELS[api].api_version == version


@pytest.mark.parametrize(("api", "protocol"), SPOKEN)
def test_every_request_is_read_as_it_was_meant(api, protocol):
    serializer = botocore.serialize.create_serializer(protocol, include_validation=False)
    model = MODELS[api]
    for name in model.operation_names:
        operation = model.operation_model(name)
        meant = sample(operation.input_shape) if operation.input_shape else {}
        sent = serializer.serialize_to_request(meant, operation)
        body = sent["body"]
        if isinstance(body, dict):
            body = urlencode(body, doseq=True).encode()
        headers = {key.lower(): value for key, value in sent["headers"].items()}
        assert protocol_of(headers, sent["url_path"]) is NAMES[protocol]
        call = decode_call(headers, body, sent["url_path"])
        assert (call.api, call.operation, call.protocol) == (api, name, NAMES[protocol])
        assert api_of(headers, sent["url_path"]) in (api, None)
        assert call.params == on_our_side(meant), name


@pytest.mark.parametrize(("api", "protocol"), SPOKEN)
def test_every_answer_is_parsed_as_it_was_meant(api, protocol):
    parser = botocore.parsers.create_parser(protocol)
    model = MODELS[api]
    for name in model.operation_names:
        if model.operation_model(name).has_event_stream_output:
            continue
        shape = model.operation_model(name).output_shape
        meant = sample(shape) if shape else {}
        call = Call(name, "eu-west-1", {}, api, NAMES[protocol])
        body, headers = encode_answer(call, on_our_side(meant) if shape else None, "the-id")
        parsed = parser.parse({"status_code": 200, "headers": HeadersDict(headers), "body": body}, shape)
        told = parsed.pop("ResponseMetadata")
        if protocol != "smithy-rpc-v2-cbor":  # of which botocore reads no id
            assert told["RequestId"] == "the-id"
        assert on_our_side(parsed) == on_our_side(meant), name


@pytest.mark.parametrize(("api", "protocol"), SPOKEN)
def test_an_error_is_parsed_with_its_code_and_message(api, protocol):
    body, headers = encode_fault(Fault("SomeException", 400, "What to do: é."), "the-id", api, NAMES[protocol])
    parser = botocore.parsers.create_parser(protocol)
    shape = MODELS[api].operation_model(MODELS[api].operation_names[0]).output_shape
    parsed = parser.parse({"status_code": 400, "headers": HeadersDict(headers), "body": body}, shape)
    assert parsed["Error"]["Code"] == "SomeException"
    assert parsed["Error"]["Message"] == "What to do: é."
    assert parsed["ResponseMetadata"]["RequestId"] == "the-id"


# --- REST with XML ---


AT_OTHER_HOSTS = {"WriteGetObjectResponse", "CreateSession", "ListDirectoryBuckets"}


@pytest.mark.parametrize("name", sorted(set(MODELS[Api.S3].operation_names) - AT_OTHER_HOSTS))
def test_every_operation_of_s3_is_told_from_the_others(name):
    model = MODELS[Api.S3].operation_model(name)
    asked, _, _ = sent_to_s3(name, required(model.input_shape) if model.input_shape else {})
    found = match(Api.S3, asked)
    same = {"GetBucketNotification": "GetBucketNotificationConfiguration", "GetBucketLifecycle": ""}
    alike = {found, f"{name}Configuration", same.get(name, name)}
    assert name in alike or found in alike, found


@pytest.mark.parametrize("name", TABLE)
def test_every_request_to_s3_is_read_as_it_was_meant(name):
    model = MODELS[Api.S3].operation_model(name)
    shape = model.input_shape
    meant = sample(shape, moment=WHOLE, text="a b+c/d%") if shape else {}
    meant.pop("Expires", None)  # any text, in the model's file
    for member in ("Bucket", "Key"):
        if member in meant:
            meant[member] = {"Bucket": "bucket", "Key": "dir/a b+%é"}[member]
    if "CopySource" in meant and not name.endswith("Copy") and name != "CopyObject":
        del meant["CopySource"]
    asked, body, _ = sent_to_s3(name, meant)
    streams = shape is not None and shape.serialization.get("payload") == "Body"
    read = read_request(Api.S3, name, asked, b"" if streams else body)
    expected = {key: value for key, value in meant.items() if not (streams and key == "Body")}
    assert read == on_our_side(expected)


@pytest.mark.parametrize("name", [name for name in TABLE if name != "GetBucketLocation"])
def test_every_answer_of_s3_is_parsed_as_it_was_meant(name):
    model = MODELS[Api.S3].operation_model(name)
    shape = model.output_shape
    meant = sample(shape, moment=WHOLE, text="a b+c/d%") if shape else {}
    for member in ("Body", "Expires"):
        meant.pop(member, None)
    status, headers, body = write_answer(Api.S3, name, on_our_side(meant), TABLE[name].root, NAMESPACE)
    parser = botocore.parsers.create_parser("rest-xml")
    parsed = parser.parse({"status_code": status, "headers": HeadersDict(headers), "body": body}, shape)
    parsed.pop("ResponseMetadata")
    parsed.pop("Body", None)
    assert on_our_side(parsed) == on_our_side(meant)


def required(shape):
    chosen = {name: sample(shape.members[name]) for name in shape.required_members}
    return chosen | {name: value for name, value in (("Bucket", "bucket"), ("Key", "a/b")) if name in chosen}


def sent_to_s3(name, params):
    model = MODELS[Api.S3].operation_model(name)
    sent = botocore.serialize.create_serializer("rest-xml", include_validation=False).serialize_to_request(
        params, model
    )
    url = urlsplit(sent["url_path"])
    query = "&".join(part for part in (url.query, urlencode(pairs(sent["query_string"]))) if part).replace("+", "%20")
    headers = [
        (key.lower(), value if isinstance(value, str) else value.decode()) for key, value in sent["headers"].items()
    ]
    body = sent["body"] or b""
    asked = read_head(sent["method"], url.path, query, headers, 2)
    return asked, body if isinstance(body, bytes) else bytes(body), service(Api.S3)


def pairs(query):
    if isinstance(query, dict):
        return [(key, one) for key, value in query.items() for one in (value if isinstance(value, list) else [value])]
    return query


@pytest.mark.parametrize("name", ["a" + ".a" * 100, "a" + "." * 1_000_000])
def test_a_form_that_nests_without_end_is_malformed(name):
    body = urlencode({"Action": "GetMetricData", "Version": "2010-08-01", name: "1"}).encode()
    with pytest.raises(MalformedRequest, match="deep"):
        read_form(body)


def test_places_of_a_list_in_a_form_may_have_any_number_of_digits():
    fields = {f"MetricDataQueries.member.{place}.Id": place[:1] for place in ("9" * 6000, "10", "2")}
    body = urlencode({"Action": "GetMetricData", "Version": "2010-08-01", **fields}).encode()
    assert read_form(body)[2] == {"MetricDataQueries": [{"Id": "2"}, {"Id": "1"}, {"Id": "9"}]}


@pytest.mark.parametrize("encoding", ["foo", "utf-7", "shift_jis", "base64", "undefined", "utf-16"])
def test_xml_in_an_encoding_that_is_not_read_is_malformed(encoding):
    with pytest.raises(MalformedRequest):
        read_document(Api.S3, "Delete", f'<?xml version="1.0" encoding="{encoding}"?><Delete/>'.encode())
