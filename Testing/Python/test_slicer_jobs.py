"""Jobs of the panel with children that misbehave: what arrives, how they end, and what the user is told."""

from __future__ import annotations

import gc
import json
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hostile_children import OBEDIENT, Hostile, wait_for
from SAMedSlicerLib.ChildPython import ChildPython
from SAMedSlicerLib.EventFile import EventFile, lastEvent
from SAMedSlicerLib.Job import Job, JobError
from SAMedSlicerLib.RunningProcess import RunningProcess, _shownByPs, _startTimeFromPs

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the children here use signals")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def hostile(tmp_path) -> Iterator[Hostile]:
    hostile = Hostile(tmp_path / "Prüfung 'eins' \"zwei\"")
    yield hostile
    hostile.end()


def test_events_arrive_whole_and_once_although_the_file_grows_in_pieces(hostile):
    code = r"""
lines = [
    json.dumps({"event": "note", "message": "Größe µ 肝臓 😀"}, ensure_ascii=False).encode() + b"\n",
    b'{"event": "note", "message": "ended as on Windows"}\r\n',
    b"\xff\xfe no text at all\n", b"\n", b"[1, 2]\n", b"{}\n", b'{"event": 3}\n', b"null\n",
    b"[" * 100000 + b"\n",
    b'{"event": "note", "number": 1' + b"0" * 5000 + b"}\n",
    b'{"event": "note", "message": "\xff"}\n',
    b'{"event": "note", "message": "after the garbage"}\n',
    b'{"event": "result", "half": "a li',
]
for number, line in enumerate(lines):
    step = 1 if number == 0 else 37 if len(line) < 6000 else 50000
    for start in range(0, len(line), step):
        raw(line[start:start + step])
        time.sleep(0.001)
"""
    job = hostile.start(code)
    events, polls = [], 0
    while True:
        ended = not job.running
        polls += 1
        events += job.poll()
        if ended:
            break
    assert polls > 10
    assert [event["message"] for event in events] == [
        "Größe µ 肝臓 😀",
        "ended as on Windows",
        "\ufffd",
        "after the garbage",
    ]
    assert job.caughtUp
    assert job.poll() == []


def test_a_line_without_end_neither_fills_memory_nor_hides_what_follows(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"event": "note", "a": "' + b"x" * (40 << 20) + b'"}\n{"event": "result"}\n')
    file = EventFile(path)
    assert file.read() == [{"event": "result"}]
    assert lastEvent(path) == {"event": "result"}


@settings(deadline=None, max_examples=60)
@given(
    lines=st.lists(
        st.one_of(
            st.dictionaries(st.text(max_size=3), st.text(max_size=8), max_size=3).map(
                lambda d: json.dumps({**d, "event": "x"}, ensure_ascii=False).encode()
            ),
            st.binary(max_size=20).map(lambda b: b.replace(b"\n", b"")),
        ),
        max_size=12,
    ),
    cuts=st.lists(st.integers(0, 400), max_size=12),
    most=st.one_of(st.none(), st.integers(1, 3)),
)
def test_however_a_file_is_cut_into_pieces_the_same_events_come_out(tmp_path_factory, lines, cuts, most):
    path = tmp_path_factory.mktemp("events") / "events.jsonl"
    data = b"".join(line + b"\n" for line in lines)
    path.write_bytes(data)
    whole = EventFile(path).read()
    assert lastEvent(path) == (whole[-1] if whole else None)
    path.write_bytes(b"")
    grown, pieces = [], EventFile(path)
    with open(path, "ab", buffering=0) as file:
        for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(data)], strict=True):
            file.write(data[start:end])
            grown += pieces.read(most)
    while not pieces.atEnd:
        grown += pieces.read(most)
    assert grown == whole


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (
            "emit('error', message='Unexpected failure, please report it with SAMED_DEBUG=1 set: KeyError: 3.');"
            "sys.exit(1)",
            "Something unexpected happened: KeyError: 3. Please report it",
        ),
        ("os.kill(os.getpid(), signal.SIGKILL)", "memory ran out; close other programs"),
        ("import ctypes; ctypes.string_at(0)", "crashed (SIGSEGV); try again with CPU"),
        ("os.abort()", "crashed (SIGABRT)"),
        ("os.kill(os.getpid(), signal.SIGTERM)", "ended by another program"),
        (
            "def f(n):\n f(n-1) if n else 1/0\nf(5)",
            "Something unexpected happened: division by zero (ZeroDivisionError).",
        ),
        (
            "try:\n 1/0\nexcept Exception as e:\n raise RuntimeError('CUDA error: no kernel\\nimage') from e",
            "Something unexpected happened: CUDA error: no kernel",
        ),
        ("import torch_of_tomorrow.nn", "The Python package torch_of_tomorrow is missing"),
        (
            "raise ImportError('libcudnn.so.9: cannot open shared object file')",
            "library of PyTorch could not be loaded",
        ),
        ("raise MemoryError", "Memory ran out"),
        ("raise RuntimeError('CUDA out of memory. Tried to allocate')", "Memory ran out"),
        ("raise KeyError('a' * 5000)", "Something unexpected happened"),
        ("sys.exit('The disk of D: is full')", "ended unexpectedly: The disk of D: is full."),
        ("os._exit(7)", "exit code 7"),
        (
            "sys.stderr.write('w.py:1: UserWarning: old\\n  old()\\n 50%|##  | 1/2\\r 60%|## | 2/2\\n'); sys.exit(3)",
            "exit code 3",
        ),
        (
            "emit('error', message='The volume is empty; choose another.'); sys.exit(1)",
            "The volume is empty; choose another.",
        ),
        ("import argparse; argparse.ArgumentParser('samed segment').error('unrecognized: -x')", "version of SAMedLib"),
    ],
)
def test_whatever_ends_a_child_the_user_reads_a_sentence_and_no_traceback(hostile, code, told):
    job = hostile.finish(code)
    words = job.lastWords()
    assert told in words
    assert "Traceback" not in words
    assert "\n" not in words
    assert len(words) < 500
    assert words.endswith((".", "!"))
    assert not job.succeeded
    assert job.returnCode not in (0, None)


def test_a_traceback_stays_readable_in_the_messages_which_are_named_if_they_stay(hostile):
    job = hostile.finish("1/0", detached=True)
    assert "Traceback" in (job.folder / "messages.txt").read_text()
    assert str(job.folder / "messages.txt") in job.lastWords()
    assert "messages.txt" not in hostile.finish("1/0").lastWords()


def test_children_killed_at_random_moments_never_leave_half_an_event_or_no_reason(hostile):
    chance = random.Random(7)
    code = "for n in range(10**6): emit('metric', step=n, text='é' * 50)"
    for _ in range(20):
        job = hostile.start(code)
        time.sleep(chance.uniform(0, 0.15))
        os.kill(json.loads((job.folder / "job.json").read_text())["pid"], signal.SIGKILL)
        wait_for(lambda job=job: not job.running)
        steps = [event["step"] for event in job.poll()]
        assert steps == list(range(len(steps)))
        assert job.returnCode == -9
        assert "memory ran out" in job.lastWords()
        assert "memory ran out" in Job.find(job.folder).lastWords()


def test_a_result_counts_although_the_child_crashes_while_it_closes_down(hostile):
    job = hostile.finish("emit('result', ml=3); sys.stdout.flush(); os.abort()")
    assert job.succeeded
    assert job.returnCode == 0
    assert job.lastWords() == ""


def unstartable(tmp_path) -> dict[str, Job]:
    (tmp_path / "file").write_text("")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "events.jsonl").write_text("a training run's own\n")
    here = ChildPython()
    return {
        "is not there or cannot be run": Job(tmp_path / "a", ["segment"], ChildPython(str(tmp_path / "no python"))),
        "cannot be run; install Slicer": Job(tmp_path / "b", ["segment"], ChildPython(str(tmp_path / "file"))),
        "cannot be written": Job(tmp_path / "file" / "c", ["segment"], here),
        "holds other files": Job(tmp_path / "other", ["segment"], here),
        "choose fewer cases": Job(tmp_path / "d", ["segment", "x" * (1 << 18)], here),
        "could not be started": Job(tmp_path / "e", ["segment", "nul\0"], here),
    }


def test_a_child_that_cannot_start_says_why_and_leaves_nothing_behind(tmp_path):
    for told, job in unstartable(tmp_path).items():
        with pytest.raises(JobError, match=told) as caught:
            job.start()
        assert "\n" not in str(caught.value)
        assert Job.find(job.folder) is None
        assert not job.running
        assert job.returnCode is None
    assert (tmp_path / "other" / "events.jsonl").read_text() == "a training run's own\n"


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"PYTHONPATH": "/nowhere"}, "SAMedLib, the part that does the work, was not found"),
        ({"PYTHONHOME": "/nowhere"}, "Python could not start"),
    ],
)
def test_a_python_in_a_wrong_environment_is_explained(tmp_path, environment, told):
    bare = subprocess.run(
        [sys.executable, "-c", "import sys; print(sys._base_executable)"], capture_output=True, text=True
    )
    job = Job(tmp_path / "job", ["segment"], ChildPython(bare.stdout.strip(), environment))
    job.start()
    wait_for(lambda: not job.running)
    assert told in job.lastWords()


def test_a_python_without_torch_names_it(tmp_path):
    """The interpreter that a virtual environment was made from has none of its packages."""
    bare = subprocess.run(
        [sys.executable, "-c", "import sys; print(sys._base_executable)"], capture_output=True, text=True
    )
    probe = subprocess.run([bare.stdout.strip(), "-c", "import torch"], capture_output=True, check=False)
    if probe.returncode == 0:
        pytest.skip("every Python here has torch")
    job = Job(tmp_path / "job", ["segment", __file__, "-o", str(tmp_path / "x.nrrd")], ChildPython(bare.stdout.strip()))
    job.start()
    wait_for(lambda: not job.running)
    assert "The Python package " in job.lastWords()
    assert " is missing" in job.lastWords()


def test_a_job_has_its_folder_to_itself_and_nobody_else_can_look_into_it(hostile):
    job = hostile.job(
        "print('to people', file=sys.stderr); emit('result', argument=sys.argv[2])", "Ärzte 'n' \"x\" $HOME"
    )
    job.folder.mkdir()
    job.folder.chmod(0o755)
    (job.folder / "ct.nrrd").write_text("patient")
    job.start()
    wait_for(lambda: not job.running)
    assert stat.S_IMODE(job.folder.stat().st_mode) == 0o700
    for name in ("events.jsonl", "messages.txt", "job.json"):
        assert stat.S_IMODE((job.folder / name).stat().st_mode) == 0o600
    assert job.poll() == [{"event": "result", "argument": "Ärzte 'n' \"x\" $HOME"}]
    assert (job.folder / "messages.txt").read_text() == "to people\n"
    if os.path.isdir("/proc/self/fd"):
        held = [os.path.realpath(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd")]
        assert not [path for path in held if path.startswith(str(job.folder))]
    shutil.rmtree(job.folder)


def test_a_very_long_command_gets_through(hostile):
    job = hostile.finish("emit('result', lengths=[len(a) for a in sys.argv[2:12]])", *["ä" * 60000] * 10)
    assert job.poll() == [{"event": "result", "lengths": [60000] * 10}]


def test_the_wish_to_stop_an_earlier_run_does_not_stop_the_next(hostile):
    job = hostile.finish("emit('result', stop=stop_requested())")
    job.requestStop()
    job.start()
    wait_for(lambda: not job.running)
    assert job.poll() == [{"event": "result", "stop": False}]
    assert not job.cancelled


def test_a_folder_in_use_is_not_used_again(hostile):
    job = hostile.start("time.sleep(60)")
    with pytest.raises(JobError, match="wait for it, or stop it"):
        Job(job.folder, ["x"], hostile.python).start()
    job.kill()


def test_kill_ends_what_the_child_started_too_even_if_it_does_not_listen(hostile):
    code = """
import subprocess
signal.signal(signal.SIGTERM, signal.SIG_IGN)
grandchild = subprocess.Popen([sys.executable, "-c", "import signal, time; signal.signal(15, 1); time.sleep(60)"])
emit("note", pid=grandchild.pid)
sys.stdout.flush()
time.sleep(60)
"""
    job = hostile.start(code)
    events = []
    wait_for(lambda: events.extend(job.poll()) or events)
    time.sleep(0.3)
    grandchild = RunningProcess.of(events[0]["pid"])
    began = time.monotonic()
    job.kill()
    assert time.monotonic() - began < 2.5
    assert not job.running
    wait_for(lambda: not grandchild.alive, 2)
    assert job.lastWords() == "Cancelled."


def test_an_obedient_child_ends_at_the_wish_to_stop(hostile):
    job = hostile.start(OBEDIENT)
    wait_for(job.poll)
    job.requestStop()
    wait_for(lambda: not job.running, 5)
    assert job.returnCode == 130
    assert job.cancelled
    assert job.lastWords() == "Cancelled."


def start_elsewhere(hostile: Hostile, folder: Path, code: str, detached: bool) -> subprocess.Popen:
    """Another process that starts a job and then waits, as a second Slicer."""
    script = """
import sys, time, types
sys.modules.setdefault("slicer", types.ModuleType("slicer"))
sys.modules["slicer.i18n"] = types.SimpleNamespace(tr=str)
from pathlib import Path
from SAMedSlicerLib.ChildPython import ChildPython
from SAMedSlicerLib.Job import Job
folder, paths, code, detached = sys.argv[1:]
python = ChildPython(module="hostile", environment={"PYTHONPATH": paths})
Job(Path(folder), [code], python, detached == "True").start()
print("started", flush=True)
time.sleep(60)
"""
    paths = hostile.python.environment()["PYTHONPATH"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "SAMedSlicer"), str(ROOT)])}
    command = [sys.executable, "-c", script, str(folder), paths, code, str(detached)]
    other = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert other.stdout.readline() == "started\n"
    return other


def test_a_detached_job_outlives_the_process_that_started_it_and_is_found_from_its_first_event(hostile):
    folder = hostile.folder / "run" / "job"
    other = start_elsewhere(hostile, folder, OBEDIENT, detached=True)
    other.kill()
    other.communicate()
    time.sleep(0.5)
    job = Job.find(folder)
    assert job.running
    assert job.returnCode is None
    assert job.command == [OBEDIENT]
    events = []
    wait_for(lambda: events.extend(job.poll()) or len(events) > 20)
    assert [event["done"] for event in events] == list(range(len(events)))
    assert Job.find(folder).poll()[0] == events[0]
    job.requestStop()
    wait_for(lambda: not job.running, 5)
    assert job.returnCode == 130
    assert Job.find(folder).lastWords() == "Cancelled."


@pytest.mark.parametrize("force", [False, True])
def test_a_found_job_can_be_killed(hostile, force):
    folder = hostile.folder / "run" / "job"
    ignore = "signal.signal(signal.SIGTERM, signal.SIG_IGN);" if force else ""
    other = start_elsewhere(hostile, folder, ignore + "time.sleep(60)", detached=True)
    other.kill()
    other.communicate()
    job = Job.find(folder)
    job.kill(0.3)
    assert not job.running
    assert job.cancelled


def test_a_job_that_is_not_detached_ends_when_the_process_that_started_it_crashes(hostile):
    folder = hostile.folder / "job"
    other = start_elsewhere(hostile, folder, OBEDIENT, detached=False)
    job = Job.find(folder)
    wait_for(job.poll)
    other.kill()
    other.communicate()
    wait_for(lambda: not job.running, 5)
    assert lastEvent(folder / "events.jsonl") == {"event": "error", "message": "Cancelled."}


def test_another_process_that_got_the_number_of_an_ended_job_is_left_alone(hostile):
    job = hostile.finish("emit('result')")
    innocent = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    record = json.loads((job.folder / "job.json").read_text())
    (job.folder / "job.json").write_text(json.dumps({**record, "pid": innocent.pid}))
    found = Job.find(job.folder)
    assert not found.running
    assert found.succeeded
    found.kill(0.1)
    assert innocent.poll() is None
    found.start()  # nor does it keep the folder
    found.kill()
    innocent.kill()
    innocent.wait()


@pytest.mark.skipif(not os.path.exists("/bin/ps"), reason="there is no ps")
def test_processes_are_told_apart_also_where_only_ps_knows_them(hostile, monkeypatch):
    monkeypatch.setattr("SAMedSlicerLib.RunningProcess._startTime", _startTimeFromPs)
    job = hostile.start("time.sleep(60)")
    pid = json.loads((job.folder / "job.json").read_text())["pid"]
    assert RunningProcess.of(pid).alive
    assert Job.find(job.folder).running
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    _shownByPs.cache_clear()
    assert Job.find(job.folder).running
    assert not RunningProcess(pid, "Mon Jan 1 00:00:00 2024").alive
    job.terminate(force=True)
    time.sleep(1.1)  # a zombie now, as nobody asked how it ended
    assert RunningProcess.of(pid) is None
    wait_for(lambda: not job.running)
    assert RunningProcess.of(pid) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"pid": 1}', '{"command": 3, "pid": "x", "startTime": 1}'])
def test_a_damaged_record_is_no_job(tmp_path, text):
    (tmp_path / "job.json").write_text(text)
    assert Job.find(tmp_path) is None
    assert Job.find(tmp_path / "absent") is None


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks for zombies in /proc")
def test_ended_children_are_reaped_also_when_nobody_holds_their_job(hostile):
    def zombies() -> list[str]:
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        states = [(Path("/proc") / pid / "stat").read_text().rpartition(")")[2].split()[0] for pid in children]
        return [pid for pid, state in zip(children, states, strict=True) if state == "Z"]

    job = hostile.finish("emit('result')")
    assert zombies() == []
    folder = hostile.start("emit('result')", detached=True).folder
    hostile.jobs.pop()
    gc.collect()
    wait_for(lambda: lastEvent(folder / "events.jsonl") is not None)
    wait_for(lambda: not Job.find(folder).running)
    assert Job.find(folder).succeeded
    job.start()
    wait_for(lambda: not job.running)
    assert zombies() == []
