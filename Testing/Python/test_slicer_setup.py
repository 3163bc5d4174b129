"""What the panel installs: nothing without asking, nothing that Slicer brings, all that the library imports."""

from __future__ import annotations

import ast
import importlib.machinery
import os
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import hostile_children  # noqa: F401  boots the stand-in for Slicer
from SAMedSlicerLib.ChildPython import ChildPython
from SAMedSlicerLib.SetUp import TORCH, SetUp
from training_data import write_network, write_shapes

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = ROOT / "SAMedSlicer" / "Resources" / "requirements.txt"
OF_SLICER = {"numpy", "scipy", "simpleitk", "pydicom", "requests"}
WITHOUT = {"medpy", "tensorboard"}  # the library does without them; see the training below
EXTRAS = {"monai"}  # networks that are asked for by name; a sentence says how to install them
IMPORT_NAMES = {"simpleitk": "SimpleITK"}


class AnsweringHost:
    """What SetUp needs of the application; keeps what the user read."""

    def __init__(self, answer: bool = True) -> None:
        self.answer = answer
        self.asked: list[str] = []
        self.errors: list[str] = []

    def confirm(self, text: str) -> bool:
        self.asked.append(text)
        return self.answer

    def showError(self, text: str) -> None:
        assert "\n" not in text
        assert "Traceback" not in text
        self.errors.append(text)

    def python(self) -> ChildPython:
        return ChildPython()


@pytest.fixture
def pip(monkeypatch) -> list[dict]:
    """In place of Slicer's pip_ensure, which would install; keeps what it is called with, and the constraints' text."""
    import slicer.packaging

    calls: list[dict] = []

    def pip_ensure(requirements, constraints=None, prompt_install=True, requester=None):
        calls.append(
            {
                "names": [requirement.name for requirement in requirements],
                "constraints": Path(constraints).read_text(),
                "prompt_install": prompt_install,
                "requester": requester,
            }
        )

    monkeypatch.setattr(slicer.packaging, "pip_ensure", pip_ensure)
    return calls


@pytest.fixture
def incomplete(tmp_path, monkeypatch) -> SetUp:
    """A set-up that lacks one package, until it was installed; PyTorch is there."""
    path = tmp_path / "requirements.txt"
    path.write_text("# a comment\n\nsafetensors>=0.1\nno-such-package>=1.2\n")
    return SetUp(path)


def pytorch_extension(monkeypatch, result: object) -> list[dict]:
    """The PyTorch extension whose installTorch returns or raises `result`."""
    calls: list[dict] = []

    class PyTorchUtilsLogic:
        def installTorch(
            self,
            askConfirmation=False,
            forceComputationBackend=None,
            torchVersionRequirement=None,
            torchvisionVersionRequirement=None,
        ):
            calls.append({"ask": askConfirmation, "torch": torchVersionRequirement})
            if isinstance(result, Exception):
                raise result
            return result

    module = types.ModuleType("PyTorchUtils")
    module.PyTorchUtilsLogic = PyTorchUtilsLogic
    module.__spec__ = importlib.machinery.ModuleSpec("PyTorchUtils", None)
    module.__file__ = __file__
    monkeypatch.setitem(sys.modules, "PyTorchUtils", module)
    return calls


def test_what_is_absent_or_too_old_is_missing(tmp_path):
    path = tmp_path / "requirements.txt"
    path.write_text("no-such-package>=1\nsafetensors>=999\nlightning-fabric>=0.1\n")
    assert SetUp(path).missing() == ["no-such-package>=1", "safetensors>=999"]
    assert SetUp(REQUIREMENTS).missing() == []


def test_looking_for_packages_imports_none_of_them():
    code = f"""
import sys, types
slicer = sys.modules["slicer"] = types.ModuleType("slicer")
sys.modules["slicer.i18n"] = types.SimpleNamespace(tr=str)
from pathlib import Path
from SAMedSlicerLib.SetUp import SetUp
SetUp(Path({str(REQUIREMENTS)!r})).missing()
print([name for name in ("torch", "numpy", "matplotlib", "lightning_fabric") if name in sys.modules])
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "SAMedSlicer"), str(ROOT)])}
    shown = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert shown.stdout == "[]\n"


def test_nothing_is_installed_or_asked_when_all_is_there(pip):
    host = AnsweringHost()
    assert SetUp(REQUIREMENTS).install(host)
    assert (pip, host.asked, host.errors) == ([], [], [])


def test_the_question_says_what_and_how_much_and_no_is_respected(pip, incomplete, monkeypatch):
    monkeypatch.setattr("SAMedSlicerLib.SetUp.TORCH", ">=999")
    extension = pytorch_extension(monkeypatch, None)
    host = AnsweringHost(answer=False)
    assert not incomplete.install(host)
    assert (pip, extension, host.errors) == ([], [], [])
    (question,) = host.asked
    assert "PyTorch (torch>=999): about 0.2 GB" in question
    assert "3 GB for a computer with an NVIDIA GPU" in question
    assert "no-such-package>=1.2" in question
    assert "up to 35 MB" in question
    assert "safetensors" not in question
    assert question.endswith("?")


def test_pip_is_told_to_leave_the_packages_of_slicer_alone(pip, incomplete):
    host = AnsweringHost()
    assert not incomplete.install(host)  # pip only pretends here, and that is noticed
    (call,) = pip
    assert call["names"] == ["safetensors", "no-such-package"]
    assert call["requester"] == "SAMedSlicer"
    assert call["prompt_install"] is False  # one question is enough
    for name in ("numpy", "scipy", "SimpleITK", "torch"):
        assert re.search(rf"^{name}==\d\S+$", call["constraints"], re.MULTILINE)
    assert "no-such-package>=1.2 cannot be found; restart Slicer" in host.errors[0]


@pytest.mark.parametrize(
    "error",
    [subprocess.CalledProcessError(1, ["pip", "install"]), RuntimeError("Traceback:\n  x\nno route to host")],
)
def test_an_installation_that_fails_is_explained(monkeypatch, incomplete, error):
    import slicer.packaging

    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(slicer.packaging, "pip_ensure", fail)
    host = AnsweringHost()
    assert not incomplete.install(host)
    assert "Check the internet connection and the proxy" in host.errors[0]
    assert "For computers without internet" in host.errors[0]


def test_without_the_pytorch_extension_the_user_learns_how_to_get_it(monkeypatch, pip):
    monkeypatch.setattr("SAMedSlicerLib.SetUp.TORCH", ">=999")
    host = AnsweringHost()
    assert not SetUp(REQUIREMENTS).install(host)
    assert "View > Extensions Manager" in host.errors[0]
    assert host.asked == []


@pytest.mark.parametrize(
    ("result", "told"),
    [(None, "PyTorch was not installed"), (OSError("[WinError 5] Access is denied"), "Access is denied")],
)
def test_a_pytorch_that_does_not_get_installed_is_explained(monkeypatch, pip, result, told):
    monkeypatch.setattr("SAMedSlicerLib.SetUp.TORCH", ">=999")
    calls = pytorch_extension(monkeypatch, result)
    host = AnsweringHost()
    assert not SetUp(REQUIREMENTS).install(host)
    assert calls == [{"ask": False, "torch": ">=999"}]
    assert told in host.errors[0]
    assert pip == []


def test_after_an_installation_a_real_child_shows_whether_it_can_work(tmp_path):
    setUp = SetUp(REQUIREMENTS)
    assert setUp.check(ChildPython()) == ""
    assert "is not there or cannot be run" in setUp.check(ChildPython(str(tmp_path / "no python")))
    without = ChildPython(environment={"PYTHONPATH": f"{blocking(tmp_path, 'torch')}{os.pathsep}{ROOT}"})
    assert "The Python package torch is missing" in setUp.check(without)


def test_requirements_and_project_agree():
    tomllib = pytest.importorskip("tomllib", reason="needs Python 3.11")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    wanted = {r.name.lower(): str(r.specifier) for r in map(Requirement, project)}
    lines = [line for line in REQUIREMENTS.read_text().splitlines() if not line.startswith("#")]
    panel = {r.name.lower(): str(r.specifier) for r in map(Requirement, lines)} | {"torch": TORCH}
    assert panel == {name: bound for name, bound in wanted.items() if name not in OF_SLICER | WITHOUT}
    assert all(re.fullmatch(r">=\d+(\.\d+)+", bound) for bound in panel.values())


def imports_of(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    return names - sys.stdlib_module_names - {"SAMedLib"}


def test_every_package_that_the_library_imports_is_installed_or_of_slicer():
    library = ROOT / "SAMedLib"
    parts = [path for path in library.rglob("*.py") if library / "web" not in path.parents]  # web runs outside Slicer
    imported = set().union(*map(imports_of, parts))
    lines = [line for line in REQUIREMENTS.read_text().splitlines() if not line.startswith("#")]
    known = {Requirement(line).name.lower() for line in lines} | {"torch"} | OF_SLICER | WITHOUT
    known = {IMPORT_NAMES.get(name, name.replace("-", "_")) for name in known}
    assert imported - known - EXTRAS - {"nrrd"} == set()  # slicerio brings nrrd
    # torch imports tensorboard
    assert known - imported - {"segment_anything", "tensorboard", "pydicom"} == set()


def blocking(folder: Path, *packages: str) -> Path:
    """A folder that, on PYTHONPATH, makes some packages as if they were not installed."""
    folder = folder / "blocking"
    folder.mkdir()
    code = f"""
import sys
class Absent:
    def find_spec(name, path=None, target=None):
        if name.split(".")[0] in {packages!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent)
"""
    (folder / "sitecustomize.py").write_text(code)
    return folder


def test_training_works_without_what_the_panel_does_not_install(tmp_path):
    environment = {
        **os.environ,
        "PYTHONPATH": f"{blocking(tmp_path, *WITHOUT)}{os.pathsep}{ROOT}",
        "OMP_NUM_THREADS": "1",
    }
    dataset, network = write_shapes(tmp_path / "data"), write_network(tmp_path / "network.json")
    command = [sys.executable, "-m", "SAMedLib", "train", "--data", dataset, "--output", tmp_path / "run"]
    command += ["--model-size", network, "--init", "scratch", "--image-size", "64", "--slice-size", "64"]
    command += ["--max-steps", "2", "--val-cases", "1", "--device", "cpu"]
    subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    assert (tmp_path / "run" / "last.safetensors").is_file()
    assert not (tmp_path / "run" / "tensorboard").exists()


def test_slicer_itself_takes_the_calls_that_are_made():
    source = os.environ.get("SLICER_SOURCE")
    if not source:
        pytest.skip("SLICER_SOURCE does not name a checkout of Slicer")
    tree = ast.parse((Path(source) / "Base" / "Python" / "slicer" / "packaging.py").read_text(encoding="utf-8"))
    functions = {node.name: [a.arg for a in node.args.args] for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert functions["load_requirements"] == ["path"]
    assert {"requirements", "constraints", "prompt_install", "requester"} <= set(functions["pip_ensure"])


def test_the_page_for_computers_without_internet_comes_with_the_panel(monkeypatch):
    pytorch_extension(monkeypatch, OSError("no route to host"))
    host = AnsweringHost()
    setUp = SetUp(REQUIREMENTS)
    monkeypatch.setattr(setUp, "missing", lambda: [f"torch{TORCH}"])
    assert not setUp.install(host)
    page = Path(re.search(r"without internet, (.*) says", host.errors[0])[1])
    assert page.parent == REQUIREMENTS.parent  # all of this folder is installed
    assert "pip download" in page.read_text(encoding="utf-8")
