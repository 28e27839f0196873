"""The section of a report on the data that a run was trained on."""

from collections import Counter
from html import escape
from typing import Any

from p5_keras.data import summary
from p5_keras.report_page import number, scroll
from p5_keras.report_page import table as html_table

Json = dict[str, Any]


def table(data: Json) -> str:
    """Shows what is known of the data, as `summary.describe` returns it."""
    head, *rows = summary.coverage(data)
    cells = []
    for name, *rest in rows:
        lines = "<br>".join(map(escape, summary.details(data["tasks"][name])))
        owner = f"<b>{escape(name)}</b><br><small>{lines}</small>"
        cells.append([owner, *map(escape, rest)])
    body = scroll(html_table(["", *head[1:]], cells, 2))
    facts = [f"{sum(data['examples'].values())} examples of {data['dataset']}"]
    facts += [data["pictures"]] if data["pictures"] else []
    facts += summary.model_input(data)
    if "augmentation" in data:
        on = ", ".join(f"{k} {v}" for k, v in data["augmentation"].items())
        facts.append(f"augmentation: {on or 'none'}")
    for reason, count in Counter(reason for _, reason in data["dropped"]).items():
        facts.append(f"left out, {count} x {reason}")
    facts += [
        summary.counted(what, count)
        for what, count in summary.other_notes(data).items()
    ]
    note = (
        '<p class="note">Labelled examples of all in each split; counts and ranges are '
        "those of the training split.</p>"
    )
    items = "".join(f"<li>{escape(fact)}</li>" for fact in facts)
    return f"{_findings(data)}{note}{body}<ul class=note>{items}</ul>{_guesses(data)}"


def _findings(data: Json) -> str:
    rows = [
        [f'<span class="chip {severity}">{severity}</span>', escape(line)]
        for severity, line in summary.worth_a_look(data)
    ]
    title = "<h3>Worth a look, worst first</h3>"
    return title + scroll(html_table(["severity", "found"], rows, 2)) if rows else ""


def _guesses(data: Json) -> str:
    items = "".join(f"<li>{escape(line)}</li>" for line in summary.guesses(data))
    return f"<h3>Guessed</h3><ul class=note>{items}</ul>" if items else ""


def sources(found: Json) -> str:
    """Lists the test metrics of each source of a mixture; nothing for one source."""
    rows = [
        [escape(source), escape(task), escape(metric), number(value)]
        for source, tasks in found.items()
        for task, metrics in tasks.items()
        for metric, value in metrics.items()
    ]
    return (
        scroll(html_table(["source", "task", "metric", "test"], rows, 3))
        if rows
        else ""
    )
