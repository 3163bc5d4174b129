"""Places of nodes in the subject hierarchy, the tree that users see in the Data module."""

from __future__ import annotations

import slicer
import vtk


def hierarchyOf(node: slicer.vtkMRMLNode) -> slicer.vtkMRMLSubjectHierarchyNode:
    return slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(node.GetScene())


def itemOf(node: slicer.vtkMRMLNode) -> int:
    """The node's item; it is made if there is none, as outside the application nobody else does."""
    hierarchy = hierarchyOf(node)
    return hierarchy.GetItemByDataNode(node) or hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)


def putUnder(node: slicer.vtkMRMLNode, parentNode: slicer.vtkMRMLNode) -> None:
    """Put a node under another, unless the user has put it somewhere already."""
    hierarchy, item = hierarchyOf(node), itemOf(node)
    if hierarchy.GetItemParent(item) == hierarchy.GetSceneItemID():
        hierarchy.SetItemParent(item, itemOf(parentNode))


def putIntoFolder(node: slicer.vtkMRMLNode, title: str, key: str) -> None:
    """Put a node into the folder that has this key in its attribute "SAMed.Folder"; it is made if there is none."""
    hierarchy, item = hierarchyOf(node), itemOf(node)
    items = vtk.vtkIdList()
    hierarchy.GetItemChildren(hierarchy.GetSceneItemID(), items, True)
    for index in range(items.GetNumberOfIds()):
        if hierarchy.GetItemAttribute(items.GetId(index), "SAMed.Folder") == key:
            folder = items.GetId(index)
            break
    else:
        folder = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), title)
        hierarchy.SetItemAttribute(folder, "SAMed.Folder", key)
        hierarchy.SetItemExpanded(folder, False)
    hierarchy.SetItemParent(item, folder)
