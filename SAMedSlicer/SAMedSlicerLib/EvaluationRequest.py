"""What is to be evaluated, as a command line of the library, and where the reports lie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class EvaluationRequest:
    """One run of `samed evaluate`.

    Attributes:
        name: of the prediction, for the report.
        predictions, references: two label files, or two folders with one for each case.
        images: a folder with the scans, None without.
        labels: a label set's JSON or a dataset.json; "" for the eight organs.
        protocol: "mm" or "paper".
        folder: private; reports and the job's files go into it.
    """

    name: str
    predictions: Path
    references: Path
    folder: Path
    protocol: str = "mm"
    images: Path | None = None
    labels: str = ""
    commonOnly: bool = False

    def report(self, kind: str) -> Path:
        """The report's file; kind is json, csv or html."""
        return self.folder / f"evaluation.{kind}"

    def command(self) -> list[str]:
        # a name is always given: without it, an equals sign in the path would be taken for one
        name = self.name.replace("=", "-").strip() or "prediction"
        command = ["evaluate", "--predictions", f"{name}={self.predictions}", "--references", str(self.references)]
        command += ["--protocol", self.protocol]
        if self.images:
            command += ["--images", str(self.images)]
        if self.labels:
            command += ["--labels", self.labels]
        if self.commonOnly:
            command.append("--common")
        for kind in ("json", "csv", "html"):
            command += [f"--{kind}", str(self.report(kind))]
        return command
