"""The page of `samed web` as a person uses it, in a real browser; `make test-web` runs this."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

import web_browser
from SAMedLib.imaging.volume import Volume, read_labels
from web_browser import coloured, open_page, picture_of, running, send, status_becomes, wait_until, written

pytest_plugins = ["web_fixtures"]
REASON = web_browser.reason_not_to_browse()
pytestmark = pytest.mark.skipif(REASON is not None, reason=REASON or "")
# a few bytes that ask for 18 TB
_HUGE = b"NRRD0004\ntype: short\ndimension: 3\nsizes: 100000 100000 1000\nencoding: gzip\nendian: little\n\n\x1f\x8b"
ORGANS = ["spleen", "right kidney", "left kidney", "gallbladder", "liver", "stomach", "aorta", "pancreas"]


@pytest.fixture(scope="module")
def expected(ct) -> Volume:
    """What the command line makes of it."""
    output = ct.parent / "expected.nii.gz"
    command = [sys.executable, "-m", "SAMedLib", "segment", ct, "-o", output, "--keep-largest"]
    subprocess.run(command, check=True, capture_output=True)
    return read_labels(output)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running(tmp_path_factory.mktemp("web") / "temporary", "--max-upload", "20") as server:
        yield server
        assert "Traceback" not in server.said


@pytest.fixture(scope="module")
def context(browser):
    """One user for all tests: a session belongs to one."""
    return browser.new_context(viewport={"width": 1200, "height": 800}, accept_downloads=True)


@pytest.fixture
def page(context, server):
    page = open_page(context, server.address)
    yield page
    page.close()
    assert page.complaints == []
    own = re.match(r"http://[^/]+/", server.address).group()
    assert [url for url in page.requested if not url.removeprefix("blob:").startswith(own)] == []


@pytest.fixture
def segmented(page, ct):
    """The page with a result, which may be there from before."""
    if page.locator("#organs tbody tr").count() == 0:
        send(page, ct)
        page.click("#segment")
        status_becomes(page, "organs? found")
    return page


# the first test of a server that has not served anything yet
def test_segmenting_tells_how_far_it_is_and_shows_the_organs(page, ct, expected):
    send(page, ct)
    page.evaluate("""() => {
        window.said = [];
        new MutationObserver(() => window.said.push(document.querySelector('#status')?.innerText))
            .observe(document.querySelector('#panel'), {subtree: true, childList: true, characterData: true});
    }""")
    page.click("#segment")
    wait_until(lambda: page.inner_text("#segment").lower() == "cancel")
    status_becomes(page, "organs? found in patient one")
    said = list(dict.fromkeys(text for text in page.evaluate("window.said") if text))
    assert "Loading the model" in said
    assert any(text.startswith("Segmenting slice ") for text in said)
    assert "not for patients" in page.inner_text("#notice")
    _table_is_right(page, expected)
    assert page.locator(".side").all_inner_texts() == ["R", "S", "A", "S", "R", "A"]  # coronal, sagittal, axial
    for view in ("Green", "Yellow", "Red"):
        wait_until(lambda view=view: coloured(page, view) > 0.01)
    wait_until(lambda: coloured(page, "ThreeD") > 0.05)  # surfaces on a grey background


def _table_is_right(page, expected) -> None:
    rows = [row.split("\t") for row in page.locator("#organs tbody").inner_text().split("\n") if row.strip()]
    cells = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    cells = [cell for row in cells for cell in row]
    shown = dict(zip(cells[::2], cells[1::2], strict=True))
    assert list(shown) == ORGANS
    for value, organ in enumerate(ORGANS, start=1):
        ml = (expected.array == value).sum() * expected.geometry.voxel_ml
        text = shown[organ].removeprefix("≥ ")
        assert text == (f"{ml:.1f}" if ml else "not found"), organ


def test_a_scan_is_shown_before_anything_is_segmented(page, ct):
    send(page, ct)
    wait_until(lambda: page.inner_text("#scan").split("\n")[0] == "patient one")
    wait_until(lambda: page.locator("#result, #notice").count() == 0)  # of the scan before
    for view in ("Green", "Yellow", "Red"):
        wait_until(lambda view=view: picture_of(page, view)[40:-40].max() > 150)  # bone
        wait_until(lambda view=view: coloured(page, view) < 0.001)  # pictures come a moment later
    assert page.locator("#result").count() == 0


def test_a_dropped_file_is_opened(page, ct):
    page.evaluate(
        """bytes => {
            const dropped = new DataTransfer();
            dropped.items.add(new File([new Uint8Array(bytes)], "dropped.nii.gz"));
            document.body.dispatchEvent(new DragEvent("drop", {dataTransfer: dropped, bubbles: true}));
        }""",
        list(ct.read_bytes()),
    )
    wait_until(lambda: "dropped" in page.inner_text("#panel"))


def test_a_dicom_folder_is_opened_under_its_own_name(page, shared_data):
    with page.expect_file_chooser() as chooser, page.expect_response("**/upload/scan"):
        page.click("#open-folder")
        chooser.value.set_files(str(shared_data / "example_ct_dicom"))
    wait_until(lambda: "example_ct_dicom\n512 x 512 x 20 voxels" in page.inner_text("#panel"))


def test_an_organ_can_be_hidden_and_shown_again(segmented):
    wait_until(lambda: coloured(segmented, "Red") > 0.01)
    before = coloured(segmented, "Red")
    segmented.click("[title='Hide liver']")
    wait_until(lambda: coloured(segmented, "Red") < 0.7 * before)
    segmented.click("[title='Show liver']")
    wait_until(lambda: coloured(segmented, "Red") > 0.9 * before)


def test_what_is_downloaded_has_the_voxels_of_the_command_line(segmented, expected, phantom, tmp_path):
    saved = {}
    for link in segmented.locator("a.download").all():
        with segmented.expect_download() as download:
            link.click()
        saved[download.value.suggested_filename] = tmp_path / download.value.suggested_filename
        download.value.save_as(saved[download.value.suggested_filename])
    assert list(saved) == [f"patient one-organs.{extension}" for extension in ("seg.nrrd", "nii.gz", "png")]
    segments, labels, picture = saved.values()
    for path in (segments, labels):
        image = sitk.ReadImage(str(path))
        assert np.array_equal(sitk.GetArrayFromImage(image), expected.array)
        assert image.GetSize() == phantom.volume.geometry.size
        assert np.allclose(image.GetOrigin(), phantom.volume.geometry.origin, atol=1e-3)
        assert np.allclose(image.GetDirection(), phantom.volume.geometry.direction, atol=1e-6)
    header = segments.read_bytes()[:20_000].decode(errors="replace")
    assert "SCT^10200004" in header  # the liver's code
    assert "not for patients" in header
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_an_organ_is_corrected_with_the_brush_and_the_download_has_it(segmented, expected, tmp_path):
    page = segmented
    before = _ml(page, "spleen")
    page.click("#edit .v-select")
    page.click(".v-list-item:has-text('spleen')")
    page.click("#paint")
    box = page.locator(".layout-grid-item").nth(web_browser.VIEWS.index("Red")).bounding_box()
    x, y = box["x"] + 0.4 * box["width"], box["y"] + 0.15 * box["height"]  # air in front of the patient
    page.mouse.move(x, y)
    page.mouse.down()
    for step in range(8):
        page.mouse.move(x + 10 * step, y)
        page.wait_for_timeout(50)
    page.mouse.up()
    wait_until(lambda: _ml(page, "spleen") > before)
    page.wait_for_timeout(1500)  # until the last part of the stroke is measured too
    with page.expect_download() as download:
        page.click(".download >> nth=0")
    download.value.save_as(tmp_path / "corrected.seg.nrrd")
    corrected = read_labels(tmp_path / "corrected.seg.nrrd")
    changed = corrected.array != expected.array
    assert set(corrected.array[changed]) == {1}
    assert _ml(page, "spleen") == pytest.approx((corrected.array == 1).sum() * corrected.geometry.voxel_ml, abs=0.06)
    assert b"corrected_by_hand" in (tmp_path / "corrected.seg.nrrd").read_bytes()[:20_000]
    assert "replaces what you corrected" in page.inner_text("#panel")
    while _ml(page, "spleen") > before:
        page.click("#undo")
        page.wait_for_timeout(1500)
    assert page.is_disabled("#undo")
    page.click("#segment")  # and the model's own result is back
    wait_until(lambda: "replaces what you corrected" not in page.inner_text("#panel"))
    status_becomes(page, "organs? found")
    assert _ml(page, "spleen") == before


def _ml(page, organ) -> float:
    return float(page.locator("#organs tbody tr", has_text=organ).inner_text().split()[-1])


def test_a_reference_is_compared_and_the_wrong_one_refused(segmented, phantom, ct, tmp_path):
    other = written(phantom.volume, phantom.labels[:, ::2, ::2], tmp_path / "other.nii.gz", spacing=2)
    send(segmented, other, kind="reference")
    assert "other.nii.gz lies on another grid than patient one" in segmented.inner_text("#upload-error")
    send(segmented, written(phantom.volume, phantom.labels, tmp_path / "truth.nii.gz"), kind="reference")
    wait_until(lambda: "HD95" in segmented.inner_text("#organs"))
    assert "truth.nii.gz" in segmented.inner_text("#compare")
    liver = segmented.locator("#organs tbody tr", has_text="liver").inner_text().split()
    assert 0.5 < float(liver[-2]) <= 1
    assert float(liver[-1]) >= 0


def test_cancel_ends_the_child_and_the_next_start_works(page, server, ct):
    send(page, ct)
    page.click("#segment")
    wait_until(lambda: page.inner_text("#segment").lower() == "cancel" and server.children())
    page.wait_for_timeout(600)  # a click right after the first would be the second half of a double click
    page.click("#segment")
    assert "Cancelled." in status_becomes(page, r"Cancelled\.")
    wait_until(lambda: not server.children())
    assert page.locator("#result").count() == 0
    page.click("#segment")
    status_becomes(page, "organs? found")


def test_the_page_answers_while_torch_works(page, server, ct):
    send(page, ct)
    page.click("#segment")
    wait_until(server.children)
    answers = page.evaluate("""async () => {
        const answers = [];
        for (let i = 0; i < 20; i++) answers.push((await fetch("index.html", {cache: "no-store"})).status);
        return answers;
    }""")
    assert server.children(), "the segmentation was over before the page answered"
    assert answers == [200] * 20
    status_becomes(page, "organs? found")


def test_a_double_click_starts_one_segmentation(page, server, ct):
    send(page, ct)
    page.dblclick("#segment")
    wait_until(server.children)
    assert len(server.children()) == 1
    status_becomes(page, "organs? found")


def test_a_tab_that_is_closed_leaves_the_work_going_and_finds_its_result(context, server, ct):
    first = open_page(context, server.address)
    send(first, ct)
    first.click("#segment")
    wait_until(server.children)
    first.close()
    again = open_page(context, server.address)
    status_becomes(again, "organs? found")
    assert again.locator("#organs tbody tr").count() == len(ORGANS)
    again.close()


def test_a_tab_that_is_closed_while_it_sends_does_not_block_the_next_one(context, server, ct):
    first = open_page(context, server.address)
    first.route("**/upload/scan", lambda route: None)  # it never arrives
    with first.expect_file_chooser() as chooser:
        first.click("#open-scan")
    chooser.value.set_files(str(ct))
    first.wait_for_selector("#open-scan[disabled]")
    first.wait_for_timeout(1000)  # until the server would know of it
    first.close()
    again = open_page(context, server.address)
    assert again.is_enabled("#open-scan")
    send(again, ct)
    assert again.inner_text("#scan").startswith("patient one")
    again.close()


def test_in_a_narrow_window_the_views_are_below_the_panel(segmented):
    segmented.set_viewport_size({"width": 480, "height": 800})
    wait_until(lambda: segmented.locator("#views").bounding_box()["width"] == 480)
    panel, views = segmented.locator("#panel").bounding_box(), segmented.locator("#views").bounding_box()
    assert (panel["x"], views["x"]) == (0, 0)
    assert panel["width"] > 470
    assert views["y"] >= panel["y"] + panel["height"]
    segmented.set_viewport_size({"width": 1200, "height": 800})


def test_no_torch_in_the_process_that_serves(segmented, server):
    if not Path("/proc/self/maps").exists():
        pytest.skip("needs /proc")
    assert "libtorch" not in Path(f"/proc/{server.process.pid}/maps").read_text()


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("letter.txt", b"Dear colleague", "letter.txt"),
        ("broken.nii.gz", b"\x1f\x8b\x08broken", "broken.nii.gz"),
        ("huge.nrrd", _HUGE, "huge.nrrd is damaged: its compressed voxels break off"),
        ("large.nrrd", b"0" * 20_500_000, "at most 20 MB"),
    ],
)
def test_a_bad_file_gets_a_sentence_and_what_was_open_stays(page, server, ct, tmp_path, name, content, sentence):
    send(page, ct)
    (tmp_path / name).write_bytes(content)
    if len(content) > 20_000_000:  # refused before it is sent
        with page.expect_file_chooser() as chooser:
            page.click("#open-scan")
        chooser.value.set_files(str(tmp_path / name))
    else:
        send(page, tmp_path / name)
    page.wait_for_selector("#upload-error")
    said = page.inner_text("#upload-error").strip()
    assert sentence in said
    assert said.endswith(".")
    assert str(server.temporary) not in said
    assert page.inner_text("#scan").startswith("patient one")


def test_doubts_about_a_scan_are_told_under_its_own_name(page, server, phantom, tmp_path):
    send(page, written(phantom.volume, phantom.volume.array + 1024, tmp_path / "shifted.nii.gz"))
    wait_until(lambda: "shifted" in page.inner_text("#scan"))
    notes = page.locator(".v-alert.warning").all_inner_texts()
    assert any("shifted.nii.gz" in note for note in notes)
    assert str(server.temporary) not in page.inner_text("body")


def test_uploads_are_not_kept(segmented, server):
    assert server.files() == []


def test_another_browser_sees_nothing(browser, page, server):
    with browser.new_context() as other:
        stranger = other.new_page()
        refused = stranger.goto(server.address)
        assert refused.status == 409
        assert "another browser" in stranger.inner_text("body")
        assert other.request.get(server.address.split("?")[0] + "download/nii.gz").status == 403
