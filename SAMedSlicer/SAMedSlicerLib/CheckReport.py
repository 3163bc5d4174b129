"""What `samed train --check` found, as a page for the panel."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

from slicer.i18n import tr as _

from SAMedSlicerLib.Progress import duration
from SAMedSlicerLib.TrainingSettingList import inPanelWords


class CheckReport:
    """Reads the result event of a check."""

    def __init__(self, result: Mapping[str, Any]) -> None:
        self._result = result

    @property
    def notes(self) -> list[str]:
        """Sentences that the user should read before training."""
        return [inPanelWords(str(note)) for note in self._result.get("notes") or []]

    @property
    def estimate(self) -> str:
        """For example "about 12 min", empty if it is not known."""
        seconds = self._result.get("estimated_seconds")
        return duration(float(seconds)) if seconds else ""

    def toHtml(self) -> str:
        parts = [f"<p>{'<br>'.join(html.escape(line) for line in self._summary())}</p>", self._table()]
        if self.notes:
            notes = "".join(f"<li>{html.escape(note)}</li>" for note in self.notes)
            parts.append(f"<p><b>{_('Please note')}</b></p><ul>{notes}</ul>")
        return "\n".join(parts)

    def _summary(self) -> list[str]:
        result = self._result
        validation = list(result.get("validation_cases") or [])
        held = _("none, so there will be no validation Dice")
        if validation:
            held = _("{count} ({names})").format(count=len(validation), names=_some(validation))
        lines = [
            _("Cases: {count}; held out for validation: {held}").format(count=result.get("cases", 0), held=held),
            _("Steps: {steps}").format(steps=result.get("steps", 0)),
            _("Time: {time} on {device}").format(
                time=self.estimate or _("not known"), device=_device(str(result.get("device", "")))
            ),
        ]
        if result.get("memory_bytes"):
            memory = _("Memory: about {needed}").format(needed=_size(result["memory_bytes"]))
            if result.get("free_bytes"):
                memory += _(" of {free} that are free").format(free=_size(result["free_bytes"]))
            lines.append(memory)
        return lines

    def _table(self) -> str:
        titles = (_("Cases"), _("Voxels"))
        header = "".join(f"<th align='right'>&nbsp;&nbsp;{title}</th>" for title in titles)
        header = f"<tr><th align='left'>{_('Label')}</th>{header}</tr>"
        rows = "".join(
            f"<tr><td>{html.escape(str(name))}</td>"
            + "".join(f"<td align='right'>{int(count.get(key, 0)):,}</td>" for key in ("cases", "voxels"))
            + "</tr>"
            for name, count in dict(self._result.get("labels") or {}).items()
        )
        return f"<table cellspacing='2'>{header}{rows}</table>"


def _device(name: str) -> str:
    if name.startswith("cuda"):
        return _("the graphics card")
    return {"cpu": _("the processor (CPU)"), "mps": _("the graphics of this Mac")}.get(name, name or "?")


def _size(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{max(1, round(count / 1e6))} MB"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
