"""Trains, evaluates, exports and uses a multi-task model: python train.py --flags."""

import functools
import os
import signal
import sys

if __name__ == "__main__":  # until `run` takes signals there is nothing to save
    for name, code in (("SIGTERM", 75), ("SIGINT", 130), ("SIGHUP", 129)):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda *_, code=code: os._exit(code))

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

from absl import logging

import p5_keras as p5  # loads Keras and TensorFlow when it is first asked for something
from p5_keras.cli.flags import FLAGS, checked
from p5_keras.cli.modes import NEW_MODES, RUNS


def main(argv: list[str]) -> None:
    """Reads the flags, lets workers find each other, does what --mode says."""
    if not FLAGS["verbosity"].present:
        logging.set_verbosity(logging.WARNING)
    import keras

    devices = dict.fromkeys(RUNS, FLAGS.strategy) | {"compare": "cpu"}
    strategy = p5.strategy.get(devices.get(FLAGS.mode, "none"), FLAGS.tpu)
    plan = p5.plan.decide(FLAGS.flag_values_dict(), p5.strategy.is_chief(strategy))
    keras.utils.set_random_seed(FLAGS.seed)
    keras.config.set_dtype_policy(plan.config.precision)
    train(plan, strategy) if FLAGS.mode in NEW_MODES else use(plan)


def use(plan) -> None:
    """Evaluates, exports or predicts with the best model of a workdir."""
    if FLAGS.mode == "export":
        return export(plan, FLAGS.export)
    model, size = plan.workdir.best_model(), plan.config.batch_size
    if FLAGS.mode == "eval":
        source = plan.recipe.data(plan.config, model.tasks, "test")
        batches = p5.data.evaluation(source, model.tasks, size)
        p5.plan.show_changes(plan, model.tasks, source)
        p5.results.show(model, batches, p5.data.by_source(source, model.tasks, size))
    else:
        out = plan.workdir / "predictions"
        done, skipped = p5.predict_input(model, FLAGS.input, out, plan.options)
        print(f"{done} predictions in {p5.naming.printable(out)}, {skipped} skipped")


def export(plan, forms) -> None:
    """Exports the best model of a workdir, and compares it on the recipe's data."""
    model, batches = plan.workdir.best_model(), None
    if plan.recipe:
        source = plan.recipe.data(plan.config, model.tasks, "validation")
        batches = p5.data.evaluation(source, model.tasks, plan.config.batch_size)
    tasks = FLAGS.tasks if FLAGS.mode == "export" else None
    p5.export.write(model, plan.workdir.path, forms, batches, tasks)


def train(plan, strategy) -> None:
    """Trains a recipe, from the start or from where its workdir is."""
    recipe, config, workdir = plan.recipe, plan.config, plan.workdir
    shard = p5.strategy.shard(strategy, config.batch_size)
    runs = FLAGS.mode in RUNS
    if runs and (finished := workdir.begin(plan.decided)):
        files = p5.export.FILES
        if missing := [f for f in FLAGS.export if not (workdir / files[f]).exists()]:
            export(plan, missing)
        print(p5.report.leaderboard(finished))
        return

    from p5_keras.training import data_identity

    # Data: examples by number, from which batches are made for training and evaluation.
    tasks, batch_size = plan.tasks(), config.batch_size
    with p5.strategy.chief_first(strategy):
        p5.plan.show_data(plan, tasks, keep=runs)
        sources = plan.sources(tasks)
        if runs:
            data_identity.keep(workdir, sources)
    steps = config.steps_per_epoch or p5.data.steps_per_epoch(sources[0], batch_size)
    if FLAGS.mode == "compare":
        return p5.compare.run(plan, tasks, sources[0], steps, p5.compare.options(FLAGS))
    labels, val, test = p5.data.prepare(sources, tasks, batch_size)
    batches = functools.partial(
        p5.data.training, sources[0], tasks, batch_size, FLAGS.seed, shard=shard
    )

    # Model: one trunk, a head a task, one joint objective.
    with strategy.scope():
        model = plan.model(tasks)
        model.reading = sources[0].reading
        model.compile(
            recipe.optimizer(config, config.epochs * steps),
            weighting=config.weighting,
            steps_per_execution=FLAGS.steps_per_execution,
            jit_compile="auto" if FLAGS.jit is None else FLAGS.jit,
            run_eagerly=FLAGS.debug,
        )
    if FLAGS.mode == "summary":
        return p5.cost.summary(model)
    if FLAGS.mode == "tpu_check":
        return p5.tpu_check.run(model, batches(0), val, FLAGS.tpu_topology)

    # Training: every epoch is scored against a predictor that never sees an input.
    priors = p5.evaluation.priors(tasks, labels)
    score = p5.evaluation.scorer(tasks, val, priors)
    checkpoints = p5.Checkpoints(
        workdir, score, config.patience, config.save_seconds, config.on_nan
    )
    p5.weighting.print_cost(model, batches(0))
    checkpoints.fit(
        model,
        batches,
        epochs=config.epochs,
        steps_per_epoch=steps,
        validation_data=p5.data.evaluation(sources[1], tasks, batch_size, shard),
        callbacks=plan.callbacks(tasks, checkpoints, batches),
        verbose=0,
    )
    if not workdir.writes:
        return

    # Results: the best epoch by validation, measured once on the test split.
    p5.export.write(workdir.best_model(), workdir.path, FLAGS.export, val)
    found = p5.results.finish(plan, checkpoints.progress, val, test, priors, sources[2])
    print(p5.report.leaderboard(found))
    print(f"Report: {p5.naming.printable(workdir / 'report.html')}")


def run() -> None:
    """Runs the command; the exit codes are in docs/distributed.md."""
    checked(sys.argv)
    p5.faults.run(main)


if __name__ == "__main__":
    run()
