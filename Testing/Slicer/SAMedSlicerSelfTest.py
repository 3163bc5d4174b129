"""The panel in 3D Slicer itself: made-up CT, organs, evaluation, and a training of a few steps.

CTest runs it where the extension was built with BUILD_TESTING (ctest -R SAMedSlicerSelfTest). In an installed Slicer,
in the Python console, FOLDER being this file's:

    import slicer.testing; slicer.testing.runUnitTest(FOLDER, "SAMedSlicerSelfTest")

It needs the Python packages that "Segment organs" installs at its first use, and skips what needs them otherwise.
"""

import shutil
import tempfile
import time
from pathlib import Path

import slicer
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleTest

_ORGANS = {"spleen", "right kidney", "left kidney", "gallbladder", "liver", "stomach", "aorta", "pancreas"}
_PATIENCE_S = 600  # a computer without a GPU that does other work too


class SAMedSlicerSelfTest(ScriptedLoadableModuleTest):
    def setUp(self):
        slicer.mrmlScene.Clear(False)
        self.folder = Path(tempfile.mkdtemp(prefix="samed-self-test-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        slicer.util.selectModule("SAMedSlicer")
        self.widget = slicer.modules.SAMedSlicerWidget
        pages = (self.widget.tabWidget.widget(index) for index in range(3))
        self.segment, self.training, self.evaluate = (slicer.util.childWidgetVariables(page) for page in pages)

    def test_nothing_heavy_is_imported_and_the_three_tabs_are_there(self):
        import sys

        assert "torch" not in sys.modules
        titles = [self.widget.tabWidget.tabText(index) for index in range(self.widget.tabWidget.count)]
        assert len(titles) == 3

    def test_the_phantoms_are_in_the_sample_data_module(self):
        import SampleData

        from SAMedSlicerLib.PhantomSample import CATEGORY, registerPhantoms

        registerPhantoms()
        sources = SampleData.SampleDataLogic.sampleDataSourcesByCategory(CATEGORY)
        assert len(sources) == 2
        nodes = sources[1].customDownloader(sources[1])
        assert len(nodes) == 2

    def test_organs_are_segmented_and_evaluated(self):
        self._needPackages()
        volume, reference = self._phantom()
        segmentation = self._segmentOrgans(volume)
        names = {segment.GetName() for segment in self._segments(segmentation)}
        assert {"liver", "spleen", "left kidney", "right kidney"} <= names
        assert names <= _ORGANS
        assert segmentation.GetParentTransformNode() is volume.GetParentTransformNode()
        dice = self._evaluate(segmentation, reference, volume)
        assert dice["liver"] > 0.8
        assert dice["mean"] > 0.6

    def test_organs_lie_right_under_a_transform(self):
        self._needPackages()
        import vtk

        volume, reference = self._phantom()
        matrix = vtk.vtkMatrix4x4()
        matrix.DeepCopy((0, -1, 0, 30, 1, 0, 0, -4, 0, 0, 1, 9, 0, 0, 0, 1))
        transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
        transform.SetMatrixTransformToParent(matrix)
        for node in (volume, reference):
            node.SetAndObserveTransformNodeID(transform.GetID())
        dice = self._evaluate(self._segmentOrgans(volume), reference, volume)
        assert dice["liver"] > 0.8

    def test_cancel_gives_the_button_back_and_leaves_no_segmentation(self):
        self._needPackages()
        volume, _reference = self._phantom()
        before = slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode")
        self.segment.inputVolumeSelector.setCurrentNode(volume)
        button = self.segment.segmentButton
        title = button.text
        button.click()
        later = time.monotonic() + 1.5  # clicks closer together are one double click
        self._wait(lambda: time.monotonic() > later)
        assert button.text != title, self.segment.statusLabel.text
        button.click()
        self._wait(lambda: button.text == title)
        assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == before

    def test_a_training_of_one_epoch_gives_a_model(self):
        self._needPackages()
        volume, reference = self._phantom()
        ui = self.training
        self.widget.logic.getParameterNode().datasetFolder = str(self.folder / "set")
        self.widget.trainingTab.enter()
        ui.trainingVolumeSelector.setCurrentNode(volume)
        ui.trainingSegmentationSelector.setCurrentNode(reference)
        ui.addCaseButton.click()
        self._wait(lambda: ui.casesTable.rowCount == 1 and ui.trainButton.enabled)
        ui.runSelector.setCurrentIndex(0)
        ui.runFolderEdit.text = str(self.folder / "trainings")
        slicer.util.findChild(self.widget.tabWidget.widget(1), "epochsEditor").text = "1"
        self._press(ui.checkButton, shown=ui.trainButton)  # what it has to say is then read, and not asked again
        self._press(ui.trainButton)
        assert list((self.folder / "trainings").glob("*/last.*")), ui.runStatusLabel.text

    def _needPackages(self):
        from SAMedSlicerLib.SetUp import SetUp

        missing = SetUp(Path(self.widget.resourcePath("requirements.txt"))).missing()
        if missing:
            self.skipTest(f"Segment organs has not installed these packages yet: {', '.join(missing)}")

    def _phantom(self):
        from SAMedSlicerLib.PhantomSample import loadPhantom

        return loadPhantom(slicer.mrmlScene, withReference=True)

    def _segmentOrgans(self, volume):
        ui = self.segment
        ui.inputVolumeSelector.setCurrentNode(volume)
        self._press(ui.segmentButton)
        segmentation = self.widget.logic.getParameterNode().segmentation
        assert segmentation is not None, ui.statusLabel.text
        return segmentation

    def _evaluate(self, prediction, reference, volume):
        """DSC by organ."""
        ui = self.evaluate
        ui.kindSelector.setCurrentIndex(0)
        ui.predictionSelector.setCurrentNode(prediction)
        ui.referenceSelector.setCurrentNode(reference)
        ui.evaluationVolumeSelector.setCurrentNode(volume)
        self._press(ui.evaluateButton)
        table = ui.scoresTable
        assert table.rowCount > 1, ui.statusLabel.text
        return {table.item(row, 0).text(): float(table.item(row, 1).text()) for row in range(table.rowCount)}

    def _press(self, button, shown=None):
        """Start work and wait for its end; meanwhile the button, or the one `shown`, has another name."""
        shown = shown or button
        title = shown.text
        assert button.enabled, button.toolTip
        button.click()
        running = shown.text
        assert running != title, "nothing was started"
        self._wait(lambda: shown.text != running)

    def _segments(self, node):
        segmentation = node.GetSegmentation()
        return [segmentation.GetSegment(segmentId) for segmentId in segmentation.GetSegmentIDs()]

    def _wait(self, until):
        end = time.monotonic() + _PATIENCE_S
        while not until():
            assert time.monotonic() < end, "waited too long"
            slicer.app.processEvents()
            time.sleep(0.01)
