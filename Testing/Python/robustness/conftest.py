"""What every bad input is tried with: a small network in a file, a place to work in, and the count."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bad_input import Trial, write_model


@pytest.fixture
def trial_of(request, tmp_path, capfd, tally) -> Callable[[], Trial]:
    """Makes folders to try one bad input each in, counted under the name of the test's file."""
    kind = request.path.stem.removeprefix("test_bad_")
    numbers = itertools.count()

    def count(what: str, number: int) -> None:
        tally["bad inputs", kind, what] += number

    def new() -> Trial:
        folder = tmp_path / str(next(numbers))
        folder.mkdir()
        return Trial(folder, count, lambda: capfd.readouterr().err)

    return new


@pytest.fixture
def trial(trial_of) -> Trial:
    return trial_of()


@pytest.fixture
def subtests_of() -> Iterator[Callable[[object], contextlib.AbstractContextManager]]:
    """Collects the failures of many inputs, so that one does not hide the others."""
    failures: list[str] = []

    @contextlib.contextmanager
    def subtest(name: object) -> Iterator[None]:
        try:
            yield
        except AssertionError as error:
            failures.append(f"{name}: {error}".partition("\nassert")[0])

    yield subtest
    assert not failures, "\n".join(failures)


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> Path:
    """See write_model."""
    return write_model(tmp_path_factory.mktemp("model") / "small.safetensors")
