"""What the child processes need beside Slicer's own Python packages, and how it is installed."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import importlib.util
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from slicer.i18n import tr as _

from SAMedSlicerLib.Job import Job, JobError

if TYPE_CHECKING:
    from SAMedSlicerLib.ChildPython import ChildPython
    from SAMedSlicerLib.Host import Host

REQUESTER = "SAMedSlicer"
TORCH = ">=2.2"  # the PyTorch extension takes the bound without the name
# of Slicer, and PyTorch once it is there: an installation of ours must not put others in their place
_KEPT = ("numpy", "scipy", "SimpleITK", "pydicom", "requests", "vtk", "torch")


class SetUp:
    """Looks for the packages and installs them, when asked to; never at start-up, never in a child.

    Args:
        requirementsFile: the packages other than PyTorch; beside it lies the page on computers without internet.
    """

    def __init__(self, requirementsFile: Path) -> None:
        self._requirementsFile = Path(requirementsFile)
        self._page = self._requirementsFile.with_name("offline.md")

    def missing(self) -> list[str]:
        """The requirements that are not installed, or too old. Imports none of them."""
        importlib.invalidate_caches()
        return [requirement for requirement in self._requirements() if not _isInstalled(requirement)]

    def plan(self) -> str:
        """What will be installed and how large it is, as a question."""
        missing = self.missing()
        torch, others = _split(missing)
        parts = []
        if torch:
            parts.append(
                _(
                    "- PyTorch ({names}): about 0.2 GB to download, about 3 GB for a computer with an NVIDIA GPU. "
                    "The PyTorch extension chooses what fits."
                ).format(names=", ".join(torch))
            )
        if others:
            parts.append(_("- {names}, and what these need: up to 35 MB to download.").format(names=", ".join(others)))
        return _(
            "SAMed needs Python packages that do not come with Slicer:\n\n{parts}\n\n"
            "They are installed into this Slicer only; Slicer's own packages stay as they are. With PyTorch this takes "
            "several minutes, and Slicer waits meanwhile. No image leaves this computer.\n\nInstall them now?"
        ).format(parts="\n".join(parts))

    def install(self, host: Host) -> bool:
        """Ask, install, and try whether it works.

        Returns:
            whether everything is there now; if not, the user has declined or has seen why.
        """
        torch, others = _split(self.missing())
        if not torch and not others:
            return True
        if torch and importlib.util.find_spec("PyTorchUtils") is None:
            host.showError(_noPyTorchExtension(self._page))
            return False
        if not host.confirm(self.plan()):
            return False
        problem = (torch and self._installTorch()) or (others and self._installOthers()) or self._stillMissing()
        problem = problem or self.check(host.python())
        if problem:
            host.showError(problem)
        return not problem

    def check(self, python: ChildPython, timeout_s: float = 120) -> str:
        """Whether a child process can work: empty, or a sentence that says why not."""
        with tempfile.TemporaryDirectory(prefix="samed-") as folder:
            job = Job(Path(folder) / "check", ["devices"], python)
            try:
                job.start()
            except JobError as error:
                return str(error)
            end = time.monotonic() + timeout_s
            while job.running and time.monotonic() < end:
                time.sleep(0.05)
            if job.running:
                job.kill()
                return _("PyTorch does not answer; restart the computer and try again.")
            return job.lastWords()

    def _requirements(self) -> list[str]:
        lines = self._requirementsFile.read_text(encoding="utf-8").splitlines()
        others = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        return [f"torch{TORCH}", *others]

    def _installTorch(self) -> str:
        """Empty, or a sentence that says why it failed."""
        import PyTorchUtils

        try:
            installed = PyTorchUtils.PyTorchUtilsLogic().installTorch(
                askConfirmation=False,  # we asked
                torchVersionRequirement=TORCH,
            )
        except Exception as error:  # pip's, light-the-torch's, or that of a torch that cannot be loaded
            return _installationFailed("PyTorch", error, self._page)
        return "" if installed is not None else _("PyTorch was not installed; SAMed cannot work without it.")

    def _installOthers(self) -> str:
        """Empty, or a sentence that says why it failed."""
        import slicer.packaging

        try:
            with _constraints() as constraints:
                slicer.packaging.pip_ensure(
                    slicer.packaging.load_requirements(self._requirementsFile),
                    constraints=constraints,
                    prompt_install=False,  # we asked
                    requester=REQUESTER,
                )
        except Exception as error:
            return _installationFailed(_("The Python packages of SAMed"), error, self._page)
        return ""

    def _stillMissing(self) -> str:
        missing = self.missing()
        if not missing:
            return ""
        return _(
            "After the installation, {names} cannot be found; restart Slicer, and if that does not help, see the "
            "Python Console for what pip said."
        ).format(names=", ".join(missing))


def _isInstalled(requirement: str) -> bool:
    from packaging.requirements import Requirement

    wanted = Requirement(requirement)
    if importlib.util.find_spec(wanted.name.replace("-", "_")) is None:
        return False
    try:
        version = importlib.metadata.version(wanted.name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return bool(version) and wanted.specifier.contains(version, prereleases=True)


def _split(missing: Iterable[str]) -> tuple[list[str], list[str]]:
    """PyTorch's, and the others."""
    torch = f"torch{TORCH}"
    missing = list(missing)
    return [r for r in missing if r == torch], [r for r in missing if r != torch]


@contextlib.contextmanager
def _constraints() -> Iterator[str]:
    """A file that tells pip to leave the packages alone that others rely on."""
    lines = []
    for name in _KEPT:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            lines.append(f"{name}=={importlib.metadata.version(name)}\n")
    with tempfile.TemporaryDirectory(prefix="samed-") as folder:
        path = Path(folder) / "constraints.txt"
        path.write_text("".join(lines), encoding="utf-8")
        yield str(path)


def _noPyTorchExtension(page: Path) -> str:
    return _(
        "SAMed needs the extension PyTorch, which is not installed: open View > Extensions Manager, search for "
        "PyTorch, install it, and restart Slicer. For computers without internet, {page} says what to do."
    ).format(page=page)


def _installationFailed(what: str, error: Exception, page: Path) -> str:
    lines = str(error).strip().splitlines()
    reason = "" if isinstance(error, subprocess.CalledProcessError) or not lines else f" ({lines[-1][:200]})"
    return _(
        "{what} could not be installed{reason}. Check the internet connection and the proxy, restart Slicer and try "
        "again; the Python Console shows what pip said. For computers without internet, {page} says what to do."
    ).format(what=what, reason=reason, page=page)
