"""XGBoost's built-in algorithm over real boosters: what is loaded, read, answered and refused."""

import json
import pickle

import numpy
import pytest
import xgboost

ROWS = numpy.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, numpy.nan], [0.0, 1.0, 0.0]] * 5)
TARGETS = ROWS[:, 0] * 2 + ROWS[:, 1]


def train(objective="reg:squarederror", targets=TARGETS, **parameters):
    matrix = xgboost.DMatrix(ROWS, label=targets)
    return xgboost.train({"objective": objective, "max_depth": 3, **parameters}, matrix, 5)


def save(booster, base, name):
    """A booster under the name that says in which format."""
    (base / "model").mkdir(exist_ok=True)
    path = base / "model" / name
    if name.endswith(".pkl"):
        path.write_bytes(pickle.dumps(booster))
    else:
        booster.save_model(path)


@pytest.fixture(scope="module")
def booster():
    return train()


@pytest.fixture
def algorithm(booster, serve, tmp_path):
    """The regression's booster, served without a script."""
    save(booster, tmp_path, "xgboost-model.ubj")
    return serve(framework="xgboost").wait_ready()


def expected(booster, rows):
    return booster.predict(xgboost.DMatrix(numpy.array(rows, dtype=float)), validate_features=False).tolist()


def answered(answer):
    assert answer.status == 200, answer.text
    return [float(score) for score in answer.text.split(",")]


@pytest.mark.parametrize("name", ["model.json", "model.ubj", "xgboost-model.pkl"])
def test_a_booster_is_loaded_in_every_format(booster, serve, tmp_path, name):
    save(booster, tmp_path, name)
    (tmp_path / "model" / ".hidden").write_text("a file that begins with a dot is passed over")
    server = serve(framework="xgboost").wait_ready()
    assert answered(server.invoke(b"4,5,6\n0,1,0\n", "text/csv")) == expected(booster, [[4, 5, 6], [0, 1, 0]])


def test_a_pickle_of_something_else_is_no_booster(serve, tmp_path):
    save({"weights": [1, 2]}, tmp_path, "model.pkl")
    server = serve(framework="xgboost")
    assert server.process.wait(30) == 1
    assert "No file of the model's directory is a booster. model.pkl: it holds dict, not a booster" in server.log


def test_a_csv_has_missing_values_where_its_fields_are_empty(algorithm, booster):
    assert answered(algorithm.invoke(b"7,8,\n", "text/csv; charset=utf-8")) == expected(booster, [[7, 8, numpy.nan]])
    assert answered(algorithm.invoke(b"4;5;6\n", "text/csv")) == expected(booster, [[4, 5, 6]])


@pytest.mark.parametrize("content_type", ["text/libsvm", "text/x-libsvm"])
def test_libsvm_is_read_with_or_without_a_label_and_what_is_not_said_is_missing(algorithm, booster, content_type):
    nothing = numpy.nan
    rows = [[4, 5, 6], [7, nothing, 1]]
    assert answered(algorithm.invoke(b"1 0:4 1:5 2:6\n0:7 2:1\n", content_type)) == expected(booster, rows)


def test_the_answer_is_one_line_of_csv_or_the_container_s_json(algorithm, booster):
    scores = expected(booster, [[4, 5, 6], [0, 1, 0]])
    plain = algorithm.invoke(b"4,5,6\n0,1,0", "text/csv")
    assert (plain.headers["content-type"], plain.text) == ("text/csv", ",".join(map(str, scores)))
    said = algorithm.invoke(b"4,5,6\n0,1,0", "text/csv", Accept="application/json")
    assert said.headers["content-type"] == "application/json"
    assert json.loads(said.body) == {"predictions": [{"score": score} for score in scores]}


def test_probabilities_of_several_classes_are_lists(serve, tmp_path):
    save(train("multi:softprob", numpy.arange(len(ROWS)) % 3, num_class=3), tmp_path, "model.ubj")
    answer = serve(framework="xgboost").wait_ready().invoke(b"4,5,6", "text/csv", Accept="application/json")
    (row,) = json.loads(answer.body)["predictions"]
    assert sum(row["score"]) == pytest.approx(1.0, abs=1e-5)


def test_a_booster_that_stopped_early_answers_with_its_best_round(serve, tmp_path):
    booster = train()
    booster.set_attr(best_iteration="1")
    save(booster, tmp_path, "model.ubj")
    matrix = xgboost.DMatrix(numpy.array([[4.0, 5.0, 6.0]]))
    best, every = booster.predict(matrix, iteration_range=(0, 2)).tolist(), booster.predict(matrix).tolist()
    assert best != every
    assert answered(serve(framework="xgboost").wait_ready().invoke(b"4,5,6", "text/csv")) == best


def test_nothing_asked_is_answered_by_no_content(algorithm):
    answer = algorithm.invoke(b"", "text/csv")
    assert (answer.status, answer.body, "content-length" in answer.headers) == (204, b"", False)


@pytest.mark.parametrize(
    ("body", "content_type", "accept", "status", "told"),
    [
        (b"x", "application/json", "*/*", 415, "Content-type application/json not supported: text/csv, text/libsvm"),
        (b"x", "application/x-recordio-protobuf", "*/*", 415, "Recordio-protobuf is not read here."),
        (b"a,b,c", "text/csv", "*/*", 415, "Loading csv data failed: ValueError"),
        (b"1,2,3\n4,5", "text/csv", "*/*", 415, "Loading csv data failed: ValueError"),
        (b"plain words", "text/libsvm", "*/*", 415, "there is no index:value in it"),
        (b"1,2", "text/csv", "*/*", 400, "Unable to evaluate payload provided: "),
        (b"0:1 9:1", "text/libsvm", "*/*", 400, "Unable to evaluate payload provided: "),
        (b"4,5,6", "text/csv", "image/png", 406, "Accept image/png is not supported"),
    ],
)
def test_what_cannot_be_answered_has_the_container_s_status(algorithm, body, content_type, accept, status, told):
    answer = algorithm.invoke(body, content_type, Accept=accept)
    assert (answer.status, told in answer.text) == (status, True), answer.text
    assert algorithm.invoke(b"4,5,6", "text/csv").status == 200


def test_without_a_content_type_it_is_csv_and_the_default_accept_can_be_set(booster, serve, tmp_path):
    save(booster, tmp_path, "model.json")
    server = serve(framework="xgboost", SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT="application/json").wait_ready()
    answer = server.request("POST", "/invocations", b"4,5,6")
    assert json.loads(answer.body) == {"predictions": [{"score": expected(booster, [[4, 5, 6]])[0]}]}


@pytest.mark.parametrize("files", [[], ["model.json", "other.ubj"]])
def test_no_booster_or_several_end_the_server_with_the_reason(booster, serve, tmp_path, files):
    for name in files:
        save(booster, tmp_path, name)
    (tmp_path / "model").mkdir(exist_ok=True)
    (tmp_path / "model" / "notes.txt").write_text("not a booster")
    server = serve(framework="xgboost")
    assert server.process.wait(30) == 1
    wanted = "several boosters (model.json, other.ubj): ensembles" if files else "is a booster. notes.txt: "
    assert wanted in server.log


def test_a_script_named_by_the_environment_is_not_replaced_by_the_algorithm(booster, serve, tmp_path):
    save(booster, tmp_path, "model.json")
    server = serve(framework="xgboost", SAGEMAKER_PROGRAM="serve.py")
    assert server.process.wait(30) == 1
    assert "no model_fn(model_dir)" in server.log
