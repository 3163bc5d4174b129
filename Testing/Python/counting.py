"""Counts what the robustness tests try, and prints it at the end of a run, also where test files run side by side."""

from __future__ import annotations

from collections import defaultdict

import pytest

# table, kind of trial, what happened -> how often
Tally = dict[tuple[str, str, str], int]
_TALLY = pytest.StashKey[Tally]()
_COLUMNS = {
    "bad inputs": ("tried", "one sentence", "read rightly", "files lost"),
    "faults": ("tried", "survived", "files lost"),
}


def pytest_configure(config):
    config.stash[_TALLY] = defaultdict(int)


def pytest_sessionfinish(session):
    if hasattr(session.config, "workeroutput"):  # one of several processes
        counts = session.config.stash[_TALLY].items()
        session.config.workeroutput["tally"] = [[*names, count] for names, count in counts]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    for *names, count in getattr(node, "workeroutput", {}).get("tally", []):
        node.config.stash[_TALLY][tuple(names)] += count


def pytest_terminal_summary(terminalreporter, config):
    tally = config.stash[_TALLY]
    for table, columns in _COLUMNS.items():
        kinds = sorted({kind for name, kind, _ in tally if name == table})
        if not kinds:
            continue
        terminalreporter.section(table)
        terminalreporter.write_line("".join(("".ljust(16), *(column.rjust(15) for column in columns))))
        for kind in (*kinds, "all"):
            counts = [sum(tally.get((table, k, c), 0) for k in (kinds if kind == "all" else [kind])) for c in columns]
            terminalreporter.write_line("".join((kind.ljust(16), *(str(count).rjust(15) for count in counts))))


@pytest.fixture(scope="session")
def tally(pytestconfig) -> Tally:
    return pytestconfig.stash[_TALLY]
