"""PyTorch modules compiled to ONNX, with and without a script around them."""

from __future__ import annotations

import pytest

from modeldyno.domain.errors import ModelFault
from modeldyno.domain.images import Framework
from tests.frameworks.conftest import invoke

IMAGE, COMPILED = "pytorch-inference", "dyno-onnx-pytorch"
ROWS = b"1,2,3,4\n-5,-6,-7,-8\n"
INPUTS = {"rows": (1, 4)}
SAVE = """
import sys, torch
torch.manual_seed(1)
net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Dropout(), torch.nn.Linear(8, 3))
if sys.argv[2] == "script":
    torch.jit.save(torch.jit.script(net.eval()), sys.argv[1])
else:
    torch.save(net.state_dict(), sys.argv[1])
"""
SCRIPT = """
import torch

def model_fn(model_dir):
    net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Dropout(), torch.nn.Linear(8, 3))
    net.load_state_dict(torch.load(f"{model_dir}/weights.pth"))
    return net.eval()

def predict_fn(rows, model):
    with torch.no_grad():
        return torch.softmax(model.to("cpu").eval()(rows), dim=1)
"""
# What it does depends on its data: an export follows one way only.
BRANCHING = """
import torch

class Net(torch.nn.Module):
    def forward(self, rows):
        return rows * 2 if bool(rows.sum() > 0) else rows

def model_fn(model_dir):
    return Net()
"""


@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", ["script", "weights"])
async def test_a_compiled_module_answers_as_the_plain_one(bench, kind):
    path = bench.model_dir / ("model.pt" if kind == "script" else "weights.pth")
    await bench.run(Framework.PYTORCH, SAVE, path, kind)
    if kind == "weights":
        bench.script(SCRIPT)
    compiled = await bench.compiled(IMAGE, ROWS, INPUTS)
    answers = []
    for image, directory in ((IMAGE, bench.model_dir), (COMPILED, compiled)):
        async with bench.deployed(image, directory) as instance:
            two = (await invoke(instance, ROWS, "text/csv")).json
            (one,) = (await invoke(instance, b"[[1, 2, 3, 4]]", "application/json")).json
            assert one == pytest.approx(two[0], rel=1e-4, abs=1e-5)
            answers.append(two)
    assert answers[1] == [pytest.approx(row, rel=1e-4, abs=1e-5) for row in answers[0]]


@pytest.mark.timeout(900)
async def test_a_module_that_an_export_gets_wrong_is_not_compiled(bench):
    (bench.model_dir / "weights.pth").write_bytes(b"")
    bench.script(BRANCHING)
    with pytest.raises(ModelFault, match=r"answers sample otherwise than the plain one: 1\.0 in place of 2\.0"):
        await bench.compiled(IMAGE, b"1,2,3,4\n", INPUTS)
