"""What the Extensions Manager installs: complete, and able to work from its folder alone."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGING = REPOSITORY / "Testing" / "packaging"
MODULES = Path("lib", "Slicer-5.12", "qt-scripted-modules")
SMALL_PHANTOM = """
from SAMedLib.data.phantom import make_phantom
from SAMedLib.imaging.volume import write_array
phantom = make_phantom(1, in_plane=96, num_slices=8, coverage="full")
write_array("ct.nrrd", phantom.volume.array, phantom.volume.geometry)
"""
EVERY_MODULE = """
import importlib, pkgutil, sys, SAMedLib
assert SAMedLib.__file__.startswith(sys.argv[1]), SAMedLib.__file__
names = [one.name for one in pkgutil.walk_packages(SAMedLib.__path__, "SAMedLib.") if not one.name.endswith("__main__")]
names = [name for name in names if not name.startswith("SAMedLib.web.")]  # needs the extra of that name
for name in names:
    importlib.import_module(name)
print(len(names))
"""
LIGHT_HALF = """
import sys
import SAMedSlicerLib, SAMedLib.organs, SAMedLib.events, SAMedLib.weights.registry
for package in (SAMedSlicerLib, SAMedLib):
    assert package.__file__.startswith(sys.argv[1]), package.__file__
assert "torch" not in sys.modules
print(SAMedLib.weights.registry.__file__)
"""


@pytest.fixture(scope="module")
def list_files():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(PACKAGING))
        import list_files

        yield list_files


def test_every_file_of_the_module_and_the_library_is_listed(list_files):
    listed = list_files.LIST.read_text(encoding="utf-8")
    assert listed == list_files.as_cmake(), "run: python Testing/packaging/list_files.py"
    for needed in ("SAMedLib/train.py", "SAMedLib/weights/registry.json", "SAMedLib/weights/tiny.safetensors"):
        assert f"  {needed}\n" in listed


def test_a_file_added_to_either_package_is_noticed(list_files, tmp_path):
    for folder in ("SAMedSlicer", "SAMedLib"):
        shutil.copytree(REPOSITORY / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    assert list_files.as_cmake(tmp_path) == list_files.as_cmake()
    for added in ("SAMedSlicer/SAMedSlicerLib/New.py", "SAMedSlicer/Resources/new.svg", "SAMedLib/imaging/new.py"):
        (tmp_path / added).write_text("")
        assert f"  {added.removeprefix('SAMedSlicer/')}\n" in list_files.as_cmake(tmp_path)


def test_the_index_entry_has_what_the_extensions_index_asks_for():
    entry = json.loads((REPOSITORY / "SAMedSlicer.json").read_text(encoding="utf-8"))
    assert entry["$schema"].endswith("/slicer-extension-catalog-entry-schema-v1.0.2.json#")
    assert entry["category"] == "Segmentation"
    assert entry["build_dependencies"] == ["PyTorch"]
    assert re.fullmatch(r"https://[\w./-]+/Slicer[\w-]*\.git", entry["scm_url"]), "the repository's name says Slicer"


def test_the_index_entry_follows_slicers_schema():
    entry = json.loads((REPOSITORY / "SAMedSlicer.json").read_text(encoding="utf-8"))
    schema = _slicer_source() / "Schemas" / "slicer-extension-catalog-entry-schema-v1.0.2.json"
    if not schema.is_file():
        pytest.skip(f"{schema} is absent")
    rules = json.loads(schema.read_text(encoding="utf-8"))
    assert set(rules["required"]) <= set(entry) <= set(rules["properties"])
    types = {"string": str, "array": list, "integer": int, "boolean": bool}
    for key, value in entry.items():
        assert isinstance(value, types[rules["properties"][key]["type"]]), key


def test_the_addresses_shown_to_users_are_literal_and_their_files_exist():
    text = (REPOSITORY / "CMakeLists.txt").read_text(encoding="utf-8")
    home = re.search(r'EXTENSION_HOMEPAGE "(\S+)"', text).group(1)
    assert json.loads((REPOSITORY / "SAMedSlicer.json").read_text(encoding="utf-8"))["scm_url"] == home + ".git"
    raw = home.replace("https://github.com/", "https://raw.githubusercontent.com/") + "/main/"
    addresses = re.findall(r'EXTENSION_(?:ICONURL|SCREENSHOTURLS) "([^"]+)"', text)
    assert len(addresses) == 2
    for address in " ".join(addresses).split():
        assert address.startswith(raw)
        assert (REPOSITORY / address.removeprefix(raw)).is_file()
    assert (REPOSITORY / "LICENSE").is_file()


def test_the_icon_is_128_pixels_wide_and_the_same_in_both_places():
    from PIL import Image

    places = REPOSITORY / "SAMedSlicer.png", REPOSITORY / "SAMedSlicer" / "Resources" / "Icons" / "SAMedSlicer.png"
    assert places[0].read_bytes() == places[1].read_bytes()
    with Image.open(places[0]) as icon:
        assert icon.size == (128, 128)
        assert icon.getextrema()[3] == (0, 255), "transparent corners, or it looks like a box on a dark toolbar"


def _slicer_source() -> Path:
    return Path(os.environ.get("SLICER_SOURCE", "SLICER_SOURCE-is-not-set"))


def _cmake() -> str:
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    found = shutil.which("cmake", path=path)
    if found is None:
        pytest.skip("cmake is absent (pip install cmake)")
    version = re.search(r"(\d+)\.(\d+)", _run([found, "--version"])).groups()
    if tuple(map(int, version)) < (3, 28):
        pytest.skip(f"{found} is version {'.'.join(version)}, Slicer's extensions need 3.28 (pip install cmake)")
    return found


def _run(command, **options) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=120, **options)
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The extension, built by Slicer's and CTK's own CMake files."""
    slicer, ctk = _slicer_source(), Path(os.environ.get("CTK_SOURCE", "CTK_SOURCE-is-not-set"))
    needed = (
        slicer / "CMake" / "UseSlicer.cmake.in",
        slicer / "Extensions" / "CMake",
        slicer / "Base" / "QTCore" / "Testing" / "Python",
        ctk / "CMake" / "ctkMacroCompilePythonScript.cmake",
    )
    for path in needed:
        if not path.exists():
            pytest.skip(f"{path} is absent; set SLICER_SOURCE and CTK_SOURCE to checkouts of Slicer and CTK")
    cmake, folder = _cmake(), tmp_path_factory.mktemp("build") / "with a space"
    settings = {
        "Slicer_DIR": PACKAGING,
        "SLICER_SOURCE": slicer,
        "CTK_SOURCE": ctk,
        "PYTHON_EXECUTABLE": sys.executable,
        "BUILD_TESTING": "ON",
    }
    defined = [f"-D{name}={value}" for name, value in settings.items()]
    _run([cmake, "-S", REPOSITORY, "-B", folder, *defined])
    _run([cmake, "--build", folder])
    return folder


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    """The folder qt-scripted-modules of the installed extension."""
    prefix = tmp_path_factory.mktemp("installed")
    _run([_cmake(), "--install", built, "--prefix", prefix])
    return prefix / MODULES


@pytest.fixture
def alone(installed, tmp_path):
    """Run the installed library's Python from elsewhere, as Slicer does: its folder on PYTHONPATH and nothing else."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    environment |= {"PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    return lambda *arguments: _run([sys.executable, *arguments], cwd=tmp_path, env=environment)


def test_the_install_holds_both_packages_and_nothing_else(installed, list_files):
    names = re.findall(r"^  (\S+)$", list_files.as_cmake().replace("\n  )\n", "\n"), re.MULTILINE)
    found = {path.relative_to(installed).as_posix() for path in installed.rglob("*") if path.is_file()}
    assert {name for name in found if not name.endswith(".pyc")} == set(names)
    # all extensions share one namespace of Python packages
    assert {path.name for path in installed.iterdir() if path.is_dir()} == {"SAMedLib", "SAMedSlicerLib", "Resources"}
    for name in names:
        source = REPOSITORY / ("" if name.startswith("SAMedLib/") else "SAMedSlicer") / name
        assert (installed / name).read_bytes() == source.read_bytes()


def test_every_script_was_byte_compiled(installed):
    scripts = list(installed.rglob("*.py"))
    assert scripts
    assert [script for script in scripts if not script.with_suffix(".pyc").is_file()] == []


def test_the_extension_tells_slicer_what_it_depends_on_and_packs_small(built):
    described = (built / "SAMedSlicer.s4ext").read_text(encoding="utf-8")
    assert "\ndepends PyTorch\n" in described
    assert "raw.githubusercontent.com" in described
    cpack = Path(_cmake()).with_name("cpack")
    _run([cpack, "-B", built / "packages"], cwd=built)
    (package,) = (built / "packages").glob("*-SAMedSlicer-*.tar.gz")
    assert package.stat().st_size < 20e6


def test_the_self_tests_are_registered_with_slicer(built):
    listed = "\n".join(path.read_text(encoding="utf-8") for path in built.rglob("CTestTestfile.cmake"))
    assert "py_SAMedSlicerSelfTest" in listed
    assert "'SAMedSlicer')" in listed
    assert "qSlicerSAMedSlicerModuleGenericTest" in listed


def test_training_can_be_asked_for_help_from_the_installed_folder_alone(alone):
    assert "--resume" in alone("-m", "SAMedLib.train", "--help")


def test_every_module_of_the_installed_library_imports(alone, installed):
    assert int(alone("-c", EVERY_MODULE, str(installed))) > 80


def test_the_installed_panel_package_and_the_light_half_import_without_torch(alone, installed):
    assert "registry.py" in alone("-c", LIGHT_HALF, str(installed))


def test_the_installed_library_makes_a_phantom_and_segments_it_with_the_embedded_model(alone, tmp_path):
    alone("-c", SMALL_PHANTOM)
    said = alone("-m", "SAMedLib", "segment", "ct.nrrd", "-o", "organs.seg.nrrd", "--device", "cpu", "--events")
    result = json.loads(said.splitlines()[-1])
    assert result["event"] == "result"
    assert (tmp_path / "organs.seg.nrrd").is_file()
