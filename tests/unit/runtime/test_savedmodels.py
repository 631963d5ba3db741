"""What of TensorFlow's serving needs no TensorFlow: where models are looked for, what becomes a request, the REST door.

The rest is in tests/frameworks.
"""

import json
import urllib.error
import urllib.request

import pytest

from modeldyno.runtime.codecs import StatusError
from modeldyno.runtime.savedmodels import find_servable, request_of
from modeldyno.runtime.servables import RestDoor, RestReply


def saved(root, *places):
    for place in places:
        (root / place).mkdir(parents=True)
        (root / place / "saved_model.pb").write_bytes(b"")
    return root


def test_the_newest_version_of_the_first_model_is_served(tmp_path):
    root = saved(tmp_path, "half/9", "half/10", "half/next", "zero/11", "export/Servo/3")
    (root / "code").mkdir()
    assert find_servable(root) == root / "export" / "Servo" / "3"


def test_a_model_is_served_by_name(tmp_path, monkeypatch):
    root = saved(tmp_path, "half/9", "half/10", "zero/11")
    monkeypatch.setenv("SAGEMAKER_TFS_DEFAULT_MODEL_NAME", "half")
    assert find_servable(root) == root / "half" / "10"
    monkeypatch.setenv("SAGEMAKER_TFS_DEFAULT_MODEL_NAME", "other")
    with pytest.raises(ValueError, match=r"no other/VERSION/saved_model\.pb\. Models in it: half, zero"):
        find_servable(root)


def test_no_saved_model_is_told(tmp_path):
    saved(tmp_path, "half/latest")
    with pytest.raises(ValueError, match=r"no NAME/VERSION/saved_model\.pb, VERSION a number\. Models in it: none"):
        find_servable(tmp_path)


@pytest.mark.parametrize(
    ("body", "kind", "request_"),
    [
        (b'{"instances": [1]}', "application/json", {"instances": [1]}),
        (b'{"inputs": {"a": 1}}', "application/json", {"inputs": {"a": 1}}),
        (b"[[1, 2]]", "application/json", {"instances": [[1, 2]]}),
        (b'{"a": 1}', "application/json", {"instances": [{"a": 1}]}),
        (b'{"a": 1}\n\n{"a": 2}\n', "application/jsonlines", {"instances": [{"a": 1}, {"a": 2}]}),
        (b"1,2\n3,4.5\n", "text/csv", {"instances": [[1.0, 2.0], [3.0, 4.5]]}),
    ],
)
def test_what_is_sent_without_handlers_becomes_a_predict_request(body, kind, request_):
    assert json.loads(request_of(body, kind)) == request_


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [(b"x", "image/png", 415), (b"1,x", "text/csv", 400), (b"[1", "application/jsonlines", 400)],
)
def test_what_cannot_be_read_has_a_status(body, kind, status):
    with pytest.raises(StatusError) as caught:
        request_of(body, kind)
    assert caught.value.status_code == status


def test_handlers_reach_the_model_over_http():
    def answer(path, body):
        return RestReply(200 if path.endswith(":predict") else 404, json.dumps([path, body.decode()]).encode())

    door = RestDoor(answer)
    try:
        request = urllib.request.Request(f"{door.address}/v1/models/half:predict", b"[1]")
        with urllib.request.urlopen(request, timeout=10) as told:
            assert json.load(told) == ["/v1/models/half:predict", "[1]"]
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(
                urllib.request.Request(f"{door.address}/v1/models/half:classify", b"[1]"), timeout=10
            )
        with caught.value:
            assert caught.value.code == 404
    finally:
        door.close()


def test_a_reply_reads_as_the_answer_of_requests():
    reply = RestReply(200, b'{"predictions": [1]}')
    assert (reply.json(), reply.text, reply.ok) == ({"predictions": [1]}, '{"predictions": [1]}', True)
    reply.raise_for_status()
    with pytest.raises(ValueError, match="400: no"):
        RestReply(400, b"no").raise_for_status()
