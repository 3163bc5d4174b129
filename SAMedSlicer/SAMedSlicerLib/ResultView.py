"""What the Segment tab shows of a result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import qt
from slicer.i18n import tr as _

from SAMedSlicerLib.Host import Host

if TYPE_CHECKING:
    from SAMedSlicerLib.SegmentResult import SegmentResult

_ROW, _FRAME, _SCROLL_BAR = 24, 4, 16  # pixels
_MOST_ROWS = 10
_LONGEST_NAME = 30
_NOTICE_STYLE = "background-color: #fff3cd; color: #664d03; border: 1px solid #e0c36a; padding: 4px;"


class ResultView:
    """The notice, the table of organ volumes, and the way to Slicer's own modules."""

    def __init__(self, ui: Any, host: Host) -> None:
        self._ui = ui
        self._host = host
        self._scene: Any = None
        self._segmentationId = ""
        self._columns: list[tuple[str, str]] = []
        ui.noticeLabel.styleSheet = _NOTICE_STYLE
        ui.resultTable.connect("cellClicked(int,int)", self._onCell)
        ui.segmentEditorButton.connect("clicked(bool)", lambda checked=False: self._open("SegmentEditor"))
        ui.segmentStatisticsButton.connect("clicked(bool)", lambda checked=False: self._open("SegmentStatistics"))
        ui.show3DButton.connect("clicked(bool)", self._onShow3D)
        self.clear()

    def clear(self) -> None:
        self._segmentationId = ""
        self._ui.resultCollapsibleButton.visible = False

    def show(self, results: Sequence[SegmentResult], segmentationNode: Any, notice: str) -> None:
        """List the organs of one or more scans; the buttons are about `segmentationNode`."""
        self._scene = self._host.scene
        self._segmentationId = segmentationNode.GetID() if segmentationNode else ""
        self._columns = [(_id(result.volumeNode), _id(result.segmentationNode)) for result in results]
        self._ui.noticeLabel.text = notice
        self._ui.noticeLabel.visible = bool(notice)
        self._fill(results)
        name = results[0].title if len(results) == 1 else ""
        title = _("Result: {name}").format(name=_shortened(name)) if name else _("Result")
        self._ui.resultCollapsibleButton.text = title.replace("&", "&&")  # a single one marks a shortcut
        self._ui.resultCollapsibleButton.toolTip = name
        self._ui.resultCollapsibleButton.visible = True
        self.refresh()

    def refresh(self) -> None:
        """Enable what is possible now: nodes may have been deleted."""
        possible = self._segmentation() is not None
        for button, tip in (
            (self._ui.segmentEditorButton, _("Correct the organs by hand in the Segment Editor.")),
            (self._ui.segmentStatisticsButton, _("Measure more, such as the mean HU, in Segment Statistics.")),
            (self._ui.show3DButton, _("Show the organs as surfaces in the 3D view.")),
        ):
            button.enabled = possible
            button.toolTip = tip if possible else _("There is no segmentation in the scene.")

    def _fill(self, results: Sequence[SegmentResult]) -> None:
        table = self._ui.resultTable
        organs = list({size.name: size for result in results for size in result.sizes}.values())
        single = len(results) == 1
        headers = [_("Organ"), _("Volume (mL)")] if single else [_("Organ (mL)"), *(r.title for r in results)]
        table.clear()
        table.setRowCount(len(organs))
        table.setColumnCount(len(headers))
        table.setHorizontalHeaderLabels(headers)
        table.verticalHeader().setVisible(False)
        for row, organ in enumerate(organs):
            pixmap = qt.QPixmap(12, 12)
            pixmap.fill(qt.QColor(*organ.color))
            table.setItem(row, 0, qt.QTableWidgetItem(qt.QIcon(pixmap), organ.name))
            for column, result in enumerate(results, start=1):
                size = next((size for size in result.sizes if size.name == organ.name), None)
                table.setItem(row, column, _cell(size))
            table.setRowHeight(row, _ROW)
        header = table.horizontalHeader()
        header.setSectionResizeMode(qt.QHeaderView.ResizeToContents)
        header.setStretchLastSection(True)
        height = header.sizeHint.height() + _ROW * min(len(organs), _MOST_ROWS) + _FRAME
        table.setFixedHeight(height + (_SCROLL_BAR if len(results) > 2 else 0))

    def _onCell(self, row: int, column: int) -> None:
        """Show the scan whose column was clicked."""
        if not 1 <= column <= len(self._columns):
            return
        volumeId, segmentationId = self._columns[column - 1]
        volume = self._scene.GetNodeByID(volumeId) if volumeId else None
        segmentation = self._scene.GetNodeByID(segmentationId) if segmentationId else None
        if segmentation is not None:
            self._segmentationId = segmentationId
        if volume is not None and volume.IsA("vtkMRMLScalarVolumeNode"):
            self._host.showVolume(volume, segmentation)
        self.refresh()

    def _open(self, module: str) -> None:
        node = self._segmentation()
        if node is not None:
            self._host.openModule(module, node)

    def _onShow3D(self, checked: bool = False) -> None:
        node = self._segmentation()
        if node is not None:
            self._host.show3D(node)

    def _segmentation(self) -> Any:
        return self._scene.GetNodeByID(self._segmentationId) if self._segmentationId else None


def _shortened(name: str) -> str:
    """The panel is never narrower than a title."""
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME // 2]} … {name[-_LONGEST_NAME // 2 :]}"


def _cell(size: Any) -> Any:
    """A number; what is odd about it is said beside it."""
    item = qt.QTableWidgetItem(size.amount if size is not None else "")
    item.setTextAlignment(int(qt.Qt.AlignRight) | int(qt.Qt.AlignVCenter))
    if size is not None and size.cut:
        item.setToolTip(_("The organ reaches the edge of the scan; there may be more of it outside."))
    return item


def _id(node: Any) -> str:
    return node.GetID() if node is not None else ""
