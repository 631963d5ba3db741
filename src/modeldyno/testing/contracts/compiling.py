"""What every `ports.Compiler` does. Subclass, and give the fixtures `compiler`, `good` and `bad`."""

# ruff: noqa: D102  (the name of a test says what it shows)

from __future__ import annotations

import asyncio
import contextlib
import tarfile

import pytest

from modeldyno.domain.errors import TrialFailure
from modeldyno.ports import Compiler, CompileRequest


class CompilerContract:
    """Collected by pytest in a subclass named ``Test...``.

    `good`: a request for a model that can be compiled. `bad`: one for a model that cannot.
    """

    async def test_the_target_is_an_archive_with_the_graph_in_it(
        self, compiler: Compiler, good: CompileRequest
    ) -> None:
        words = await compiler.compile(good)
        assert "answered as by the plain model" in words
        with tarfile.open(good.target, "r:gz") as archive:
            assert "dyno-compiled/model.onnx" in archive.getnames()

    async def test_compiling_again_comes_to_the_same(self, compiler: Compiler, good: CompileRequest) -> None:
        assert await compiler.compile(good) == await compiler.compile(good)

    async def test_a_model_that_cannot_be_compiled_leaves_no_target(
        self, compiler: Compiler, bad: CompileRequest
    ) -> None:
        with pytest.raises(TrialFailure) as caught:
            await compiler.compile(bad)
        assert caught.value.reason
        assert not bad.target.exists()

    async def test_one_that_is_cancelled_leaves_no_target(self, compiler: Compiler, good: CompileRequest) -> None:
        task = asyncio.create_task(compiler.compile(good))
        await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert not good.target.exists()
