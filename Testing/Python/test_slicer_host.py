"""The stand-in for the Slicer application is as strict as PythonQt and follows the real MRML scene."""

from __future__ import annotations

import pytest


def test_a_qt_property_is_an_attribute_and_cannot_be_called(scene):
    import qt

    button = qt.QPushButton("Segment")
    assert button.text == "Segment"
    with pytest.raises(TypeError):
        button.text()


def test_plain_qt_objects_take_no_new_attributes(scene):
    import ctk
    import qt

    for thing in (qt.QPushButton(), qt.QTableWidgetItem(), ctk.ctkPathLineEdit()):
        with pytest.raises(AttributeError, match="PythonQt"):
            thing.state = "running"
