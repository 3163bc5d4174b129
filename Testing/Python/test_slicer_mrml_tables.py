"""Organ tables and training curves as nodes that users see, save with the scene, and find again."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest

from SAMedLib.organs import SYNAPSE
from SAMedLib.training.run_folder import RunFolder


@pytest.fixture
def volumes_table(scene):
    from SAMedSlicerLib.OrganTable import Column, OrganTable

    return OrganTable(
        "volumes",
        (
            Column("organ", "Organ", str),
            Column("ml", "Volume", float, unit="mL", decimals=1, description="Voxels times voxel size."),
            Column("voxels", "Voxels", int),
        ),
    )


ROWS = [{"organ": "liver", "ml": 1502.3456, "voxels": 7}, {"organ": "spleen", "ml": None, "voxels": 0}]


def series_of(chart) -> dict:
    return {
        chart.GetNthPlotSeriesNode(i).GetName(): chart.GetNthPlotSeriesNode(i)
        for i in range(chart.GetNumberOfPlotSeriesNodes())
    }


def column(series, axis: str = "y") -> np.ndarray:
    from vtk.util.numpy_support import vtk_to_numpy

    name = series.GetYColumnName() if axis == "y" else series.GetXColumnName()
    return vtk_to_numpy(series.GetTableNode().GetTable().GetColumnByName(name))


def test_a_table_has_typed_columns_and_units_in_its_headings(scene, volumes_table):
    import vtk

    import mrml_scene as m

    table = volumes_table.write(m.add_volume(scene), ROWS, "CT organ volumes")
    assert table.GetName() == "CT organ volumes"
    assert [table.GetColumnName(i) for i in range(table.GetNumberOfColumns())] == ["organ", "ml", "voxels"]
    assert [table.GetColumnTitle(name) for name in ("organ", "ml", "voxels")] == ["Organ", "Volume (mL)", "Voxels"]
    assert table.GetUseColumnTitleAsColumnHeader()
    assert table.GetColumnUnitLabel("ml") == "mL"
    assert table.GetColumnDescription("ml") == "Voxels times voxel size."
    types = [table.GetColumnType(name) for name in ("organ", "ml", "voxels")]
    assert types == [vtk.VTK_STRING, vtk.VTK_DOUBLE, vtk.VTK_INT]
    columns = [table.GetTable().GetColumn(i) for i in range(3)]
    assert columns[0].GetValue(0) == "liver"
    assert columns[1].GetValue(0) == 1502.3
    assert math.isnan(columns[1].GetValue(1))
    assert columns[2].GetValue(0) == 7


def test_a_table_stands_under_its_node_and_is_filled_again(scene, volumes_table, tmp_path):
    import mrml_scene as m
    from SAMedSlicerLib.Hierarchy import hierarchyOf, itemOf

    volume = m.add_volume(scene)
    assert volumes_table.find(volume) is None
    table = volumes_table.write(volume, ROWS, "CT organ volumes")
    assert hierarchyOf(volume).GetItemParent(itemOf(table)) == itemOf(volume)
    events = []
    table.AddObserver("ModifiedEvent", lambda *_: events.append(1))
    assert volumes_table.write(volume, ROWS[:1], "CT organ volumes") is table
    assert table.GetNumberOfRows() == 1
    assert len(events) == 1, "views redraw once"
    volume_id = volume.GetID()
    m.save_and_reopen(scene, tmp_path)
    volume = scene.GetNodeByID(volume_id)
    table = volumes_table.find(volume)
    assert table.GetTable().GetColumnByName("ml").GetValue(0) == 1502.3
    assert table.GetColumnTitle("ml") == "Volume (mL)"
    assert volumes_table.write(volume, ROWS, "CT organ volumes") is table
    assert scene.GetNumberOfNodesByClass("vtkMRMLTableNode") == 1


def test_tables_of_two_nodes_or_two_kinds_do_not_mix(scene, volumes_table):
    import mrml_scene as m
    from SAMedSlicerLib.OrganTable import Column, OrganTable

    one, other = m.add_volume(scene), m.add_volume(scene)
    scores = OrganTable("scores", (Column("dice", "Dice"),))
    tables = {volumes_table.write(one, ROWS, "a"), volumes_table.write(other, ROWS, "b"), scores.write(one, [], "c")}
    assert len(tables) == 3
    scene.RemoveNode(volumes_table.find(one))
    assert volumes_table.find(one) is None
    assert volumes_table.write(one, ROWS, "a").GetNumberOfRows() == 2


def loss(step: int, **more) -> dict:
    return {
        "event": "metric",
        "step": step,
        "epoch": 0,
        "loss": 2 / step,
        "loss_ce": 1 / step,
        "loss_dice": 0.9,
        "lr": 1e-3,
    } | more


def validation(step: int, **more) -> dict:
    dice = {label.name: label.value / 10 for label in SYNAPSE if label.name != "aorta"} | {"aorta": None}
    return {"event": "metric", "step": step, "epoch": 1, "mean_dice": 0.4, "dice": dice} | more


@pytest.fixture
def plots(scene, tmp_path):
    from SAMedSlicerLib.Plots import TrainingPlots

    return TrainingPlots(scene, tmp_path / "runs" / "run 4", SYNAPSE)


def test_curves_show_what_the_run_folder_holds(scene, plots, tmp_path):
    folder = RunFolder(tmp_path / "runs" / "run 4")
    for step in range(1, 11):
        folder.append(**loss(step))
    folder.append(**validation(10))
    plots.readOn()
    curves = series_of(plots.lossChart)
    assert list(curves) == ["Loss", "Cross entropy", "Dice loss"]
    np.testing.assert_array_equal(column(curves["Loss"], "x"), np.arange(1, 11))
    np.testing.assert_allclose(column(curves["Loss"]), 2 / np.arange(1, 11))
    assert (column(series_of(plots.rateChart)["Learning rate"]) == 1e-3).all()
    organs = series_of(plots.diceChart)
    assert list(organs) == ["Mean", *(name for name in SYNAPSE.names if name != "aorta")], "the aorta has no value"
    assert column(organs["liver"]).tolist() == [0.5]
    assert "run 4" in plots.diceChart.GetTitle()
    assert plots.diceChart.GetYAxisTitle() == "Dice"
    assert plots.diceChart.GetYAxisRange() == (0.0, 1.0)


def test_only_what_is_new_is_read_while_the_run_goes_on(plots, tmp_path):
    folder = RunFolder(tmp_path / "runs" / "run 4")
    for step in range(1, 6):
        folder.append(**loss(step))
        plots.readOn()
    folder.append("resume", step=3)
    folder.append(**loss(4, loss=7.0))
    with open(folder.events_file, "a", encoding="utf-8") as file:
        file.write('{"event": "metric", "step": 5, "lo')
    plots.readOn()
    curve = series_of(plots.lossChart)["Loss"]
    assert column(curve, "x").tolist() == [1, 2, 3, 4]
    assert column(curve)[-1] == 7.0


def test_organs_have_their_own_colours_and_the_two_kidneys_can_be_told_apart(plots):
    plots.update([validation(10)])
    organs = series_of(plots.diceChart)
    for label in SYNAPSE:
        if label.name in organs:
            assert [round(channel * 255) for channel in organs[label.name].GetColor()] == list(label.color)
    left, right = organs["left kidney"], organs["right kidney"]
    assert left.GetColor() == right.GetColor()
    assert left.GetLineStyle() != right.GetLineStyle()


def test_no_chart_is_there_before_there_is_something_to_show(plots):
    plots.update([{"event": "progress", "stage": "training", "done": 0, "total": 9, "message": ""}])
    assert (plots.lossChart, plots.rateChart, plots.diceChart) == (None, None, None)
    plots.update([loss(1)])
    assert plots.lossChart is not None
    assert plots.diceChart is None


def test_new_steps_are_added_in_place_and_the_users_changes_stay(scene, plots):
    plots.update([loss(1)])
    chart = plots.lossChart
    series_of(chart)["Loss"].SetColor(1, 0, 0)
    chart.SetTitle("Mine")
    count = scene.GetNumberOfNodes()
    redrawn = []
    chart.AddObserver(chart.PlotModifiedEvent, lambda *_: redrawn.append(1))
    for step in range(2, 20):
        plots.update([loss(step)])
    assert scene.GetNumberOfNodes() == count
    assert plots.lossChart is chart
    assert chart.GetTitle() == "Mine"
    assert series_of(chart)["Loss"].GetColor() == (1, 0, 0)
    assert len(column(series_of(chart)["Loss"])) == 19
    assert redrawn, "the chart on the screen is told"


def test_reading_the_same_events_again_changes_nothing(plots):
    events = [loss(1), loss(2), validation(2), loss(3)]
    plots.update(events)
    plots.update(events)
    assert column(series_of(plots.lossChart)["Loss"], "x").tolist() == [1, 2, 3]
    assert column(series_of(plots.diceChart)["Mean"], "x").tolist() == [2]


def test_steps_that_a_resumed_run_does_again_replace_the_first_ones(plots):
    plots.update([*(loss(step) for step in range(1, 9)), validation(4), validation(8)])
    plots.update([{"event": "resume", "step": 5}, loss(6, loss=7.0)])
    curve = series_of(plots.lossChart)["Loss"]
    assert column(curve, "x").tolist() == [1, 2, 3, 4, 5, 6]
    assert column(curve)[-1] == 7.0
    assert column(series_of(plots.diceChart)["Mean"], "x").tolist() == [4]
    plots.update([loss(3, loss=9.0)])  # a job's own events do not tell of the resume
    assert column(curve, "x").tolist() == [1, 2, 3]
    assert column(curve)[-1] == 9.0


def test_numbers_that_are_missing_are_gaps(plots):
    plots.update([loss(1), loss(2, loss=None), loss(3)])
    assert np.isnan(column(series_of(plots.lossChart)["Loss"])).tolist() == [False, True, False]


def test_a_hundred_thousand_steps_are_thinned_and_stay_quick(plots):
    plots.update([loss(step, loss=1 + step / 1e5) for step in range(1, 100_001)])
    plots.update([validation(step) for step in range(1000, 100_001, 1000)])
    curve = series_of(plots.lossChart)["Loss"]
    assert len(column(curve)) == 1000
    np.testing.assert_allclose(column(curve), 1 + column(curve, "x") / 1e5, rtol=1e-12)
    assert column(curve, "x")[-1] > 99_900
    times = []
    for step in range(100_001, 100_006):
        start = time.process_time()
        plots.update([loss(step)])
        times.append(time.process_time() - start)
    assert min(times) < 0.05


def test_curves_are_saved_with_the_scene_and_go_on_without_duplicates(scene, plots, tmp_path):
    import mrml_scene as m
    from SAMedSlicerLib.Plots import TrainingPlots

    plots.update([loss(1), loss(2), validation(2)])
    kinds = ("vtkMRMLTableNode", "vtkMRMLPlotSeriesNode", "vtkMRMLPlotChartNode")
    counts = [scene.GetNumberOfNodesByClass(kind) for kind in kinds]
    assert counts == [2, 4 + 8, 3]
    m.save_and_reopen(scene, tmp_path / "scene")
    again = TrainingPlots(scene, tmp_path / "runs" / "run 4", SYNAPSE)
    np.testing.assert_allclose(column(series_of(again.lossChart)["Loss"]), [2, 1])
    assert column(series_of(again.diceChart)["liver"]).tolist() == [0.5]
    again.update([loss(1), loss(2), validation(2), loss(3)])
    assert [scene.GetNumberOfNodesByClass(kind) for kind in kinds] == counts
    np.testing.assert_allclose(column(series_of(again.lossChart)["Loss"]), [2, 1, 2 / 3])


def test_two_runs_have_their_own_curves_in_their_own_folders(scene, plots, tmp_path):
    from SAMedSlicerLib.Hierarchy import hierarchyOf, itemOf
    from SAMedSlicerLib.Plots import TrainingPlots

    other = TrainingPlots(scene, tmp_path / "elsewhere" / "run 4", SYNAPSE)
    plots.update([loss(1)])
    other.update([loss(1), loss(2)])
    assert plots.lossChart is not other.lossChart
    assert len(column(series_of(plots.lossChart)["Loss"])) == 1
    hierarchy = hierarchyOf(plots.lossChart)
    folders = [hierarchy.GetItemParent(itemOf(one.lossChart)) for one in (plots, other)]
    assert folders[0] != folders[1]
    assert hierarchy.GetItemName(folders[0]) == "Training run 4"
    assert hierarchy.GetItemParent(itemOf(plots.rateChart)) == folders[0]


def test_nodes_that_the_user_deletes_come_again(scene, plots):
    plots.update([loss(1), validation(1)])
    scene.RemoveNode(series_of(plots.lossChart)["Loss"].GetTableNode())
    scene.RemoveNode(series_of(plots.diceChart)["liver"])
    scene.RemoveNode(plots.rateChart)
    plots.update([loss(2)])
    assert len(column(series_of(plots.lossChart)["Loss"])) == 2
    assert "liver" in series_of(plots.diceChart)
    assert len(column(series_of(plots.rateChart)["Learning rate"])) == 2
    scene.Clear(False)
    plots.update([loss(3)])
    assert len(column(series_of(plots.lossChart)["Loss"])) == 3
