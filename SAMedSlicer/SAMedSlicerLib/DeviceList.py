"""The devices that `samed devices` found, and how long a scan takes on each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any

from slicer.i18n import tr as _

from SAMedSlicerLib.Progress import duration

if TYPE_CHECKING:
    from SAMedSlicerLib.Host import Host

AUTO = "auto"
_SETTING = "devices"


@dataclass(frozen=True)
class Device:
    """One device.

    Attributes:
        name: for --device.
        title: for people.
        usable: whether a model can run on it.
        why: a clause that says why, or why not.
        seconds_per_slice: measured; None if it was not.
        memory_bytes: free when it was looked at; None if the system does not tell.
    """

    name: str
    title: str
    usable: bool = True
    why: str = ""
    seconds_per_slice: float | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True)
class DeviceList:
    """Attributes: all devices, the name of the one that "auto" means, why, and the PyTorch that was asked."""

    devices: tuple[Device, ...]
    default: str
    reason: str = ""
    pytorch: str = ""

    @classmethod
    def fromResult(cls, result: Mapping[str, Any]) -> DeviceList:
        """Read the result event of `samed devices`.

        Raises:
            ValueError: if it is something else.
        """
        try:
            devices = tuple(
                Device(**{name: entry[name] for name in Device.__dataclass_fields__ if name in entry})
                for entry in result["devices"]
            )
            found = cls(devices, str(result["default"]), str(result.get("reason", "")), str(result.get("pytorch", "")))
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"this is no list of devices ({error!r})") from error
        if found.find(AUTO) is None:
            raise ValueError(f"this list of devices lacks its default, {found.default}")
        return found

    @classmethod
    def remembered(cls, host: Host, model: str) -> DeviceList | None:
        """What was measured for a model before; None if nothing was, or PyTorch was replaced since."""
        try:
            found = cls.fromResult(_kept(host)[model])
        except (KeyError, ValueError):
            return None
        return found if found.pytorch == _installedPyTorch() else None

    def remember(self, host: Host, model: str) -> None:
        """Keep this in the application's settings."""
        host.setSetting(_SETTING, json.dumps({**_kept(host), model: asdict(self)}))

    @property
    def usable(self) -> tuple[Device, ...]:
        return tuple(device for device in self.devices if device.usable)

    def find(self, name: str) -> Device | None:
        """The device called `name`; AUTO means the default."""
        wanted = self.default if name == AUTO else name
        return next((device for device in self.devices if device.name == wanted), None)

    def seconds(self, slices: int, name: str = AUTO, effort: float = 1.0) -> float | None:
        """How long a scan takes; None if it was not measured.

        Args:
            effort: how much more than usual a slice takes.
        """
        device = self.find(name)
        if device is None or not device.usable or not device.seconds_per_slice:
            return None
        return device.seconds_per_slice * slices * effort

    def text(self, slices: int, name: str = AUTO, effort: float = 1.0) -> str:
        """For example "CPU, 8 threads: about 1 min for 148 slices. No GPU was found: ..."."""
        device = self.find(name)
        if device is None:
            return _("{device} was not found when the devices were looked at.").format(device=name)
        if not device.usable:
            return _("{device} cannot be used: {why}.").format(device=device.title, why=device.why)
        seconds = self.seconds(slices, name, effort)
        if seconds is None or slices < 1:
            expected = f"{device.title}."
        elif slices == 1:
            expected = _("{device}: {time} for one slice.").format(device=device.title, time=duration(seconds))
        else:
            expected = _("{device}: {time} for {slices} slices.").format(
                device=device.title, time=duration(seconds), slices=slices
            )
        # why a GPU was chosen is of no interest; why there is none is
        if name != AUTO or device.name != "cpu" or not self.reason:
            return expected
        return f"{expected} {self.reason[0].upper()}{self.reason[1:].rstrip('.')}."


def _kept(host: Host) -> dict[str, Any]:
    try:
        kept = json.loads(host.setting(_SETTING, "{}"))
    except ValueError:
        return {}
    return kept if isinstance(kept, dict) else {}


def _installedPyTorch() -> str:
    """Its version, without importing it."""
    try:
        return metadata.version("torch")
    except metadata.PackageNotFoundError:
        return ""
