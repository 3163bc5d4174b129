"""The panel watching its jobs with a real timer of Qt: the window never freezes, and every job ends exactly once."""

from __future__ import annotations

import gc
import itertools
import logging
import sys
import time
from collections.abc import Iterator

import pytest

from hostile_children import OBEDIENT, Hostile, wait_for
from SAMedSlicerLib.Job import Job
from SAMedSlicerLib.JobMonitor import JobMonitor
from SAMedSlicerLib.Progress import Progress, duration
from SAMedSlicerLib.RemainingTime import RemainingTime
from slicer_host import processEvents

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the children here use signals")


@pytest.fixture
def hostile(tmp_path) -> Iterator[Hostile]:
    hostile = Hostile(tmp_path / "jobs")
    yield hostile
    hostile.end()


def newTimer():
    import qt

    return qt.QTimer()


class Panel:
    """What a tab is to a monitor; keeps what it was told."""

    def __init__(self) -> None:
        self.timer = newTimer()
        self.events: list[dict] = []
        self.finished: list[Job] = []
        self.texts: list[str] = []
        self.monitor = JobMonitor(self.timer, self.onEvent, self.finished.append, interval_ms=10)

    def onEvent(self, event: dict) -> None:
        self.events.append(event)
        if self.monitor.progress and len(self.events) < 100:
            self.texts.append(self.monitor.progress.text)

    def watch(self, job: Job) -> None:
        self.monitor.watch(job)

    def waitForEnd(self, timeout_s: float = 15) -> None:
        processEvents(lambda: self.finished, timeout_s)
        processEvents(lambda: True)
        assert not self.monitor.busy
        assert not self.timer.active


@pytest.fixture
def panel(slicer_app):
    panel = Panel()
    yield panel
    panel.monitor.close()


def test_a_job_is_followed_to_its_end(hostile, panel):
    job = hostile.start(
        "progress('loading the model', 0, 1); progress('segmenting', 11, 148); progress('writing', 0, 1);"
        "emit('note', message='n'); emit('result', ml=1)"
    )
    panel.watch(job)
    assert panel.monitor.busy
    panel.waitForEnd()
    assert panel.finished == [job]
    assert [event["event"] for event in panel.events] == ["progress"] * 3 + ["note", "result"]
    assert panel.texts[:3] == ["Loading the model", "Segmenting slice 12 of 148", "Writing the result"]


def test_a_hundred_thousand_lines_hold_the_window_up_for_moments_only(hostile, panel):
    job = hostile.finish("for n in range(100000): progress('training', n, 100000, 'epoch 3, loss 0.1234')")
    longest = 0.0
    tick = panel.monitor._tick

    def timed() -> None:
        nonlocal longest
        began = time.thread_time()  # of this thread alone, however busy the computer is
        tick()
        longest = max(longest, time.thread_time() - began)

    panel.monitor._tick = timed
    panel.watch(job)
    panel.waitForEnd(30)
    assert [event["done"] for event in panel.events] == list(range(100000))
    assert longest < 0.05
    assert "left" not in panel.monitor.progress.text  # what comes late tells nothing about the pace


def test_cancel_asks_first_and_then_ends_a_child_that_does_not_listen(hostile, panel):
    job = hostile.start("signal.signal(signal.SIGTERM, signal.SIG_IGN); progress('a', 0, 9); raw(b''); time.sleep(60)")
    panel.watch(job)
    processEvents(lambda: panel.events, 10)
    began = time.monotonic()
    panel.monitor.cancel(patience_s=0.3)
    panel.monitor.cancel(patience_s=60)  # pressing again changes nothing
    assert time.monotonic() - began < 0.05
    panel.waitForEnd()
    assert time.monotonic() - began < 4
    assert panel.finished == [job]
    assert job.cancelled
    assert job.lastWords() == "Cancelled."


def test_a_child_that_listens_to_cancel_ends_by_itself(hostile, panel):
    job = hostile.start(OBEDIENT)
    panel.watch(job)
    processEvents(lambda: panel.events, 10)
    panel.monitor.cancel()
    panel.waitForEnd(5)
    assert panel.finished == [job]
    assert job.returnCode == 130


def test_a_killed_child_is_an_end_like_any_other(hostile, panel):
    job = hostile.start("progress('a', 1, 9); raw(b'{\"event\": \"no'); os.kill(os.getpid(), 9)")
    panel.watch(job)
    panel.waitForEnd()
    assert panel.finished == [job]
    assert len(panel.events) == 1
    assert "memory ran out" in job.lastWords()


def test_a_panel_that_fails_over_an_event_is_still_told_of_the_end(hostile, panel, caplog):
    def fail(argument: object) -> None:
        panel.events.append(argument)
        raise RuntimeError("the widget is gone")

    job = hostile.finish("[emit('note', message=str(n)) for n in range(3)]")
    monitor = JobMonitor(newTimer(), fail, fail, interval_ms=10)
    with caplog.at_level(logging.ERROR):
        monitor.watch(job)
        processEvents(lambda: not monitor.busy, 10)
        processEvents(lambda: True)
    assert [event["message"] for event in panel.events[:-1]] == ["0", "1", "2"]
    assert panel.events[-1] is job
    assert caplog.text.count("the widget is gone") >= 4


def test_a_callback_that_shows_a_dialog_is_not_called_into_again(hostile, panel):
    depth = deepest = 0

    def showDialog(argument: object) -> None:
        nonlocal depth, deepest
        depth += 1
        deepest = max(deepest, depth)
        end = time.monotonic() + 0.1
        processEvents(lambda: time.monotonic() > end)
        depth -= 1
        panel.events.append(argument)

    monitor = JobMonitor(newTimer(), showDialog, panel.finished.append, interval_ms=5)
    monitor.watch(hostile.finish("[emit('note', n=n) for n in range(3)]"))
    processEvents(lambda: panel.finished, 10)
    assert deepest == 1
    assert [event["n"] for event in panel.events] == [0, 1, 2]


def test_the_next_job_can_be_watched_from_the_end_of_the_last(hostile, panel):
    jobs = [hostile.finish("emit('result')") for _ in range(3)]
    ended = []

    def onFinished(job: Job) -> None:
        ended.append(job)
        if len(ended) < 3:
            monitor.watch(jobs[len(ended)])

    monitor = JobMonitor(newTimer(), panel.events.append, onFinished, interval_ms=5)
    monitor.watch(jobs[0])
    processEvents(lambda: len(ended) == 3, 10)
    assert ended == jobs
    assert not monitor.busy


def test_a_detached_job_goes_on_and_another_panel_takes_over(hostile, panel):
    job = hostile.start(OBEDIENT, detached=True)
    panel.watch(job)
    processEvents(lambda: panel.events, 10)
    panel.monitor.detach()
    seen = len(panel.events)
    end = time.monotonic() + 0.3
    processEvents(lambda: time.monotonic() > end)
    assert (len(panel.events), panel.finished) == (seen, [])
    assert job.running

    other = Panel()
    other.watch(Job.find(job.folder))
    processEvents(lambda: len(other.events) > seen, 10)
    assert [event["done"] for event in other.events] == list(range(len(other.events)))
    other.monitor.cancel()
    other.waitForEnd(5)
    assert other.finished[0].cancelled


@pytest.mark.parametrize("way", ["close", "drop"])
def test_a_panel_that_goes_takes_its_job_with_it(hostile, slicer_app, way):
    panel = Panel()
    job = hostile.start(OBEDIENT)
    panel.watch(job)
    if way == "close":
        panel.monitor.close()
    finished = panel.finished
    panel.monitor = None
    gc.collect()
    wait_for(lambda: not job.running, 3)
    assert finished == []
    processEvents(lambda: True)


def test_a_detached_job_survives_the_panel(hostile, slicer_app):
    panel = Panel()
    job = hostile.start(OBEDIENT, detached=True)
    panel.watch(job)
    panel.monitor.close()
    panel.monitor = None
    gc.collect()
    time.sleep(0.2)
    assert job.running
    job.kill()


def test_several_scans_are_counted_as_one_work(hostile, panel):
    code = """
for scan in range(2):
    progress("scans", scan, 2, f"case{scan}")
    progress("segmenting", 5, 10)
"""
    panel.watch(hostile.finish(code))
    panel.waitForEnd()
    assert panel.texts == [
        "Starting scan 1 of 2 (case0)",
        "Segmenting slice 6 of 10, scan 1 of 2 (case0)",
        "Starting scan 2 of 2 (case1)",
        "Segmenting slice 6 of 10, scan 2 of 2 (case1)",
    ]
    assert panel.monitor.progress.fraction == 0.75


@pytest.mark.parametrize(
    "event",
    [{"stage": "x"}, {"stage": 3, "done": "many", "total": None}, {"stage": "", "done": -1, "total": 0}, {"done": 1}],
)
def test_progress_that_makes_no_sense_does_no_harm(hostile, panel, event):
    panel.watch(hostile.finish(f"emit(**{event!r}); emit('result')"))
    panel.waitForEnd()
    assert panel.events[-1] == {"event": "result"}


def simulate(tenths: list[int], total: int) -> list[float | None]:
    """What is shown at each tenth of a second while units take so many tenths."""
    clock, now, shown = RemainingTime(), 0, []
    for done, length in enumerate(tenths):
        clock.sample(now / 10, done, total)
        for _ in range(length):
            now += 1
            shown.append(clock.remaining(now / 10))
    return shown


def errors(shown: list[float | None]) -> list[float]:
    """How far off each time is that is shown."""
    return [abs(value - (len(shown) - now) / 10) for now, value in enumerate(shown, start=1) if value is not None]


def jumps(shown: list[float | None]) -> list[float]:
    """By how much a time changes that does not just count down."""
    told = [value for value in shown if value is not None]
    changes = [earlier - later - 0.1 for earlier, later in itertools.pairwise(told)]
    return [abs(change) for change in changes if abs(change) > 0.11]


def test_the_remaining_time_is_right_and_counts_down_evenly():
    shown = simulate([50] + [5] * 199, 200)  # the first slice warms up
    assert shown[:79] == [None] * 79
    assert None not in shown[85:]
    assert max(errors(shown)) < 0.6
    assert jumps(shown) == []


def test_an_uneven_pace_does_not_make_the_remaining_time_jump_about():
    uneven = [20] + [2 if number % 3 else 11 for number in range(199)]  # 0.5 s on average
    shown = simulate(uneven, 200)
    assert len(jumps(shown)) <= 6
    assert max(jumps(shown), default=0) < 15
    assert max(errors(shown[150:])) < 15


def test_slow_units_get_an_estimate_after_two_of_them():
    shown = simulate([400] * 10, 10)
    assert shown[1100] is None
    assert shown[1210] == pytest.approx(280, abs=2)
    assert jumps(shown) == []


def test_a_pace_that_changes_is_noticed():
    shown = simulate([2] * 100 + [10] * 100, 300)
    assert shown[-1] == pytest.approx(100, rel=0.25)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "a few seconds"),
        (8, "about 10 s"),
        (43, "about 45 s"),
        (57, "about 55 s"),
        (58, "about 1 min"),
        (130, "about 2 min"),
        (3590, "about 1 h"),
        (4000, "about 1 h 10 min"),
        (36000 + 1900, "about 11 h"),
        (90000, "about 25 h"),
    ],
)
def test_times_are_told_as_precisely_as_they_are_known(seconds, text):
    assert duration(seconds) == text


def test_every_stage_of_the_library_reads_as_a_sentence():
    for stage, message, text in [
        ("segmenting", "", "Segmenting slice 12 of 148, about 40 s left"),
        ("training", "epoch 3, loss 0.1234", "Training, step 11 of 148 (epoch 3, loss 0.1234), about 40 s left"),
        ("downloading vit_b", "1.2 of 375.0 MB", "Downloading vit_b (1.2 of 375.0 MB), about 40 s left"),
        ("evaluating tiny", "case7", "Evaluating tiny (case7), about 40 s left"),
    ]:
        assert Progress(stage, 11, 148, message, remaining_s=40).text == text
