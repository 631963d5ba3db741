"""Signatures as botocore makes them are good; whatever is changed afterwards makes them bad."""

from __future__ import annotations

import calendar
import hashlib
import time
from urllib.parse import quote, urlencode, urlsplit

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from modeldyno.domain.errors import AccessProblem, AccessRefused
from modeldyno.wire.signature import SignedRequest, verify

KEY, SECRET = "DYNO/KEY", "sec/ret+="
BODY = b'{"ModelName": "m"}'


def signed(auth=SigV4Auth, service="sagemaker", url="http://127.0.0.1:8600/", body=BODY, method="POST", **headers):
    """A request as a client sends it, and when it was signed, in seconds."""
    request = AWSRequest(method, url, {"Host": urlsplit(url).netloc, **headers}, body)
    auth(Credentials(KEY, SECRET), service, "eu-west-1").add_auth(request)
    parts = urlsplit(request.prepare().url)
    pairs = [
        (name.lower(), value if isinstance(value, str) else value.decode()) for name, value in request.headers.items()
    ]
    moment = calendar.timegm(time.strptime(request.context["timestamp"], "%Y%m%dT%H%M%SZ"))
    return SignedRequest(method, parts.path, parts.query, pairs), moment


def check(request, now, body=BODY, secret=SECRET):
    return verify(request, {KEY: secret}.get, now, lambda: hashlib.sha256(body).hexdigest())


def problem(request, now, **more):
    with pytest.raises(AccessRefused) as refused:
        check(request, now, **more)
    return refused.value.problem


@pytest.mark.parametrize("path", ["/", "/endpoints/a%20b/invocations", "/a/../b//c", "/a/./", "/..", "/é~"])
def test_what_botocore_signed_is_good(path):
    url = f"http://localhost:8600{path}?b=2&a=1%2F&a=0&c"
    request, now = signed(SigV4Auth, "sagemaker", url)
    assert check(request, now).scope.key_id == KEY
    presigned, now = signed(SigV4QueryAuth, "sts", url, b"", "GET")
    assert check(presigned, now, b"").scope.key_id == KEY


@pytest.mark.parametrize("auth", [S3SigV4Auth, S3SigV4QueryAuth])
@pytest.mark.parametrize("path", ["/b/k", "/b/a%20b%2Bc/%C3%A9", "/b/a//b/../c", "/b/~k%25?list-type=2&prefix=a%2Fb"])
def test_what_botocore_signed_for_s3_is_good(auth, path):
    request, now = signed(auth, "s3", f"http://localhost:8600{path}", body=b"", method="GET")
    assert check(request, now).scope.service == "s3"


@given(
    path=st.text("abcXYZ019-_.~ %/+:é☃'()*!$&,;=@", max_size=20),
    query=st.dictionaries(st.text("ab +&=é%~", min_size=1, max_size=5), st.text("ab +/&=é%~*", max_size=5), max_size=3),
    value=st.text("ab c,;=\t", max_size=10),
)
def test_any_path_query_and_header_is_signed_alike(path, query, value):
    url = f"http://localhost:8600/{quote(path)}" + (f"?{urlencode(query, quote_via=quote, safe='~')}" if query else "")
    for auth, service in ((SigV4Auth, "sagemaker"), (S3SigV4Auth, "s3")):
        request, now = signed(auth, service, url, **{"X-Amz-Meta-A": value})
        assert check(request, now)


def test_whatever_is_changed_is_noticed():
    request, now = signed(**{"X-Amz-Target": "SageMaker.DescribeModel"})
    changed = [
        SignedRequest("PUT", request.path, request.query, request.headers),
        SignedRequest("POST", "/other", request.query, request.headers),
        SignedRequest("POST", request.path, "a=1", request.headers),
        SignedRequest(
            "POST", request.path, request.query, [(n, v.replace("Describe", "Delete")) for n, v in request.headers]
        ),
        SignedRequest("POST", request.path, request.query, [*request.headers, ("x-amz-other", "unsigned")]),
        SignedRequest(
            "POST", request.path, request.query, [(n, "evil" if n == "host" else v) for n, v in request.headers]
        ),
    ]
    for other in changed:
        assert problem(other, now) in (AccessProblem.MISMATCH, AccessProblem.INCOMPLETE)
    assert problem(request, now, body=b"other") is AccessProblem.MISMATCH
    assert problem(request, now, secret="other") is AccessProblem.MISMATCH


@pytest.mark.parametrize(("auth", "service", "minutes"), [(SigV4Auth, "sagemaker", 5), (S3SigV4Auth, "s3", 15)])
def test_the_clocks_may_differ_by_so_much(auth, service, minutes):
    request, now = signed(auth, service)
    for sign in (-1, 1):
        assert check(request, now + sign * (minutes * 60 - 1))
        assert problem(request, now + sign * (minutes * 60 + 1)) is AccessProblem.SKEWED


def test_a_presigned_url_lives_as_long_as_it_says():
    def auth(*arguments):
        return S3SigV4QueryAuth(*arguments, expires=100)

    request, now = signed(auth, "s3", "http://localhost/b/k", b"", "GET")
    assert check(request, now + 99)
    assert problem(request, now + 101) is AccessProblem.OVER
    assert problem(request, now - 16 * 60) is not None


def test_who_does_not_sign_or_half_or_with_an_unknown_key_is_told_apart():
    request, now = signed()
    nothing = SignedRequest("POST", "/", "", [("host", "127.0.0.1")])
    assert problem(nothing, now) is AccessProblem.MISSING
    half = SignedRequest("POST", "/", "", [("host", "a"), ("authorization", "AWS4-HMAC-SHA256 Credential=x")])
    assert problem(half, now) is AccessProblem.INCOMPLETE
    with pytest.raises(AccessRefused) as refused:
        verify(request, {}.get, now, lambda: "")
    assert refused.value.problem is AccessProblem.UNKNOWN_KEY


def test_a_plus_sign_of_a_query_is_signed_as_it_is_read():
    request, now = signed(S3SigV4Auth, "s3", "http://localhost:8600/b?prefix=a%2Bb", body=b"", method="GET")
    changed = SignedRequest(request.method, request.path, "prefix=a+b", request.headers)
    assert problem(changed, now) is AccessProblem.MISMATCH
    request, now = signed(S3SigV4Auth, "s3", "http://localhost:8600/b?prefix=a%20b", body=b"", method="GET")
    changed = SignedRequest(request.method, request.path, "prefix=a+b", request.headers)
    assert check(changed, now).scope.key_id == KEY


def test_a_header_beside_a_presigned_query_is_refused_as_it_could_name_another_region():
    request, now = signed(SigV4QueryAuth, "sts", body=b"", method="GET")
    other = ("authorization", "AWS4-HMAC-SHA256 Credential=x/20240101/us-east-1/sts/aws4_request")
    both = SignedRequest(request.method, request.path, request.query, [*request.headers, other])
    assert problem(both, now, body=b"") is AccessProblem.INCOMPLETE


def test_a_life_of_many_digits_is_no_life():
    request, now = signed(SigV4QueryAuth, "sts", body=b"", method="GET")
    for life in ("0000000019", "1" * 5000):
        query = request.query.replace("X-Amz-Expires=3600", f"X-Amz-Expires={life}")
        assert query != request.query
        changed = SignedRequest(request.method, request.path, query, request.headers)
        assert problem(changed, now, body=b"") is AccessProblem.INCOMPLETE
