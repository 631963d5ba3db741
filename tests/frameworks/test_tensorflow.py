"""TensorFlow: SavedModels behind TensorFlow Serving's contract, and the container's handlers."""

from __future__ import annotations

import base64

import pytest

from modeldyno.domain.errors import InputFault, ModelFault
from modeldyno.domain.images import Framework
from tests.frameworks.conftest import Bench, invoke

IMAGE = "tensorflow-inference"
JSON = "application/json"

# half/1: x / 2, of rows of two. half/2: x / 2 as well, told apart by its second output. words/1: a text, backwards.
SAVE = """
import sys
import tensorflow as tf

class Half(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec((None, 2), tf.float32, name="rows")])
    def one(self, rows):
        return {"halves": rows / 2}

    @tf.function(input_signature=[tf.TensorSpec((None, 2), tf.float32, name="rows")])
    def two(self, rows):
        return {"halves": rows / 2, "sums": tf.reduce_sum(rows, axis=1)}

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, name="text")])
    def words(self, text):
        return {"image_bytes": tf.strings.upper(text)}

half, root = Half(), sys.argv[1]
tf.saved_model.save(half, f"{root}/half/1", {"serving_default": half.one})
tf.saved_model.save(half, f"{root}/half/2", {"serving_default": half.two, "plain": half.one, "words": half.words})
"""
KERAS = """
import sys, keras
model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
model.export(f"{sys.argv[1]}/dense/1")
"""
HANDLERS = """
import json

def input_handler(data, context):
    if context.request_content_type != "application/x-numbers":
        raise ValueError(f"no {context.request_content_type} here")
    numbers = [float(word) for word in data.read().decode().split()]
    return json.dumps({"instances": [numbers], "signature_name": "plain"})

def output_handler(response, context):
    if response.status_code != 200:
        raise ValueError(response.content.decode("utf-8"))
    said = {"predictions": response.json()["predictions"], "attributes": context.custom_attributes}
    return json.dumps(said), context.accept_header
"""
HANDLER = """
import requests

def handler(data, context):
    response = requests.post(context.rest_uri, data=data.read())
    return response.content, response.headers["content-type"]
"""


@pytest.fixture
async def half(bench: Bench) -> Bench:
    await bench.run(Framework.TENSORFLOW, SAVE, bench.model_dir)
    return bench


@pytest.mark.timeout(600)
async def test_a_saved_model_is_served_by_its_newest_version_as_tensorflow_serving_does(half):
    async with half.deployed(IMAGE) as instance:
        assert instance.runtime.startswith("TensorFlow 2.")
        assert instance.effective_environment["OMP_NUM_THREADS"] == "1"
        rows = await invoke(instance, b'{"instances": [[1, 2], [3, 5]]}', JSON)
        assert (rows.status, rows.content_type) == (200, JSON)
        assert rows.json == {"predictions": [{"halves": [0.5, 1.0], "sums": 3.0}, {"halves": [1.5, 2.5], "sums": 8.0}]}
        named = b'{"signature_name": "plain", "instances": [{"rows": [1, 2]}]}'
        assert (await invoke(instance, named, JSON)).json == {"predictions": [[0.5, 1.0]]}
        columns = b'{"signature_name": "plain", "inputs": {"rows": [[1, 2]]}}'
        assert (await invoke(instance, columns, JSON)).json == {"outputs": [[0.5, 1.0]]}
        encoded = base64.b64encode(b"abc").decode()
        words = f'{{"signature_name": "words", "instances": [{{"b64": "{encoded}"}}]}}'.encode()
        answer = (await invoke(instance, words, JSON)).json
        assert answer == {"predictions": [{"b64": base64.b64encode(b"ABC").decode()}]}


@pytest.mark.timeout(600)
async def test_csv_lines_and_bare_json_are_instances_and_mistakes_are_told_as_tensorflow_serving_does(half):
    async with half.deployed(IMAGE) as instance:
        expected = {"predictions": [{"halves": [0.5, 1.0], "sums": 3.0}]}
        for body, kind in ((b"1,2\n", "text/csv"), (b"[1, 2]\n", "application/jsonlines"), (b"[[1, 2]]", JSON)):
            assert (await invoke(instance, body, kind)).json == expected
        for body, told in (
            (b"{", "JSON Parse error"),
            (b'{"instances": [[1, 2]], "inputs": [[1, 2]]}', "exactly one of"),
            (b'{"instances": [[1, 2, 3]]}', "has the shape (1, 3), the model takes (None, 2)"),
            (b'{"instances": [["x", "y"]]}', ""),
            (b'{"instances": [{"other": [1, 2]}]}', "the inputs are rows, not other"),
            (b'{"instances": [[1, 2]], "signature_name": "none"}', 'Serving signature name: "none" not found'),
        ):
            answer = await invoke(instance, body, JSON)
            assert (answer.status, told in answer.json["error"]) == (400, True), answer
        assert (await invoke(instance, b"x", "image/png")).status == 415
        versioned = {"X-Amzn-SageMaker-Custom-Attributes": "tfs-model-name=half,tfs-model-version=2,tfs-method=predict"}
        assert (await invoke(instance, b"[[1, 2]]", JSON, **versioned)).json == expected
        other = {"X-Amzn-SageMaker-Custom-Attributes": "tfs-model-name=other"}
        assert (await invoke(instance, b"[[1, 2]]", JSON, **other)).status == 404


@pytest.mark.timeout(600)
async def test_input_and_output_handlers_stand_around_the_model(half):
    half.script(HANDLERS)
    async with half.deployed(IMAGE) as instance:
        custom = {"X-Amzn-SageMaker-Custom-Attributes": "mine", "Accept": "application/x-said"}
        answer = await invoke(instance, b"1 2", "application/x-numbers", **custom)
        assert (answer.status, answer.content_type) == (200, "application/x-said")
        assert answer.json == {"predictions": [[0.5, 1.0]], "attributes": "mine"}
        refused = await invoke(instance, b"1 2", "image/png")
        assert (refused.status, refused.json) == (500, {"error": "no image/png here"})
        wrong = await invoke(instance, b"1 2 3", "application/x-numbers")
        assert (wrong.status, "has the shape (1, 3)" in wrong.json["error"]) == (500, True)


@pytest.mark.timeout(600)
async def test_a_handler_may_post_to_the_rest_uri_itself(half):
    half.script(HANDLER)
    async with half.deployed(IMAGE) as instance:
        answer = await invoke(instance, b'{"instances": [[1, 2]]}', JSON)
        assert answer.json == {"predictions": [{"halves": [0.5, 1.0], "sums": 3.0}]}


@pytest.mark.timeout(600)
async def test_a_model_that_keras_exported_is_served(bench):
    await bench.run(Framework.TENSORFLOW, KERAS, bench.model_dir)
    async with bench.deployed(IMAGE) as instance:
        (row,) = (await invoke(instance, b'{"instances": [[1, 2, 3]]}', JSON)).json["predictions"]
        assert len(row) == 2


@pytest.mark.timeout(600)
async def test_a_script_without_handlers_ends_the_server_with_the_reason(half):
    half.script("def model_fn(model_dir):\n    return 1\n")
    with pytest.raises(ModelFault, match="before /ping answered") as caught:
        async with half.deployed(IMAGE):
            pass
    assert "must have handler(data, context), or input_handler and output_handler" in caught.value.log_tail


async def test_a_model_without_a_saved_model_is_refused_before_anything_is_built(bench):
    (bench.model_dir / "model.keras").write_bytes(b"")
    with pytest.raises(InputFault, match=r"no NAME/NUMBER/saved_model\.pb"):
        async with bench.deployed(IMAGE):
            pass
