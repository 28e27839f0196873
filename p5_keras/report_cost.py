"""What a model costs, as a section of a report."""

from html import escape
from typing import Any

from p5_keras import cost
from p5_keras.report_page import scroll, table

_NOTE = """<p class="note">FLOPs are of a forward pass for one example, a multiplication
and an addition being two. The trunk are its stages and their copies; the sharing is
what else lies before the heads.</p>"""


def parts(results: dict[str, Any]) -> str:
    """Lists parameters and operations of trunk, sharing and heads."""
    if "flops" not in results:
        return ""
    found = list(cost.rows(results))
    total = max(found[-1][1], 1)
    rows = [
        [
            escape(name),
            f'<i class="bar"><i style="width:{100 * size / total:.1f}%"></i></i>',
            f"{size:,}",
            f"{size / total:.1%}",
            f"{flops:,}",
        ]
        for name, size, flops in found
    ]
    return scroll(table(["part", "", "parameters", "share", "FLOPs"], rows, 2)) + _NOTE
