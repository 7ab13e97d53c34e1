"""The report of a run: each executed notebook as HTML, and one page that says how it went and links there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from html import escape
from pathlib import Path
from typing import Any

from nbconvert import HTMLExporter

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --good: #1a7f37; --bad: #cf222e; }
@media (prefers-color-scheme: dark) { :root { --good: #3fb950; --bad: #ff7b72; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 56rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; width: 100%; }
th, td { text-align: left; padding: .35rem .75rem; vertical-align: top; }
th, td { border-bottom: 1px solid var(--line); }
.number { text-align: right; font-variant-numeric: tabular-nums; }
.ok { color: var(--good); } .failed { color: var(--bad); } .failed, .ok { font-weight: 600; }
"""


def to_html(notebook: Path) -> str | None:
    """Write the executed notebook as HTML beside it; the file's name, or None when the notebook never began.

    The pictures are in the page. Nothing of the page needs the network but formulas and Mermaid diagrams.
    """
    if not notebook.exists():
        return None
    exporter = HTMLExporter(require_js_url="", jquery_url="", widget_renderer_url="")
    body, _ = exporter.from_filename(str(notebook))
    page = notebook.with_suffix(".html")
    page.write_text(body, encoding="utf-8")
    return page.name


def index(
    title: str,
    notebooks: Sequence[tuple[str, str, float | None, str]],
    pages: Mapping[str, str | None],
    stages: Mapping[str, Any],
    problems: Sequence[str],
) -> str:
    """The page of one run.

    `notebooks` are (name, status, seconds, cause), `pages` their HTML by name, `stages` their
    {"rows": int, "revenue": str}, `problems` one line each.
    """
    verdict = "ok" if not problems else "failed"
    said = "Every notebook ran." if not problems else "This run failed."
    if len(stages) > 1 and not problems:
        said += " Rows and revenue agree at every stage."
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>",
        "<meta name='viewport' content='width=device-width, initial-scale=1'>",
        f"<title>Run {escape(title)}</title><style>{_STYLE}</style></head><body>",
        f"<h1>Run {escape(title)}</h1><p class='{verdict}'>{said}</p>",
    ]
    if problems:
        parts.append("<ul>" + "".join(f"<li>{escape(problem)}</li>" for problem in problems) + "</ul>")
    parts.append(_table(("Notebook", "Status", "Seconds"), [_notebook(n, pages) for n in notebooks]))
    if stages:
        rows = [
            f"<td>{escape(name)}</td><td class='number'>{stage['rows']:,}</td>"
            f"<td class='number'>{Decimal(stage['revenue']):,f}</td>"
            for name, stage in stages.items()
        ]
        parts.append("<h2>What each stage's own store holds</h2>")
        parts.append(_table(("Stage", "Rows", "Revenue"), rows))
    parts.append("<p><a href='summary.json'>summary.json</a></p></body></html>\n")
    return "\n".join(parts)


def _notebook(row: tuple[str, str, float | None, str], pages: Mapping[str, str | None]) -> str:
    name, status, seconds, _ = row
    page = pages.get(name)
    linked = f"<a href='{escape(page)}'>{escape(name)}</a>" if page else escape(name)
    took = "" if seconds is None else f"{seconds:.1f}"
    return f"<td>{linked}</td><td class='{escape(status)}'>{escape(status)}</td><td class='number'>{took}</td>"


def _table(heads: Sequence[str], rows: Sequence[str]) -> str:
    right = {"Seconds", "Rows", "Revenue"}
    head = "".join(f"<th class='number'>{h}</th>" if h in right else f"<th>{h}</th>" for h in heads)
    return f"<table><tr>{head}</tr>" + "".join(f"<tr>{row}</tr>" for row in rows) + "</table>"
