"""What all commands share: exit codes, one sentence for every failure, events, and files that appear whole."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from SAMedLib.__main__ import COMMANDS
from SAMedLib.command import make_parser, run
from SAMedLib.errors import SAMedError
from SAMedLib.events import Reporter, to_json_line
from SAMedLib.files import write_then_rename
from SAMedLib.organs import SYNAPSE, LabelSet


def samed(*arguments: str, **kwargs) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "SAMedLib", *arguments], capture_output=True, text=True, check=False, **kwargs
    )


def test_importing_the_library_loads_nothing_heavy():
    modules = "SAMedLib.organs, SAMedLib.events, SAMedLib.command, SAMedLib.model.metadata, SAMedLib.weights.store"
    heavy = "[name for name in ('torch', 'numpy', 'SimpleITK', 'scipy') if name in sys.modules]"
    code = f"import sys, {modules}; print({heavy})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_importing_the_package_takes_less_than_50_ms():
    code = "import time; start = time.process_time(); import SAMedLib; print(time.process_time() - start)"
    seconds = [float(subprocess.check_output([sys.executable, "-c", code])) for _ in range(3)]
    assert min(seconds) < 0.05


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_tells_its_options_quickly(command):
    started = time.monotonic()
    result = samed(command, "--help")
    assert result.returncode == 0
    assert f"usage: samed {command}" in result.stdout
    assert "default: None" not in result.stdout
    assert time.monotonic() - started < 5  # torch alone takes seconds on a busy machine


def test_the_list_of_commands_is_told_and_a_wrong_one_is_an_argument_error():
    assert all(command in samed("--help").stdout for command in COMMANDS)
    wrong = samed("segmint")
    assert wrong.returncode == 2
    assert "There is no command 'segmint'" in wrong.stderr


def raising(error: BaseException):
    def work(args, report):
        raise error

    return work


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (SAMedError("The file is empty; give another."), 1, "The file is empty; give another.\n"),
        (
            FileNotFoundError(2, "No such file or directory", "ct.nii"),
            1,
            "ct.nii: No such file or directory; check the path.\n",
        ),
        (
            IsADirectoryError(21, "Is a directory", ".a.csv.x/a.csv", None, "a.csv"),
            1,
            "a.csv is a folder where a file is needed; give another path.\n",
        ),
        (
            FileExistsError(17, "File exists", "ct.nii"),
            1,
            "ct.nii is a file, or below one, where a folder is needed; give another path.\n",
        ),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
            1,
            "Memory ran out; close other programs or use a smaller batch.\n",
        ),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."),
            1,
            "Memory ran out; close other programs or use a smaller batch.\n",
        ),
        (MemoryError(), 1, "Memory ran out; close other programs or use a smaller batch.\n"),
        (KeyboardInterrupt(), 130, "Cancelled.\n"),
        (ZeroDivisionError("division by zero"), 1, None),
    ],
)
def test_every_failure_is_one_sentence_and_an_exit_code(capsys, error, code, message):
    assert run(make_parser("x", "y"), raising(error), []) == code
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.count("\n") == 1
    assert message in (None, output.err)
    assert "Traceback" not in output.err


def test_with_events_standard_output_holds_json_lines_and_nothing_else():
    code = """
import os, sys
from SAMedLib.command import make_parser, run
def work(args, report):
    print("from Python"); os.system("echo from a child"); os.write(1, b"from C\\n")
    report.progress("working", 1, 2, "half \u00e4")
    report.metric(3, loss=float("nan"))
    report.say("for people")
    report.result(ml=1.5)
sys.exit(run(make_parser("x", "y"), work, ["--events"]))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert events == [
        {"event": "progress", "stage": "working", "done": 1, "total": 2, "message": "half ä"},
        {"event": "metric", "step": 3, "loss": None},
        {"event": "result", "ml": 1.5},
    ]
    for text in ("from Python", "from a child", "from C", "for people"):
        assert text in result.stderr


def test_an_error_is_an_event_and_a_sentence(capfd):
    assert run(make_parser("x", "y"), raising(SAMedError("No.")), ["--events"]) == 1
    output = capfd.readouterr()
    assert json.loads(output.out) == {"event": "error", "message": "No."}
    assert output.err == "No.\n"


def test_a_stop_file_cancels_at_the_next_progress(tmp_path):
    done = []

    def work(args, report):
        for step in range(5):
            report.progress("working", step, 5)
            done.append(step)
            if step == 2:
                (tmp_path / "stop").touch()

    assert run(make_parser("x", "y"), work, ["--stop-file", str(tmp_path / "stop")]) == 130
    assert done == [0, 1, 2]


def test_termination_unwinds_so_that_nothing_half_written_stays(tmp_path):
    code = f"""
import sys, time
from pathlib import Path
from SAMedLib.command import make_parser, run
from SAMedLib.files import write_then_rename
def work(args, report):
    with write_then_rename(Path({str(tmp_path / "out.txt")!r})) as temporary:
        temporary.write_text("half")
        print("writing", flush=True)
        time.sleep(30)
sys.exit(run(make_parser("x", "y"), work, []))
"""
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "writing\n"
    child.send_signal(signal.SIGTERM)
    assert child.wait(timeout=20) == 130
    assert list(tmp_path.iterdir()) == []


def test_a_file_appears_whole_or_stays_as_it_was(tmp_path):
    path = tmp_path / "new" / "file.txt"
    with write_then_rename(path) as temporary:
        assert temporary.suffix == ".txt"
        temporary.write_text("first")

    def fail_half_way():
        with write_then_rename(path) as temporary:
            temporary.write_text("second")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert path.read_text() == "first"
    assert [p.name for p in path.parent.iterdir()] == ["file.txt"]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), RuntimeError("unexpected pos 64")])
def test_a_full_disk_is_said_with_the_file_that_does_not_fit(tmp_path, monkeypatch, error):
    """torch.save and others do not say why they failed, so the disk is asked."""
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(total=1, free=0))

    def fill():
        with write_then_rename(tmp_path / "state.pt"):
            raise error

    with pytest.raises(SAMedError, match=r"The disk of .*state.pt is full; free some space"):
        fill()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX systems")
def test_a_result_can_be_read_by_whoever_may_read_new_files(tmp_path):
    with write_then_rename(tmp_path / "model") as temporary:
        temporary.write_text("x")
        temporary.chmod(0o600)
    (tmp_path / "plain").touch()
    assert stat.S_IMODE((tmp_path / "model").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


def test_events_are_strict_json():
    import numpy as np

    line = to_json_line(
        {"a": np.float32(0.5), "b": float("inf"), "c": [np.int64(3)], "d": Path("x"), "e": np.arange(2)}
    )
    assert json.loads(line) == {"a": 0.5, "b": None, "c": [3], "d": "x", "e": [0, 1]}


def test_a_silent_reporter_says_nothing(capfd):
    report = Reporter(silent=True)
    report.progress("working", 1, 2)
    report.say("hello")
    report.note("hello")
    report.result(a=1)
    assert capfd.readouterr() == ("", "")


def test_organs_are_found_however_they_are_written():
    assert SYNAPSE["Right_Kidney"].value == 2
    assert [label.name for label in SYNAPSE.select(["pancreas", "SPLEEN"])] == ["spleen", "pancreas"]
    with pytest.raises(SAMedError, match="There is no organ called 'heart'; choose from spleen, right kidney"):
        SYNAPSE["heart"]


def test_a_label_set_survives_json_and_knows_what_it_can():
    mine = LabelSet.from_names("mine", ["Liver", "tumour"])
    assert LabelSet.from_json(json.loads(json.dumps(mine.to_json()))) == mine
    assert mine["liver"].code.value == "10200004"
    assert mine["tumour"].code is None
    with pytest.raises(SAMedError, match="uses a name twice"):
        LabelSet.from_names("twice", ["a", "a"])


@pytest.mark.skipif(sys.platform == "win32", reason="the test asks POSIX whether a process exists")
@pytest.mark.parametrize("alive", [True, False])
def test_a_job_whose_starter_is_gone_is_cancelled(alive):
    code = """
import os, sys
from SAMedLib.command import make_parser, run
def work(args, report):
    report.progress("working", 0, 1)
    report.result(inherited="SAMED_PARENT_PID" in os.environ)
sys.exit(run(make_parser("x", "y"), work, ["--events"]))
"""
    starter = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    if not alive:
        starter.kill()
        starter.wait()
    environment = {**os.environ, "SAMED_PARENT_PID": str(starter.pid)}
    job = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    starter.kill()
    starter.wait()
    last = json.loads(job.stdout.splitlines()[-1])
    if alive:
        assert (job.returncode, last) == (0, {"event": "result", "inherited": False})
    else:
        assert (job.returncode, last) == (130, {"event": "error", "message": "Cancelled."})


def test_what_a_killed_process_left_half_written_goes_with_the_next_writing(tmp_path):
    code = f"""
import os, signal
from pathlib import Path
from SAMedLib.files import write_then_rename
with write_then_rename(Path({str(tmp_path / "patient.nii.gz")!r})) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == -signal.SIGKILL
    (left,) = (path.name for path in tmp_path.iterdir())
    assert left.startswith(".")
    alive = tmp_path / f"{left.rpartition('-')[0].rpartition('-')[0]}-{os.getpid()}-other"
    alive.mkdir()
    with write_then_rename(tmp_path / "other.txt") as temporary:
        temporary.write_text("whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == [alive.name, "other.txt"]
