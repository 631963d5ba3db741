"""What a handler may ask about its request, and say about its answer: the optional `context` argument.

**Source:** the inference toolkit hands over multi-model-server's Context (awslabs/multi-model-server, mms/context.py);
these are its members that make sense for one request at a time.
"""

from __future__ import annotations

from typing import Any


class RequestProcessor:
    """One request's headers, and what its answer shall bear."""

    def __init__(self, headers: dict[str, str]) -> None:
        self._headers = headers
        self._lower = {name.lower(): value for name, value in headers.items()}
        self.status_code = 200
        self.response_headers: dict[str, str] = {}

    def get_request_properties(self) -> dict[str, str]:
        """Every header of the request that reaches a container."""
        return self._headers

    def get_request_property(self, key: str) -> str | None:
        """One header, whatever its case."""
        return self._lower.get(key.lower())

    def report_status(self, code: int, reason_phrase: str | None = None) -> None:
        """Set the answer's status."""
        self.status_code = code

    def add_response_property(self, key: str, value: str) -> None:
        """Set a header of the answer."""
        self.response_headers[key] = value


class Context:
    """Where the model is, and the request at hand. `idx` is always 0: requests are not batched."""

    def __init__(self, model_dir: str, gpu_id: int | None = None) -> None:
        self.model_name = "model"
        self.manifest: dict[str, Any] = {}
        self.system_properties = {
            "model_dir": model_dir,
            "gpu_id": gpu_id,
            "batch_size": 1,
            "server_name": "Dyno",
            "server_version": "1",
        }
        self._processor = RequestProcessor({})

    def begin(self, headers: dict[str, str]) -> RequestProcessor:
        """Turn to another request."""
        self._processor = RequestProcessor(headers)
        return self._processor

    @property
    def request_processor(self) -> list[RequestProcessor]:
        """The request at hand, in a list."""
        return [self._processor]

    def get_request_header(self, idx: int, key: str) -> str | None:
        """A header of the request."""
        return self._processor.get_request_property(key)

    def get_all_request_header(self, idx: int) -> dict[str, str]:
        """Every header of the request."""
        return self._processor.get_request_properties()

    def get_response_content_type(self, idx: int) -> str | None:
        """What `set_response_content_type` has set."""
        return self._processor.response_headers.get("content-type")

    def set_response_content_type(self, idx: int, value: str) -> None:
        """Set the answer's content type."""
        self._processor.add_response_property("content-type", value)

    def set_response_header(self, idx: int, key: str, value: str) -> None:
        """Set a header of the answer."""
        self._processor.add_response_property(key, value)

    def set_response_status(self, code: int = 200, phrase: str = "", idx: int = 0) -> None:
        """Set the answer's status."""
        self._processor.report_status(code, phrase)
