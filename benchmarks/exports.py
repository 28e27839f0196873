"""What each form of an export costs every task, on the test split, over some runs.

    python benchmarks/exports.py --workdirs=runs/0,runs/1,runs/2 [--forms=litert_int8]

Writes the forms of each run's best model to a temporary folder, runs them on all test
examples, and prints the mean over runs: each task's mean score of an example, and for
detectors COCO's metrics of the whole split.
"""

import os
import pathlib
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from absl import app, flags, logging

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import p5_keras as p5
from p5_keras.export.compare import runner

FLAGS = flags.FLAGS
flags.DEFINE_list("workdirs", ["runs/quickstart"], "Finished runs of one recipe.")
flags.DEFINE_list("forms", ["litert_dynamic", "litert_int8"], "As of --export.")


def measured(model, batches, run) -> dict[str, float]:
    """Scores the model, or what `run` answers if it is given."""
    scores, evaluators = {}, {t.name: t.evaluator() for t in model.tasks}
    for batch in model.predictions(batches):
        answers = run(np.asarray(batch["x"], "float32")) if run else {}
        for task in model.tasks:
            fields, label = batch["fields"][task.name], batch["label"][task.name]
            if run:
                fields = {key: answers[f"{task.name}_{key}"] for key in fields}
            weight = batch["weight"][task.name]
            score = task.example_scores(label, fields)[weight > 0]
            scores.setdefault(f"{task.name}, {task.score_name}", []).extend(score)
            if evaluators[task.name]:
                evaluators[task.name].update(label, weight, fields)
    found = {name: float(np.mean(values)) for name, values in scores.items()}
    for name, evaluator in evaluators.items():
        if evaluator:
            found |= {f"{name}, {k}": v for k, v in evaluator.result().items()}
    return found


def main(argv: list[str]) -> None:
    """Measures and prints a Markdown table."""
    logging.set_verbosity(logging.WARNING)
    rows: dict[str, list[dict[str, float]]] = {}
    for path in FLAGS.workdirs:
        workdir = p5.Workdir(path)
        model, decided = workdir.best_model(), workdir.read("config.json")
        recipe = p5.recipe.load(decided["recipe"])
        val, test = (
            p5.data.evaluation(
                recipe.data(recipe.Config(), model.tasks, split), model.tasks, 64
            )
            for split in ("validation", "test")
        )
        rows.setdefault("the model", []).append(measured(model, test, None))
        with tempfile.TemporaryDirectory() as folder:
            p5.export.write(model, folder, FLAGS.forms, val)
            for form in FLAGS.forms:
                file = pathlib.Path(folder) / p5.export.FILES[form]
                run = runner(file, [model.inputs[0].name])
                rows.setdefault(form, []).append(measured(model, test, run))
    columns = list(rows["the model"][0])
    print(f"\n| form | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}")
    for form, runs in rows.items():
        cells = [f"{np.mean([run[name] for run in runs]):.4f}" for name in columns]
        print(f"| {form} | {' | '.join(cells)} |")


if __name__ == "__main__":
    app.run(main)
