"""The region of an invocation is the one that it was signed for, wherever the signature is."""

from __future__ import annotations

import time
from urllib.parse import urlsplit

from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from modeldyno.router.admission import admit
from modeldyno.wire.gate import Gate, open_gate


class Keys:
    required = True

    def secret(self, key_id: str) -> str | None:
        return {"key": "secret"}.get(key_id)

    def look_again(self) -> bool:
        return False


async def test_the_region_is_the_one_that_was_signed_for() -> None:
    for auth in (SigV4Auth, SigV4QueryAuth):
        request = AWSRequest("POST", "http://127.0.0.1:1/endpoints/e/invocations", {"Host": "127.0.0.1:1"}, b"")
        auth(Credentials("key", "secret"), "sagemaker", "eu-west-1").add_auth(request)
        parts = urlsplit(request.prepare().url)
        scope = {
            "method": "POST",
            "raw_path": parts.path.encode(),
            "query_string": parts.query.encode(),
            "headers": [(name.lower().encode(), value.encode()) for name, value in request.headers.items()],
        }
        assert await admit(Gate(Keys(), time.time), scope, b"") == "eu-west-1"
        assert await admit(open_gate(), scope, b"") is None
