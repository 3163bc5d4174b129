"""What the page looks like: the panel on the left, the views beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trame.ui.vuetify3 import VAppLayout
from trame.widgets import client, html
from trame.widgets import vuetify3 as v3

from SAMedLib.web.exports import FORMATS

if TYPE_CHECKING:
    from SAMedLib.web.workbench import Workbench

_STATIC = "samed"
_PANEL_WIDTH = 380
_TITLE = "SAMed"
_STYLE = """
html { overflow-y: auto; }
#organs td, #organs th { padding: 0 6px; height: 32px; }
#organs .organ td { cursor: pointer; }
#panel .v-btn { text-transform: none; letter-spacing: normal; }
@media (max-width: 760px) {  /* the views below the panel */
    .v-layout { display: block !important; overflow: visible !important; }
    .v-navigation-drawer { position: static !important; width: 100% !important; height: auto !important; }
    .v-main { padding-left: 0 !important; }
}
"""


def scripts() -> dict[str, Any]:
    """The page's own script, as a module for the server."""
    return {"serve": {_STATIC: str(Path(__file__).with_name("static"))}, "scripts": [f"{_STATIC}/transfer.js"]}


def build_page(server: Any, workbench: Workbench, add_views: Callable[[Any], None]) -> None:
    """Lay the page out; `add_views` puts the views into the layout where it is called."""
    server.state.update({"trame__title": _TITLE, "trame__favicon": None})
    # of one tab: were it the session's, a tab that is closed while it sends would leave it as it was
    server.state.update({"upload_percent": None, "upload_error": ""})
    server.state.client_only("upload_percent", "upload_error")
    with VAppLayout(server) as layout:
        layout.root.theme = "dark"
        client.Style(_STYLE)
        drawer = v3.VNavigationDrawer(permanent=True, width=_PANEL_WIDTH, disable_resize_watcher=True)
        with drawer, html.Div(classes="pa-4", id="panel"):
            html.Div("SAMed: abdominal organs in CT", classes="text-h6 mb-3")
            _scan()
            _segment(workbench)
            _result(workbench)
            html.Div("Research software, not a medical device.", classes="text-caption mt-6")
        with v3.VMain(), html.Div(style="height: 100vh; display: flex; align-items: stretch;", id="views"):
            add_views(layout)
        _details()


def _scan() -> None:
    with html.Div(classes="d-flex ga-2"):
        for identifier, text, folder in (("open-scan", "Open CT", "false"), ("open-folder", "DICOM folder", "true")):
            v3.VBtn(
                text,
                id=identifier,
                classes="flex-grow-1",
                variant="tonal",
                disabled=("busy || reading || upload_percent !== null",),
                click=f"window.samed.choose('scan', {folder})",
            )
    html.Div("or drop files or a folder anywhere on the page", classes="text-caption mb-2", v_if=("!scan.name",))
    v3.VProgressLinear(v_if=("upload_percent !== null",), model_value=("upload_percent",), classes="my-2")
    _alert("{{ upload_error }}", "error", id="upload-error", v_if=("upload_error",))
    with html.Div(v_if=("scan.name",), classes="my-2", id="scan"):
        html.Div("{{ scan.name }}", classes="text-subtitle-1", style="overflow-wrap: anywhere")
        html.Div("{{ scan.size }}", classes="text-caption")
    _alert("{{ note }}", "warning", v_for="note in notes", key="note")


def _alert(text: str, kind: str, **options: Any) -> None:
    classes = f"{kind} my-2 text-body-2"
    v3.VAlert(text, type=kind, variant="tonal", density="compact", classes=classes, icon=False, **options)


def _segment(workbench: Workbench) -> None:
    v3.VSelect(
        model_value=("model",),
        items=("models",),
        label="Model",
        density="compact",
        hide_details=True,
        classes="mt-4 mb-2",
        disabled=("busy",),
        update_modelValue=(workbench.choose_model, "[$event]"),
    )
    v3.VBtn(
        "{{ segment_text }}",
        id="segment",
        block=True,
        color=("segment_enabled ? 'primary' : undefined",),
        classes="my-2",
        disabled=("!segment_enabled",),
        click=workbench.button.click,
    )
    html.Div("{{ segment_tip }}", classes="text-caption", v_if=("segment_tip",))
    v3.VProgressLinear(
        id="progress",
        v_if=("progress_visible",),
        model_value=("progress_percent",),
        indeterminate=("progress_endless",),
        height=8,
        color="primary",
    )
    html.Div("{{ status_text }}", id="status", classes="text-body-2 my-2", style="white-space: pre-line")
    v3.VBtn("Details", v_if=("status_details",), size="small", variant="text", click=workbench.status.open_details)
    _alert("{{ notice }}", "warning", id="notice", v_if=("notice && organs.length",))


def _result(workbench: Workbench) -> None:
    with html.Div(v_if=("organs.length",), id="result"):
        with v3.VTable(density="compact", id="organs"):
            with html.Thead(), html.Tr():
                html.Th("")
                html.Th("Organ")
                html.Th("mL", classes="text-right")
                html.Th("DSC", classes="text-right", v_if=("compared",))
                html.Th("HD95 mm", classes="text-right", v_if=("compared",))
            with html.Tbody(), html.Tr(v_for="row in organs", key="row.name", classes="organ"):
                with html.Td(style="width: 32px", classes="pa-0"):
                    v3.VBtn(
                        icon=("row.shown ? 'mdi-eye' : 'mdi-eye-off'",),
                        size="x-small",
                        variant="text",
                        color=("row.color",),
                        disabled=("!row.found",),
                        title=("(row.shown ? 'Hide ' : 'Show ') + row.name",),
                        click=(workbench.organs.toggle, "[row.name]"),
                    )
                html.Td(
                    "{{ row.name }}", click=(workbench.look_at, "[row.name]"), title="Move the slices to this organ"
                )
                html.Td(
                    "{{ row.ml }}",
                    classes="text-right",
                    title=("row.cut ? 'It reaches the edge of the scan; there may be more of it outside.' : ''",),
                )
                html.Td("{{ row.dsc }}", classes="text-right", v_if=("compared",))
                html.Td("{{ row.hd95 }}", classes="text-right", v_if=("compared",))
        _edit(workbench)
        v3.VSwitch(
            model_value=("surfaces",),
            label="Show in 3D",
            density="compact",
            hide_details=True,
            color="primary",
            update_modelValue=(workbench.show_surfaces, "[$event]"),
        )
        v3.VBtn(
            "{{ reference ? 'Compared with ' + reference : 'Compare with a reference' }}",
            id="compare",
            block=True,
            variant="tonal",
            classes="my-2",
            disabled=("busy || reading || upload_percent !== null",),
            click="window.samed.choose('reference', false)",
        )
        with html.Div(classes="d-flex ga-2"):
            for extension, title in FORMATS.items():
                v3.VBtn(
                    f".{extension}",
                    title=f"Download: {title}",
                    classes="flex-grow-1 download",
                    size="small",
                    variant="tonal",
                    prepend_icon="mdi-download",
                    href=f"download/{extension}",
                    raw_attrs=["download"],
                )


def _edit(workbench: Workbench) -> None:
    """Tools for the organ of the table that is chosen here."""
    with html.Div(classes="d-flex ga-2 align-center mt-2", id="edit"):
        v3.VSelect(
            v_model=("correct_organ", ""),
            items=("organs.filter(row => row.found).map(row => row.name)",),
            label="Correct by hand",
            density="compact",
            hide_details=True,
            update_modelValue=(workbench.editing.choose, "['', '']"),
        )
        for tool, icon in (("paint", "mdi-brush"), ("erase", "mdi-eraser")):
            v3.VBtn(
                icon=icon,
                id=tool,
                size="small",
                variant=(f"tool === '{tool}' ? 'flat' : 'tonal'",),
                color=(f"tool === '{tool}' ? 'primary' : undefined",),
                disabled=("busy || !correct_organ",),
                title=f"{tool.capitalize()} in the slice views; press again to put it away",
                click=(workbench.editing.choose, f"['{tool}', correct_organ]"),
            )
        v3.VBtn(
            icon="mdi-undo",
            id="undo",
            size="small",
            variant="tonal",
            title="Take the last stroke back",
            disabled=("busy || !can_undo",),
            click=workbench.editing.undo,
        )
    v3.VSlider(
        v_if=("tool",),
        model_value=("brush",),
        min=1,
        max=12,
        step=0.5,
        label="Brush",
        density="compact",
        hide_details=True,
        update_modelValue=(workbench.editing.resize, "[$event]"),
    )


def _details() -> None:
    """What "Details" shows."""
    with (
        v3.VDialog(model_value=("details !== ''",), update_modelValue="details = ''", max_width=900),
        v3.VCard(title="Details"),
    ):
        with v3.VCardText():
            html.Pre("{{ details }}", style="white-space: pre-wrap")
        with v3.VCardActions():
            v3.VBtn("Close", click="details = ''")
