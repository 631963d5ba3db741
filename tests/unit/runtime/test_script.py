"""A model's script: which functions are called, with what, and what their answers and errors become."""

import json

import pytest

FOUR = """
def model_fn(model_dir, context):
    return context.system_properties["model_dir"]

def input_fn(data, content_type, context):
    return [data, content_type, context.get_request_header(0, "X-Amzn-SageMaker-Custom-Attributes")]

def predict_fn(data, model, scale=3):
    return data + [model, scale]

def output_fn(prediction, accept):
    import json
    return json.dumps(prediction), "application/x-all"
"""


def test_the_four_functions_are_called_in_turn_with_the_context_where_they_take_it(serve, tmp_path):
    server = serve(FOUR).wait_ready()
    answer = server.invoke("zwölf".encode(), "text/csv", X_Amzn_SageMaker_Custom_Attributes="mine")
    assert answer.headers["content-type"] == "application/x-all"
    assert json.loads(answer.body) == ["zwölf", "text/csv", "mine", str(tmp_path / "model"), 3]


def test_transform_fn_gets_text_for_json_and_csv_and_bytes_for_the_rest(moody):
    assert json.loads(moody.invoke(b"dict").body) == {
        "accept": "application/json",
        "content_type": "application/json",
        "kind": "str",
    }
    assert json.loads(moody.invoke(b"dict", "image/png", Accept="image/png").body)["kind"] == "bytes"


def test_an_answer_may_bring_its_own_content_type(moody):
    answer = moody.invoke(b"pair")
    assert (answer.headers["content-type"], answer.body) == ("application/x-own", b"\x00\x01")


def test_the_context_sets_status_headers_and_content_type(moody):
    answer = moody.invoke(b"context", X_Amzn_SageMaker_Custom_Attributes="there")
    assert (answer.status, answer.text, answer.headers["content-type"]) == (202, "there", "text/x-context")
    assert answer.headers["x-amzn-sagemaker-custom-attributes"] == "back"


def test_what_a_handler_raises_is_500_with_the_last_line_and_its_traceback_in_the_log(moody):
    answer = moody.invoke(b"raise")
    assert (answer.status, answer.text) == (500, "ValueError: two\nlines")
    assert "Traceback" in moody.log


def test_an_error_with_a_status_of_its_own_keeps_it(moody):
    answer = moody.invoke(b"teapot")
    assert (answer.status, answer.text) == (418, "inference.Teapot: short and stout")


def test_an_answer_that_is_neither_text_nor_bytes_nor_json_is_500(moody):
    answer = moody.invoke(b"object")
    assert answer.status == 500
    assert "returned object" in answer.text


def test_the_program_and_the_submit_directory_can_be_chosen(serve, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "words.py").write_text("WORD = 'imported'")
    (tmp_path / "elsewhere" / "entry.py").write_text(
        "import words\ndef model_fn(d): return 1\ndef transform_fn(m, d, c, a): return words.WORD"
    )
    server = serve(SAGEMAKER_PROGRAM="entry.py", SAGEMAKER_SUBMIT_DIRECTORY=str(tmp_path / "elsewhere")).wait_ready()
    assert server.invoke().text == "imported"


def test_opt_ml_means_the_base_directory(serve):
    server = serve(
        "def model_fn(d): return 1\ndef transform_fn(m, d, c, a): return 'here'",
        SAGEMAKER_SUBMIT_DIRECTORY="/opt/ml/model/code",
    ).wait_ready()
    assert server.invoke().text == "here"


def test_the_functions_before_and_after_loading_are_called(serve):
    server = serve(
        "calls = []\n"
        "def pre_model_fn(d): calls.append('before')\n"
        "def model_fn(d): calls.append('load'); return calls\n"
        "def model_warmup_fn(d, m): m.append('after')\n"
        "def transform_fn(m, d, c, a): return m"
    ).wait_ready()
    assert json.loads(server.invoke().body) == ["before", "load", "after"]


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("def model_fn(d): raise RuntimeError('no weights')", "RuntimeError: no weights"),
        ("def model_fn(d): return 1\ndef transform_fn(a, b, c, d): 1\ndef input_fn(a, b): 1", "cannot be combined"),
        ("def model_fn(): return 1", "model_fn must take 1 arguments"),
        ("import nothing_of_that_name", "No module named 'nothing_of_that_name'"),
        ("def model_fn(d): 1 +", "SyntaxError"),
        ("x = 1", "no model_fn"),
        (None, "no model_fn"),
        ("import os\nos._exit(7)", "exited with status 7"),
        ("def model_fn(d): raise ValueError('expected:\\n- a\\n- b')", "loaded: ValueError: expected: - a - b"),
    ],
)
def test_a_model_that_cannot_be_loaded_ends_the_server_with_the_reason_last_in_its_log(serve, script, reason):
    server = serve(script)
    assert server.process.wait(30) == 1
    assert server.log.strip().splitlines()[-1].startswith("The model could not be loaded: ")
    assert reason in server.log


def test_a_pickle_of_another_scikit_learn_is_named_where_it_cannot_be_loaded(serve):
    server = serve("""
import warnings

def model_fn(d):
    warnings.warn("Trying to unpickle estimator SVC from version 1.7.2 when using version 1.2.2. This might lead to")
    raise ValueError("an incompatible dtype")
""")
    assert server.process.wait(30) == 1
    assert server.log.strip().splitlines()[-1] == (
        "The model could not be loaded: ValueError: an incompatible dtype (scikit-learn 1.7.2 wrote the model, "
        "1.2.2 read it: choose an image of 1.7.2)"
    )
    assert "UserWarning: Trying to unpickle estimator SVC" in server.log


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("SAGEMAKER_MODEL_SERVER_WORKERS", "many"),
        ("SAGEMAKER_MODEL_SERVER_TIMEOUT", "0"),
        ("SAGEMAKER_BIND_TO_PORT", "-1"),
    ],
)
def test_a_setting_that_is_no_number_is_refused_by_name(serve, variable, value):
    server = serve("", **{variable: value})
    assert server.process.wait(30) == 2
    assert f"{variable} is '{value}'" in server.log


def test_what_a_script_prints_is_in_the_log_at_once(serve):
    server = serve("def model_fn(d): return 1\ndef transform_fn(m, d, c, a): print('hello', d); return ''").wait_ready()
    server.invoke(b"there")
    assert "hello there" in server.log


def test_pytorch_without_a_script_asks_for_the_one_file(serve):
    server = serve(framework="pytorch")
    assert server.process.wait(30) == 1
    assert "Exactly one .pth or .pt file is required for the default model_fn; found none." in server.log


def test_loading_is_over_before_ping_says_yes(serve, tmp_path):
    server = serve(
        "import os, time\n"
        "def model_fn(d):\n"
        "    while not os.path.exists(d + '/go'): time.sleep(0.01)\n"
        "def transform_fn(m, d, c, a): return ''",
        SAGEMAKER_MODEL_SERVER_WORKERS="2",
    )
    server.wait_until(lambda: server.ping() == 503)
    (tmp_path / "model" / "go").touch()
    server.wait_ready()
