"""How far a job is, and how to say it."""

from __future__ import annotations

from dataclasses import dataclass

from slicer.i18n import tr as _

SCANS = "scans"  # the library's word for going from one scan to the next; the stages of each lie in between


@dataclass(frozen=True)
class Progress:
    """How far a job is.

    Attributes:
        stage: what is done, in the library's words.
        done, total: units of this stage that are ready, and all of them.
        message: what the library says beside it, such as a case's name.
        remaining_s: seconds until the stage ends (with several scans: until all are done); None while unknown.
        scan, scans: which of several scans this is, from 1, and how many there are; 0 for a single one.
        scanName: that scan's name.
    """

    stage: str
    done: int
    total: int
    message: str = ""
    remaining_s: float | None = None
    scan: int = 0
    scans: int = 0
    scanName: str = ""

    @property
    def fraction(self) -> float | None:
        """From 0 to 1, for a bar; None if there is nothing to count yet."""
        inside = self.done / self.total if self.total > 1 else None
        if self.scans:
            return min(1.0, (self.scan - 1 + (inside or 0.0)) / self.scans)
        return None if inside is None else min(1.0, inside)

    @property
    def text(self) -> str:
        """For example "Segmenting slice 12 of 148, about 40 s left"."""
        scan = _("scan {scan} of {scans} ({name})").format(scan=self.scan, scans=self.scans, name=self.scanName)
        if self.stage == SCANS:
            text = _("Starting {scan}").format(scan=scan)
        else:
            text = stageText(self.stage, self.done, self.total, self.message)
            if self.scans:
                text = _("{text}, {scan}").format(text=text, scan=scan)
        if self.remaining_s is None:
            return text
        return _("{text}, {remaining} left").format(text=text, remaining=duration(self.remaining_s))


def stageText(stage: str, done: int, total: int, message: str = "") -> str:
    """What the library does, in a sentence for people."""
    sentences = {
        "loading the model": _("Loading the model"),
        "reading": _("Reading the volume"),
        "segmenting": _("Segmenting slice {number} of {total}"),
        "writing": _("Writing the result"),
        "loading slices": _("Loading case {number} of {total}"),
        "training": _("Training, step {done} of {total}"),
        "validating": _("Validating, {done} of {total}"),
        "preparing": _("Preparing case {number} of {total}"),
        "adding cases": _("Adding case {number} of {total}"),
        "making phantoms": _("Making phantom {number} of {total}"),
        "making a phantom": _("Making a phantom"),
        "comparing grids": _("Comparing grids, case {number} of {total}"),
        "measuring the speed": _("Measuring how fast the training is"),
        "measuring devices": _("Measuring how fast this computer is"),
        "drawing": _("Drawing case {number} of {total}"),
        "converting": _("Converting the model"),
    }
    sentence = sentences.get(stage)
    if sentence is None:
        name = stage[:1].upper() + stage[1:]
        if not message and total > 1:
            return f"{name}: {100 * done // total} %" if total > 10000 else f"{name}: {done} / {total}"
        return f"{name} ({message})" if message else name
    text = sentence.format(done=done, number=min(done + 1, total), total=total)
    return f"{text} ({message})" if message else text


def duration(seconds: float) -> str:
    """A remaining time as precise as it can be known: "about 40 s", "about 3 min", "about 1 h 20 min"."""
    if seconds < 7.5:
        return _("a few seconds")
    if seconds < 57.5:
        return _("about {seconds} s").format(seconds=int(5 * round(seconds / 5)))
    minutes = max(1, round(seconds / 60))
    if minutes < 60:
        return _("about {minutes} min").format(minutes=minutes)
    minutes = 10 * round(minutes / 10)
    hours, minutes = divmod(minutes, 60)
    if hours >= 10 or not minutes:
        return _("about {hours} h").format(hours=hours + (minutes >= 30))
    return _("about {hours} h {minutes} min").format(hours=hours, minutes=minutes)
