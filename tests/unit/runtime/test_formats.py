"""The default functions: what they read and write."""

import io
import json

import numpy
import pytest


def _npy(array):
    stream = io.BytesIO()
    numpy.save(stream, array)
    return stream.getvalue()


def test_json_rows_are_predicted_and_answered_as_json(doubler):
    answer = doubler.invoke(b"[[1, 2], [3, 4]]")
    assert (answer.status, answer.headers["content-type"], json.loads(answer.body)) == (
        200,
        "application/json",
        [6.0, 14.0],
    )


def test_csv_rows_are_predicted(doubler):
    assert json.loads(doubler.invoke(b"1,2\n3,4\n", "text/csv; charset=utf-8").body) == [6.0, 14.0]


def test_a_csv_of_one_row_stays_one_row(doubler):
    assert json.loads(doubler.invoke(b"1,2,3", "text/csv").body) == [12.0]


def test_npy_is_read_and_written(doubler):
    answer = doubler.invoke(_npy(numpy.array([[1, 2]])), "application/x-npy", Accept="application/x-npy")
    assert answer.headers["content-type"] == "application/x-npy"
    assert numpy.load(io.BytesIO(answer.body)).tolist() == [6]


def test_csv_is_written_one_row_for_each_prediction(doubler):
    answer = doubler.invoke(b"[[1, 2], [3, 4]]", Accept="text/csv")
    assert (answer.headers["content-type"], answer.text) == ("text/csv", "6.0\n14.0\n")


def test_the_first_accepted_type_that_is_known_is_written(doubler):
    answer = doubler.invoke(b"[[1, 2]]", Accept="image/png, text/csv;q=0.5, application/json")
    assert answer.headers["content-type"] == "text/csv"


def test_anything_accepted_means_the_default(doubler):
    assert doubler.invoke(b"[[1, 2]]", Accept="*/*").headers["content-type"] == "application/json"


def test_the_default_accept_can_be_set(serve):
    from .conftest import DOUBLER

    server = serve(DOUBLER, SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT="text/csv").wait_ready()
    assert server.invoke(b"[[1, 2]]").text == "6.0\n"


def test_a_content_type_that_no_default_reads_is_415(doubler):
    answer = doubler.invoke(b"x", "image/png")
    assert answer.status == 415
    assert "image/png is not supported" in answer.text


def test_an_accept_that_no_default_writes_is_406(doubler):
    answer = doubler.invoke(b"[[1]]", Accept="image/png")
    assert answer.status == 406
    assert "image/png is not supported" in answer.text


@pytest.mark.parametrize(("body", "content_type"), [(b"[[1,", "application/json"), (b"", "application/json")])
def test_a_body_that_is_not_what_it_says_is_500_with_the_reason(doubler, body, content_type):
    answer = doubler.invoke(body, content_type)
    assert answer.status == 500
    assert "JSONDecodeError" in answer.text


def test_pickled_objects_in_npy_are_refused(doubler):
    answer = doubler.invoke(_npy(numpy.array([{"a": 1}], dtype=object)), "application/x-npy")
    assert answer.status == 500
    assert "allow_pickle=False" in answer.text
