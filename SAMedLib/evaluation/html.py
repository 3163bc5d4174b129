"""The report as one HTML file that needs nothing else: tables, box plots, and the worst cases first, with pictures."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from SAMedLib.evaluation.figures import as_png, as_svg, box_plots, overlay
from SAMedLib.evaluation.runs import Evaluation
from SAMedLib.evaluation.summary import CaseResult, Run, worst_first
from SAMedLib.evaluation.tables import Table, all_measures, comparisons, per_case, presence_note, table_1
from SAMedLib.events import SILENT, Reporter
from SAMedLib.files import write_then_rename

_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.45 system-ui, sans-serif; color: #1c1f23; background: #fff;
  margin: 2rem auto; max-width: 1180px; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: .2rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; }
h3 { font-size: 1rem; margin: 1.4rem 0 .3rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .88rem; }
th, td { padding: .28rem .6rem; text-align: right; white-space: nowrap; border-bottom: 1px solid #e3e6ea; }
th { border-bottom: 2px solid #9aa3ad; font-weight: 600; } th:first-child, td:first-child { text-align: left; }
ul.notes { color: #444c56; padding-left: 1.2rem; } ul.notes li { margin: .15rem 0; }
.pictures { display: flex; flex-wrap: wrap; gap: .8rem; }
figure { margin: 0; max-width: 100%; } figure img { max-width: 100%; display: block; border-radius: 4px; }
figcaption { font-size: .85rem; color: #444c56; }
svg { max-width: 100%; height: auto; }
"""


@dataclass(frozen=True)
class Supplement:
    """What a page shows beside the scores.

    Attributes:
        heading: of the page.
        tables: behind the first table.
        figures: behind the tables, PNG files with a caption each.
    """

    heading: str
    tables: Sequence[Table] = ()
    figures: Sequence[tuple[str, bytes]] = ()


def write_html(
    evaluation: Evaluation,
    path: Path,
    pictures: int = 8,
    report: Reporter = SILENT,
    supplement: Supplement | None = None,
) -> None:
    """Write the report.

    Args:
        pictures: how many of the worst cases to show.
    """
    page = as_html(evaluation, pictures, report, supplement)
    with write_then_rename(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def as_html(
    evaluation: Evaluation, pictures: int = 8, report: Reporter = SILENT, supplement: Supplement | None = None
) -> str:
    """The whole page."""
    names = ", ".join(run.name for run in evaluation.runs)
    rules = f"protocol <b>{evaluation.protocol.name}</b>, label set {escape(evaluation.label_set.name)}"
    order = worst_first(evaluation.runs)
    counted = f"{len(order)} {'case' if len(order) == 1 else 'cases'}"
    supplement = supplement or Supplement(f"Segmentation of {counted}")
    parts = [
        f"<h1>{escape(supplement.heading)}</h1>",
        f"<p>{escape(names)}; {counted}, {rules}</p>",
        _table(table_1(evaluation)),
        *(_table(table, with_title=True) for table in supplement.tables),
        *(_png(caption, data) for caption, data in supplement.figures),
        _notes([*evaluation.statements, *(presence_note(run) for run in evaluation.runs)]),
    ]
    if len(evaluation.runs) > 1:
        parts += ["<h2>Differences</h2>", *(_table(table, with_title=True) for table in comparisons(evaluation))]
    parts += ["<h2>Organs</h2>", as_svg(box_plots(evaluation))]
    parts += [_table(all_measures(evaluation, run), with_title=True) for run in evaluation.runs]
    parts += ["<h2>Worst cases</h2>", *_worst(evaluation, order[:pictures], report)]
    parts.append("<h2>All cases, worst first</h2>")
    parts += [_table(per_case(evaluation, run, order), with_title=True) for run in evaluation.runs]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Evaluation: {escape(names)}</title><style>{_STYLE}</style></head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def _worst(evaluation: Evaluation, cases: Sequence[str], report: Reporter) -> list[str]:
    parts = []
    for number, case in enumerate(cases, 1):
        figures = []
        for run in evaluation.runs:
            result = next((result for result in run.results if result.case == case), None)
            if result is not None and result.picture is not None:
                figures.append(_figure(evaluation, run, result))
        if figures:
            parts.append(f'<h3>{escape(case)}</h3><div class="pictures">{"".join(figures)}</div>')
        report.progress("drawing", number, len(cases), case)
    return parts or ["<p>No case has an organ to show.</p>"]


def _figure(evaluation: Evaluation, run: Run, result: CaseResult) -> str:
    picture = result.picture
    assert picture is not None
    score = result.scores[picture.organ - 1]
    if score.presence == "found":
        values = [f"Dice {100 * (score.dsc or 0):.1f} %"]
        if score.hd95 is not None:
            values.append(f"HD95 {score.hd95:.1f} {evaluation.protocol.unit}")
    else:
        values = [score.presence if score.presence != "absent" else "absent here"]
    caption = f"{run.name}: {score.organ}, slice {picture.slice_index + 1} from below; {', '.join(values)}"
    return _png(caption, as_png(overlay(picture, score.organ)))


def _png(caption: str, data: bytes) -> str:
    return (
        f'<figure><img alt="{escape(caption, quote=True)}" '
        f'src="data:image/png;base64,{base64.b64encode(data).decode("ascii")}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def _table(table: Table, with_title: bool = False) -> str:
    title = f"<h3>{escape(table.title)}</h3>" if with_title else ""
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in table.headings)
    body = []
    for row in table.rows:
        cells = [f"<b>{escape(cell.text)}</b>" if cell.best else escape(cell.text) for cell in row]
        body.append(f"<tr><td>{'</td><td>'.join(cells)}</td></tr>")
    return (
        f'{title}<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'
    )


def _notes(lines: Sequence[str]) -> str:
    return f'<ul class="notes">{"".join(f"<li>{escape(line)}</li>" for line in lines)}</ul>'
