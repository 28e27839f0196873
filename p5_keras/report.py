"""What a person looks at after a run: a page, a picture and a plain table."""

import os
import pathlib
import string
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from p5_keras import (
    report_affinity,
    report_cost,
    report_data,
    report_figures,
    report_page,
    report_weighting,
)
from p5_keras.atomic import whole
from p5_keras.naming import printable
from p5_keras.report_page import number, section
from p5_keras.task import Task
from p5_keras.verdict import beats_trivial

Json = dict[str, Any]
Fields = dict[str, dict[str, np.ndarray]]


def write(
    path: str | os.PathLike[str],
    *,
    config: Json,
    results: Json,
    history: list[dict[str, float]],
    tasks: Sequence[Task],
    examples: list[Json],
    confusions: dict[str, np.ndarray],
    data: Json | None = None,
) -> None:
    """Writes the report of a run: one HTML file that needs nothing else.

    Args:
        path: Where to write it.
        config: What was decided, by name.
        results: What `results.json` holds. What is absent is left out.
        history: Logs of each epoch.
        tasks: The tasks.
        examples: Dicts of "image" `(height, width, channels)` from 0 to 255, and
            "truth" and "prediction": one example's fields by task. 12 are shown.
        confusions: Counts `(classes, classes)` by task, a row for each true class.
        data: What is known of the data, as `p5_keras.data.summary` describes it.
    """
    known = results.get("tasks", {})
    body = [
        report_page.tiles(known),
        section("Metrics", report_page.metrics(known)),
        section("By source", report_data.sources(results.get("sources", {}))),
        section("Better than knowing nothing?", report_page.paired(known)),
        section("The joint objective", report_page.objective(results)),
        section("Learning curves", report_page.curves(history, tasks, results)),
        section("The weighting", report_weighting.weighting(history)),
        section("What tasks do to each other", report_affinity.section(history)),
        section("Confusion matrices", report_page.confusions(confusions, tasks)),
        section("The data", report_data.table(data) if data else ""),
        section("Truth and prediction", report_page.pictures(examples[:12], tasks)),
        section("What it costs", report_cost.parts(results)),
        section("The run", report_page.run(results)),
        section("Configuration", report_page.pairs(config)),
    ]
    template = pathlib.Path(__file__).with_name("report_template.html")
    page = string.Template(template.read_text("utf-8")).substitute(
        title=escape(pathlib.Path(str(results.get("recipe", "run"))).stem),
        eyebrow=escape(f"p5_keras run {results.get('date', '')}".strip()),
        summary=escape(report_page.summary(results)),
        body="\n".join(body),
    )
    with whole(path) as partial:
        partial.write_text(printable(page, keep="\n\t"), encoding="utf-8")


def picture(
    tasks: Sequence[Task],
    image: np.ndarray,
    fields: Fields,
    path: str | os.PathLike[str],
) -> None:
    """Saves one PNG of an example's fields drawn over its picture.

    Args:
        tasks: The tasks.
        image: `(height, width, channels)` from 0 to 255.
        fields: One example's fields by task; boxes and maps in the image's pixels.
        path: Where to save it.
    """
    figure = report_figures.picture(tasks, image, fields)
    figure.savefig(path, format="png", bbox_inches="tight", pad_inches=0.08)


def leaderboard(results: Json) -> str:
    """Returns the results as a plain text table, in ASCII for any terminal.

    Args:
        results: What `results.json` holds.
    """
    head = ["task", "metric", "test", "val", "trivial"]
    rows = [[*head, "difference [95% interval]", "beats trivial"]]
    for name, task in results.get("tasks", {}).items():
        score = task.get("score")
        for metric, value in task.get("metrics", {}).items():
            cells = [number(value.get(s), "-") for s in ("test", "val", "trivial")]
            better = " (lower)" if value.get("better") == "lower" else ""
            row = [name, metric + better, *cells, "", ""]
            if metric == task.get("primary"):
                row[-2:] = ["-", beats_trivial(task)]
                if score:
                    gain = number(score["difference"], "-", "+")
                    low, high = (number(v, "-", "+") for v in score["interval"])
                    row[-2] = f"{gain} [{low}, {high}]"
            rows.append(row)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        sides = ["<", "<", ">", ">", ">", "<", "<"]
        cells = [f"{c:{s}{w}}" for c, s, w in zip(row, sides, widths, strict=True)]
        lines.append("  ".join(cells).rstrip())
    rule = "-" * max(map(len, lines))
    notes = [
        "Higher is better but where it says lower. The difference is of scores of the",
        "same test example, model less trivial predictor; above 0 is better.",
        "It matters from the smallest difference in results.json on.",
    ]
    return "\n".join([lines[0], rule, *lines[1:], rule, *notes])
