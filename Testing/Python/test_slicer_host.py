"""The stand-in for the Slicer application is as strict as PythonQt, and follows the real MRML scene."""

from __future__ import annotations

import pytest

import slicer_host


def test_a_qt_property_is_an_attribute_and_cannot_be_called(scene):
    import qt

    button = qt.QPushButton("Segment")
    button.enabled = False
    assert (button.text, button.enabled, button.isEnabled()) == ("Segment", False, False)
    for call in (lambda: button.text(), lambda: button.enabled(), lambda: qt.QComboBox().count()):
        with pytest.raises(TypeError):
            call()


def test_objects_of_qt_and_its_stand_ins_take_no_new_attributes(scene):
    import ctk
    import qt
    import slicer

    things = (
        qt.QPushButton(),
        qt.QTableWidgetItem(),
        ctk.ctkPathLineEdit(),
        slicer.qMRMLNodeComboBox(),
        slicer.app,
    )
    for thing in things:
        with pytest.raises(AttributeError, match="PythonQt"):
            thing.state = "running"


def test_methods_and_read_only_properties_cannot_be_assigned(scene):
    import qt

    label = qt.QLabel()
    for name, value in (("show", None), ("width", 20)):
        with pytest.raises(AttributeError):
            setattr(label, name, value)


def test_classes_derived_in_python_keep_their_own_attributes(scene):
    import qt

    class Filter(qt.QObject):
        pass

    filter = Filter()
    filter.count = 3
    assert filter.count == 3


def test_a_virtual_getter_is_a_property_that_python_may_override(scene):
    import qt

    class Wide(qt.QLabel):
        def sizeHint(self):
            return qt.QSize(321, 20)

    row = qt.QWidget()
    layout = qt.QHBoxLayout(row)
    layout.addWidget(Wide(row))
    assert row.sizeHint.width() >= 321
    assert qt.QLabel("text").sizeHint.width() > 0


def test_a_static_method_is_not_hidden_by_the_property_of_the_same_name(scene):
    import qt

    fired = []
    qt.QTimer.singleShot(1, lambda: fired.append(True))
    timer = qt.QTimer()
    timer.singleShot = True
    assert timer.singleShot
    slicer_host.processEvents(until=lambda: fired)


def test_dynamic_properties_are_read_by_name(scene):
    import qt

    edit = qt.QLineEdit()
    edit.setProperty("SlicerParameterName", "note")
    assert edit.SlicerParameterName == "note"


def test_signals_are_connected_by_signature_and_pass_as_much_as_the_function_takes(scene):
    import qt

    button, seen = qt.QPushButton(), []
    button.checkable = True
    takesOne = seen.append
    button.connect("clicked(bool)", takesOne)
    button.connect("clicked(bool)", lambda: seen.append("no argument"))
    button.connect("clicked()", lambda *arguments: seen.append(arguments))
    button.click()
    assert seen == [True, "no argument", ()]
    assert button.disconnect("clicked(bool)", takesOne)
    assert not button.disconnect("clicked(bool)", takesOne)
    seen.clear()
    button.click()
    assert seen == ["no argument", ()]


@pytest.mark.parametrize("signature", ["clicked(int)", "pressed(bool)", "nosuch()", "clicked"])
def test_a_signature_that_does_not_exist_is_refused(scene, signature):
    import qt

    with pytest.raises(ValueError, match="sign"):
        qt.QPushButton().connect(signature, print)


def test_signals_that_qt_6_dropped_are_refused(scene):
    import qt

    with pytest.raises(ValueError, match="currentIndexChanged"):
        qt.QComboBox().connect("currentIndexChanged(QString)", print)


def test_what_is_no_slot_of_a_toolkit_widget_cannot_be_called(scene):
    import ctk

    slider = ctk.ctkSliderWidget()
    with pytest.raises(AttributeError):
        slider.setMaximum(5)
    slider.maximum = 5
    slider.value = 7
    assert slider.value == 5


def test_file_dialogs_answer_with_a_plain_path_as_in_pythonqt(slicer_app, scene):
    import qt

    with slicer_app.dialogs.answering("/data/ct.nrrd") as shown:
        assert qt.QFileDialog.getOpenFileName(None, "Choose a CT", "", "*.nrrd") == "/data/ct.nrrd"
    assert shown == ["Choose a CT"]


def test_questions_are_answered_and_their_text_is_kept(slicer_app, scene):
    import qt
    import slicer

    with slicer_app.dialogs.answering(qt.QMessageBox.No) as shown:
        assert not slicer.util.confirmYesNoDisplay("Delete the training run?")
    assert shown == ["Delete the training run?"]


def test_a_dialog_nobody_expects_fails_instead_of_waiting_for_ever(slicer_app, scene):
    import slicer

    with pytest.raises(AssertionError, match="The disk is full"):
        slicer.util.errorDisplay("The disk is full.")


def test_exceptions_in_slots_and_observers_are_not_lost(slicer_app, scene):
    import qt
    import vtk

    def fail(*_):
        raise ValueError("from a callback")

    button = qt.QPushButton()
    button.connect("clicked(bool)", fail)
    button.click()
    node = scene.AddNewNodeByClass("vtkMRMLTextNode")
    tag = node.AddObserver(vtk.vtkCommand.ModifiedEvent, fail)
    node.Modified()
    node.RemoveObserver(tag)
    assert ["from a callback" in text for text in slicer_app.errors.take()] == [True, True]


def test_a_ui_file_with_a_widget_that_nobody_stands_in_for_is_refused(scene, tmp_path):
    import slicer

    path = tmp_path / "odd.ui"
    path.write_text(
        '<ui version="4.0"><widget class="QWidget" name="odd"/><customwidgets><customwidget>'
        "<class>ctkNothing</class><extends>QWidget</extends></customwidget></customwidgets></ui>"
    )
    with pytest.raises(RuntimeError, match="ctkNothing"):
        slicer.util.loadUI(str(path))


def test_a_collapsed_section_hides_its_contents_but_does_not_show_what_was_hidden(scene):
    import ctk
    import qt

    section = ctk.ctkCollapsibleButton()
    column = qt.QVBoxLayout(section)
    shown, hidden = qt.QLabel("shown"), qt.QLabel("hidden")
    for label in (shown, hidden):
        column.addWidget(label)
    hidden.visible = False
    section.show()
    section.collapsed = True
    assert not shown.visible
    section.collapsed = False
    assert shown.visible
    assert not hidden.visible


def test_settings_are_not_those_of_the_user(slicer_app, scene):
    import qt
    import slicer

    qt.QSettings().setValue("SAMedSlicer/lastFolder", "/data")
    assert qt.QSettings().value("SAMedSlicer/lastFolder") == "/data"
    assert qt.QSettings().fileName().startswith(slicer.app.slicerHome)
