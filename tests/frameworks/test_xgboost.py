"""XGBoost as it comes: its built-in algorithm, and boosters compiled to ONNX."""

from __future__ import annotations

import pytest

from modeldyno.domain.errors import ModelFault
from modeldyno.domain.images import Framework
from tests.frameworks.conftest import invoke

IMAGE, COMPILED = "sagemaker-xgboost", "dyno-onnx-xgboost"
TRAIN = """
import pickle, sys, numpy, xgboost
objective, path = sys.argv[1:]
random = numpy.random.default_rng(1)
rows = random.normal(size=(300, 4))
rows[random.random(rows.shape) < 0.1] = numpy.nan
total = numpy.nansum(rows, axis=1)
if objective == "estimator":
    pickle.dump(xgboost.XGBRegressor(n_estimators=5).fit(rows, total), open(path, "wb"))
    sys.exit()
labels = {"binary:logistic": total > 0, "multi:softprob": numpy.digitize(total, [-1, 1])}
labels["multi:softmax"] = labels["multi:softprob"]
options = {"objective": objective} | ({"num_class": 3} if objective.startswith("multi") else {})
booster = xgboost.train(options, xgboost.DMatrix(rows, label=labels.get(objective, total)), 10)
booster.save_model(path)
"""
SCRIPT = """
import xgboost

def model_fn(model_dir):
    booster = xgboost.Booster()
    booster.load_model(f"{model_dir}/model.ubj")
    return booster
"""
ROWS = b"0.5,,1.5,-0.3\n-1,2,0.25,0\n,,,3\n"


@pytest.mark.timeout(600)
async def test_a_booster_is_served_without_a_script(bench):
    await bench.run(Framework.XGBOOST, TRAIN, "reg:squarederror", bench.model_dir / "model.ubj")
    async with bench.deployed(IMAGE) as instance:
        assert instance.runtime.endswith("built-in algorithm, 1 worker")
        assert instance.effective_environment == {"SAGEMAKER_MODEL_SERVER_WORKERS": "1", "OMP_NUM_THREADS": "1"}
        answer = await invoke(instance, ROWS, "text/csv")
        assert (answer.status, answer.content_type) == (200, "text/csv")
        assert len(answer.body.decode().split(",")) == 3
        assert (await invoke(instance, b"", "text/csv")).status == 204


@pytest.mark.timeout(600)
async def test_the_booster_of_a_pickled_estimator_is_served(bench):
    await bench.run(Framework.XGBOOST, TRAIN, "estimator", bench.model_dir / "model.pkl")
    async with bench.deployed(IMAGE) as instance:
        assert len((await invoke(instance, ROWS, "text/csv")).body.decode().split(",")) == 3


@pytest.mark.timeout(600)
@pytest.mark.parametrize("objective", ["reg:squarederror", "binary:logistic", "multi:softprob", "multi:softmax"])
async def test_a_compiled_booster_answers_as_the_plain_one(bench, objective):
    await bench.run(Framework.XGBOOST, TRAIN, objective, bench.model_dir / "model.ubj")
    compiled = await bench.compiled(IMAGE, ROWS, {})
    answers = []
    for image, directory in ((IMAGE, bench.model_dir), (COMPILED, compiled)):
        async with bench.deployed(image, directory) as instance:
            csv = (await invoke(instance, ROWS, "text/csv", Accept="application/json")).json["predictions"]
            libsvm = (await invoke(instance, b"0:0.5 2:1.5 3:-0.3", "text/libsvm", Accept="application/json")).json
            assert libsvm["predictions"][0] == csv[0]
            answers.append([row["score"] for row in csv])
            assert (await invoke(instance, b"1,2", "text/csv")).status == 400
    assert answers[1] == [pytest.approx(score, rel=1e-4, abs=1e-5) for score in answers[0]]


@pytest.mark.timeout(600)
async def test_a_script_gets_the_graph_in_the_place_of_its_booster(bench):
    await bench.run(Framework.XGBOOST, TRAIN, "reg:squarederror", bench.model_dir / "model.ubj")
    bench.script(SCRIPT)
    compiled = await bench.compiled(IMAGE, b"0.5,1,1.5,-0.3\n-1,2,0.25,0\n", {"rows": (1, 4)}, "text/csv")
    async with bench.deployed(COMPILED, compiled) as instance:
        assert instance.runtime.endswith("script mode, compiled, 1 worker")
        assert len((await invoke(instance, b"1,2,3,4\n0,0,0,0\n", "text/csv")).json) == 2


@pytest.mark.timeout(600)
async def test_inputs_that_are_not_the_boosters_are_told(bench):
    await bench.run(Framework.XGBOOST, TRAIN, "reg:squarederror", bench.model_dir / "model.ubj")
    with pytest.raises(ModelFault, match="DataInputConfig gives rows 7 features a row, the model has 4"):
        await bench.compiled(IMAGE, ROWS, {"rows": (1, 7)})
