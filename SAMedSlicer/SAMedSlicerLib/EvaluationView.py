"""What the Evaluate tab shows of a result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import qt
from slicer.i18n import tr as _

from SAMedSlicerLib.CaseScores import CaseScores, words
from SAMedSlicerLib.EvaluationResult import EvaluationResult
from SAMedSlicerLib.OrganScore import ABSENT, MISSED, SPURIOUS, OrganScore

_ROW, _HEADER = 24, 28
_MOST_ROWS = 10
_UNKNOWN = "–"
_BAD_STYLE = (255, 230, 204)


class EvaluationView:
    """The list of cases and the table of organs.

    Args:
        ui: the widgets of EvaluateTab.ui.
        onCase: called with a case that the user clicked.
        onOrgan: called with a case and the organ that the user clicked.
    """

    def __init__(
        self, ui: Any, onCase: Callable[[CaseScores], None], onOrgan: Callable[[CaseScores, OrganScore], None]
    ) -> None:
        self._ui = ui
        self._onCase = onCase
        self._onOrgan = onOrgan
        self._result: EvaluationResult | None = None
        self._case: CaseScores | None = None
        self._title = ""
        ui.casesTable.connect("cellClicked(int,int)", self._onCaseCell)
        ui.casesTable.connect("cellActivated(int,int)", self._onCaseCell)
        ui.scoresTable.connect("cellClicked(int,int)", self._onScoreCell)
        ui.scoresTable.connect("cellActivated(int,int)", self._onScoreCell)
        self.clear()

    @property
    def case(self) -> CaseScores | None:
        """The case whose organs are shown, None while it is the mean over several."""
        return self._case

    def clear(self) -> None:
        self._result = self._case = None
        self._ui.resultCollapsibleButton.visible = False

    def show(self, result: EvaluationResult, title: str, notes: Sequence[str] = ()) -> None:
        """Show all of it: one case, or several with the mean over them."""
        self._result, self._title = result, title
        several = len(result.cases) > 1
        self._ui.casesTable.visible = several
        self._ui.resultCollapsibleButton.visible = True
        self._ui.resultCollapsibleButton.collapsed = False
        if several:
            self._fillCases(result)
            self._showMeans(result)
        else:
            self.showCase(result.cases[0], title, notes)

    def showCase(self, case: CaseScores, title: str, notes: Sequence[str] = ()) -> None:
        assert self._result
        self._case = case
        self._fillScores(case.organs, case.dsc, case.hd95)
        self._ui.scoresTitleLabel.text = title
        hint = _("Click an organ to see its worst slice.")
        self._ui.wordsLabel.text = " ".join(part for part in (words(case, self._result.protocol), *notes, hint) if part)

    def _showMeans(self, result: EvaluationResult) -> None:
        self._case = None
        self._fillScores(result.means, result.meanDsc, result.meanHd95)
        self._ui.scoresTitleLabel.text = _("{title}: mean over {count} cases").format(
            title=self._title, count=len(result.cases)
        )
        self._ui.wordsLabel.text = _("Click a case to load it.")

    def _fillCases(self, result: EvaluationResult) -> None:
        table = self._ui.casesTable
        headers = [_("Case"), _("DSC"), _("HD95 {unit}").format(unit=_unit(result)), _("Worst organ")]
        rows = []
        for case in result.cases:
            worst = case.worst
            organ = worst.organ if worst and worst.dsc != 1 else _UNKNOWN
            rows.append([case.name, _dice(case.dsc), _number(case.hd95), organ])
        rows.append([_("mean"), _dice(result.meanDsc), _number(result.meanHd95), ""])
        _fill(table, headers, rows)
        _embolden(table, len(result.cases))

    def _fillScores(self, organs: Sequence[OrganScore], dsc: float | None, hd95: float | None) -> None:
        assert self._result
        unit = _unit(self._result)
        headers = {
            _("Organ"): _("Click an organ to see the slice where it differs most."),
            _("DSC"): _("Dice similarity coefficient: 1 is perfect, 0 is no overlap."),
            _("HD95 {unit}").format(unit=unit): _("95th percentile of the distances between the surfaces."),
            _("mL"): _("Volume in the prediction."),
            _("Ref. mL"): _("Volume in the reference."),
            _("Diff. mL"): _("Prediction minus reference."),
        }
        rows = [
            [
                one.organ,
                _dice(one.dsc),
                _number(one.hd95),
                _number(one.predictedMl),
                _number(one.referenceMl),
                _number(one.differenceMl, signed=True),
            ]
            for one in organs
        ]
        rows.append([_("mean"), _dice(dsc), _number(hd95), "", "", ""])
        table = self._ui.scoresTable
        _fill(table, list(headers), rows)
        for column, tip in enumerate(headers.values()):
            table.horizontalHeaderItem(column).setToolTip(tip)
        for row, one in enumerate(organs):
            self._explain(table, row, len(headers), one)
        _embolden(table, len(organs))

    def _explain(self, table: Any, row: int, columns: int, one: OrganScore) -> None:
        remark = {
            MISSED: _("missed: the prediction has none of it"),
            SPURIOUS: _("only in the prediction"),
            ABSENT: _("in neither"),
        }.get(one.presence)
        place = _("worst in slice {slice}, counted from the feet").format(slice=one.slice) if one.slice else ""
        tip = "; ".join(part for part in (one.organ, remark, place) if part)
        for column in range(columns):
            table.item(row, column).setToolTip(tip)
        if remark:
            table.item(row, 0).setBackground(qt.QBrush(qt.QColor(*_BAD_STYLE)))
            table.item(row, 0).setForeground(qt.QBrush(qt.QColor(0, 0, 0)))

    def _onCaseCell(self, row: int, column: int) -> None:
        if self._result is None:
            return
        if row < len(self._result.cases):
            self._onCase(self._result.cases[row])
        else:
            self._showMeans(self._result)

    def _onScoreCell(self, row: int, column: int) -> None:
        if self._case and row < len(self._case.organs):
            self._onOrgan(self._case, self._case.organs[row])


def _fill(table: Any, headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table.clear()
    table.setRowCount(len(rows))
    table.setColumnCount(len(headers))
    table.setHorizontalHeaderLabels(list(headers))
    table.verticalHeader().setVisible(False)
    for row, texts in enumerate(rows):
        for column, text in enumerate(texts):
            item = qt.QTableWidgetItem(text)
            if column:
                item.setTextAlignment(int(qt.Qt.AlignRight) | int(qt.Qt.AlignVCenter))
            table.setItem(row, column, item)
        table.setRowHeight(row, _ROW)
    header = table.horizontalHeader()
    header.setSectionResizeMode(qt.QHeaderView.ResizeToContents)
    header.setSectionResizeMode(len(headers) - 1, qt.QHeaderView.Stretch)
    table.setFixedHeight(_HEADER + _ROW * min(len(rows), _MOST_ROWS) + 2)


def _embolden(table: Any, row: int) -> None:
    for column in range(table.columnCount):
        font = table.item(row, column).font()
        font.setBold(True)
        table.item(row, column).setFont(font)


def _unit(result: EvaluationResult) -> str:
    return _("voxels") if result.unit == "voxels" else result.unit


def _dice(value: float | None) -> str:
    return _UNKNOWN if value is None else f"{value:.3f}"


def _number(value: float | None, signed: bool = False) -> str:
    if value is None:
        return _UNKNOWN
    rounded = round(value, 1) + 0.0  # no minus before a zero
    return f"{rounded:+.1f}" if signed else f"{rounded:.1f}"
