"""The numbers of an evaluation as a table node."""

from __future__ import annotations

from typing import Any

from slicer.i18n import tr as _

from SAMedSlicerLib.CaseScores import CaseScores
from SAMedSlicerLib.EvaluationResult import EvaluationResult
from SAMedSlicerLib.OrganScore import OrganScore
from SAMedSlicerLib.OrganTable import Column, OrganTable


def writeTable(scene: Any, result: EvaluationResult, title: str, ownerNode: Any = None) -> Any:
    """One row for each organ of each case, and the means last.

    Args:
        ownerNode: the segmentation that the table belongs to and whose earlier table it replaces; None for a new one.
    """
    several = len(result.cases) > 1
    rows = [_row(case, one) for case in result.cases for one in case.organs]
    if several:
        rows += [{**_row(None, one), "case": _("mean")} for one in result.means]
    rows.append({"case": _("mean"), "organ": _("mean"), "dsc": result.meanDsc, "hd95": result.meanHd95})
    table = OrganTable("evaluation", _columns(result))
    name = _("Evaluation of {title}").format(title=title)
    if ownerNode is not None:
        return table.write(ownerNode, rows, name)
    node = scene.AddNewNodeByClass("vtkMRMLTableNode", scene.GenerateUniqueName(name))
    table.fill(node, rows)
    return node


def _columns(result: EvaluationResult) -> list[Column]:
    return [
        Column("case", _("Case"), str),
        Column("organ", _("Organ"), str),
        Column("dsc", _("DSC"), description=_("Dice similarity coefficient, 0 to 1.")),
        Column("hd95", _("HD95"), unit=result.unit, decimals=2, description=_("95th percentile of surface distances.")),
        Column("volume", _("Volume"), unit="mL", decimals=2, description=_("Of the prediction.")),
        Column("reference", _("Reference"), unit="mL", decimals=2, description=_("Volume of the reference.")),
        Column("difference", _("Difference"), unit="mL", decimals=2, description=_("Prediction minus reference.")),
        Column(
            "remark", _("Remark"), str, description=_("missed, spurious or absent; found where both have the organ.")
        ),
    ]


def _row(case: CaseScores | None, one: OrganScore) -> dict[str, Any]:
    return {
        "case": case.name if case else "",
        "organ": one.organ,
        "dsc": one.dsc,
        "hd95": one.hd95,
        "volume": one.predictedMl,
        "reference": one.referenceMl,
        "difference": one.differenceMl,
        "remark": one.presence,
    }
