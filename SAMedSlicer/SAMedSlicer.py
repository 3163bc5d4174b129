"""The 3D Slicer module: declares itself, its parameters and its three tabs; SAMedSlicerLib does the work."""

from functools import partial
from pathlib import Path

import qt
import slicer
from slicer import vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin


class SAMedSlicer(ScriptedLoadableModule):
    def __init__(self, parent) -> None:
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("SAMed: Segment Organs")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        self.parent.dependencies = []
        self.parent.contributors = ["SAMedSlicer contributors"]
        self.parent.helpText = _(
            "Automatic segmentation of abdominal organs in CT, training on your own cases, and evaluation. "
            "Research software, not a medical device. "
        )
        self.parent.helpText += self.getDefaultModuleDocumentationLink()
        page = Path(__file__).resolve().parent / "Resources" / "offline.md"
        self.parent.helpText += f'<p><a href="{page.as_uri()}">{_("Hospitals and computers without internet")}</a></p>'
        self.parent.acknowledgementText = _(
            "Method: Zhang and Liu, Customized Segment Anything Model for Medical Image Segmentation, "
            "arXiv 2304.13785. "
            "It builds on the Segment Anything Model by Meta AI (Apache 2.0)."
        )
        slicer.app.connect("startupCompleted()", registerSampleData)


def registerSampleData() -> None:
    """Offer the phantoms in the Sample Data module; they are made when asked for."""
    from SAMedSlicerLib.PhantomSample import registerPhantoms

    registerPhantoms()


def _moduleFactory():
    return slicer.app.moduleManager().factoryManager()


@parameterNodeWrapper
class SAMedSlicerParameterNode:
    """What the user chose, saved with the scene."""

    inputVolume: vtkMRMLScalarVolumeNode
    segmentation: vtkMRMLSegmentationNode
    model: str = "tiny"
    device: str = "auto"
    organs: str = ""  # names separated by commas, empty for all
    keepLargest: bool = True
    testTimeAugmentation: bool = False
    show3D: bool = False
    replaceSegments: bool = True
    trainingVolume: vtkMRMLScalarVolumeNode
    trainingSegmentation: vtkMRMLSegmentationNode
    datasetFolder: str = ""
    runFolder: str = ""
    prediction: vtkMRMLSegmentationNode
    reference: vtkMRMLSegmentationNode
    evaluationVolume: vtkMRMLScalarVolumeNode
    evaluationProtocol: str = "mm"


class SAMedSlicerLogic(ScriptedLoadableModuleLogic):
    def getParameterNode(self) -> SAMedSlicerParameterNode:
        return SAMedSlicerParameterNode(super().getParameterNode())


class SAMedSlicerWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """Three tabs that share the parameters of the current scene."""

    def __init__(self, parent=None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self.host = None
        self.segmentTab = self.trainingTab = self.evaluateTab = None

    def setup(self) -> None:
        ScriptedLoadableModuleWidget.setup(self)
        from SAMedSlicerLib.EvaluateTab import EvaluateTab
        from SAMedSlicerLib.ModelCatalog import ModelCatalog
        from SAMedSlicerLib.Parameters import Parameters
        from SAMedSlicerLib.SegmentTab import SegmentTab
        from SAMedSlicerLib.SetUp import SetUp
        from SAMedSlicerLib.SlicerHost import SlicerHost
        from SAMedSlicerLib.TrainingTab import TrainingTab

        self.logic = SAMedSlicerLogic()
        self.parameters = Parameters()
        self.host = SlicerHost(SetUp(Path(self.resourcePath("requirements.txt"))))

        def catalog() -> ModelCatalog:
            return ModelCatalog(self.trainingTab.runFolders() if self.trainingTab else ())

        self.tabWidget = qt.QTabWidget()
        self.layout.addWidget(self.tabWidget)
        build = partial(self._addTab, catalog)
        self.segmentTab = build(_("Segment"), "SegmentTab.ui", SegmentTab)
        self.trainingTab = build(_("Training"), "TrainingTab.ui", TrainingTab, self.segmentTab.refreshModels)
        self.evaluateTab = build(_("Evaluate"), "EvaluateTab.ui", EvaluateTab)

        self.tabWidget.connect("currentChanged(int)", self.onTabShown)
        self._fitTo(self.tabWidget.currentIndex)

        # before any module is unloaded; at aboutToQuit() Slicer has unloaded them all, and cleanup() was called
        _moduleFactory().connect("modulesAboutToBeUnloaded(QStringList)", self.onAboutToQuit)

        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(scene, scene.EndCloseEvent, self.onSceneEndClose)
        self.addObserver(scene, scene.EndImportEvent, self.onSceneEndImport)
        self.initializeParameterNode()

    @property
    def tabs(self) -> list:
        return [tab for tab in (self.segmentTab, self.trainingTab, self.evaluateTab) if tab]

    def cleanup(self) -> None:
        """The application closes, or the module is reloaded."""
        _moduleFactory().disconnect("modulesAboutToBeUnloaded(QStringList)", self.onAboutToQuit)
        for tab in self.tabs:
            tab.cleanup()
        self.segmentTab = self.trainingTab = self.evaluateTab = None
        self.removeObservers()
        if self.host:
            self.host.removeFolders()

    def enter(self) -> None:
        self.initializeParameterNode()
        for tab in self.tabs:
            tab.enter()

    def exit(self) -> None:
        for tab in self.tabs:
            tab.exit()

    def onAboutToQuit(self, moduleNames) -> None:
        if self.trainingTab:
            self.trainingTab.askBeforeQuitting()

    def onTabShown(self, index) -> None:
        """What another tab has made is offered here at once."""
        self._fitTo(index)
        if index < len(self.tabs):
            self.tabs[index].enter()

    def onSceneStartClose(self, caller, event) -> None:
        for tab in self.tabs:
            tab.sceneStartClose()
        self.parameters.follow(None)

    def onSceneEndClose(self, caller, event) -> None:
        self.initializeParameterNode()
        for tab in self.tabs:
            tab.sceneEndClose()

    def onSceneEndImport(self, caller, event) -> None:
        """A saved scene was loaded: its choices are the ones that count now."""
        # anew: a wrapper that was there before does not see the nodes that came after the parameter node
        self.initializeParameterNode()
        for tab in self.tabs:
            tab.refresh()

    def initializeParameterNode(self) -> None:
        """Use the scene's parameters; propose a volume where none was chosen."""
        node = self.logic.getParameterNode()
        if not node.inputVolume:
            node.inputVolume = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
        self.parameters.follow(node)

    def _fitTo(self, index) -> None:
        """The panel is as tall as this tab needs, not as the tallest one."""
        for number in range(self.tabWidget.count):
            height = qt.QSizePolicy.Preferred if number == index else qt.QSizePolicy.Ignored
            self.tabWidget.widget(number).setSizePolicy(qt.QSizePolicy.Preferred, height)

    def _addTab(self, catalog, title, uiFile, tabClass, *more):
        widget = slicer.util.loadUI(self.resourcePath(f"UI/{uiFile}"))
        self.tabWidget.addTab(widget, title)
        widget.setMRMLScene(slicer.mrmlScene)
        return tabClass(slicer.util.childWidgetVariables(widget), self.host, self.parameters, catalog, *more)


class SAMedSlicerTest(ScriptedLoadableModuleTest):
    """The main job, from the phantom to segments: Slicer's "Reload and Test". Needs the packages installed."""

    def setUp(self) -> None:
        slicer.mrmlScene.Clear()

    def runTest(self, **kwargs) -> None:
        self.setUp()
        self.test_phantomIsSegmented()

    def test_phantomIsSegmented(self) -> None:
        from SAMedSlicerLib.PhantomSample import loadPhantom

        volumeNode, _reference = loadPhantom(slicer.mrmlScene)
        slicer.util.selectModule("SAMedSlicer")
        widget = slicer.modules.SAMedSlicerWidget
        ui = slicer.util.childWidgetVariables(widget.tabWidget.widget(0))
        ui.inputVolumeSelector.setCurrentNode(volumeNode)
        title = ui.segmentButton.text
        assert ui.segmentButton.enabled, ui.segmentButton.toolTip
        ui.segmentButton.click()
        while ui.segmentButton.text != title or ui.progressBar.visible:
            slicer.app.processEvents()
        segmentationNode = widget.logic.getParameterNode().segmentation
        assert segmentationNode is not None, ui.statusLabel.text
        segmentation = segmentationNode.GetSegmentation()
        names = {segmentation.GetSegment(segmentId).GetName() for segmentId in segmentation.GetSegmentIDs()}
        assert {"liver", "spleen", "left kidney", "right kidney"} <= names
