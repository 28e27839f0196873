"""Trains, evaluates, exports and uses a multi-task model: python train.py --flags."""

import functools
import os
import signal

if __name__ == "__main__":  # until `run` takes signals there is nothing to save
    for name, code in (("SIGTERM", 75), ("SIGINT", 130), ("SIGHUP", 129)):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda *_, code=code: os._exit(code))

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
from absl import flags, logging

import p5_keras as p5
from p5_keras.training import data_identity

FLAGS = flags.FLAGS
flags.DEFINE_string("recipe", None, "A name in models/, or a path; it is executed.")
flags.DEFINE_string("dataset", None, "folder:, voc:, coco: or table:PATH, or a name.")
flags.DEFINE_multi_string("dataset_options", None, "name=value; repeatable.")
flags.DEFINE_enum("on_bad_example", None, ["raise", "skip"], "Default: raise.")
flags.DEFINE_string("workdir", None, "Folder of the run. Default: runs/<name>.")
flags.DEFINE_enum("mode", "train", p5.plan.MODES, "What to do.")
flags.DEFINE_multi_string("set", [], "name=value of the recipe's Config; repeatable.")
flags.DEFINE_string("data_dir", None, "Folder with a local copy of the data.")
flags.DEFINE_integer("batch_size", None, "Global batch size.")
flags.DEFINE_integer("epochs", None, "Number of epochs.")
flags.DEFINE_integer("steps_per_epoch", None, "Steps an epoch. Default: all examples.")
flags.DEFINE_float("learning_rate", None, "Highest learning rate of the schedule.")
flags.DEFINE_string("trunk", None, "A class of p5_keras.trunks.")
flags.DEFINE_string("init_from", None, "run:PATH, .keras or .weights.h5 for the trunk.")
flags.DEFINE_string("freeze", None, "Not trained: trunk, stage:N or none.")
flags.DEFINE_string("sharing", None, "A class of p5_keras.sharing, or none.")
flags.DEFINE_string("weighting", None, "A class of p5_keras.weighting, or none.")
flags.DEFINE_string("precision", None, "float32, mixed_bfloat16 or mixed_float16.")
flags.DEFINE_string("strategy", "auto", "none, mirrored, multiworker or tpu.")
flags.DEFINE_string("tpu", None, "Address of a TPU; 'local' in Colab.")
flags.DEFINE_string("tpu_topology", "v5e:2x2", "TPU for --mode=tpu_check.")
flags.DEFINE_integer("steps_per_execution", 1, "Training steps in one call.")
flags.DEFINE_bool("jit", None, "Compile with XLA. Default: Keras decides.")
flags.DEFINE_integer("seed", 0, "Seed of weights, order, augmentation and dropout.")
flags.DEFINE_list("export", ["saved_model"], f"Of {list(p5.export.FILES)}, or empty.")
flags.DEFINE_list("tasks", None, "Tasks to train or to export. Default: all.")
flags.DEFINE_list("compare", ["NashMTL"], "Arms; see docs/compare.md.")
flags.DEFINE_integer("seeds", 3, "Runs of each model for --mode=compare.")
flags.DEFINE_float("budget_minutes", None, "Time for --mode=compare. Default: any.")
flags.DEFINE_integer("trials", 8, "Settings that a search tries; 0: no search.")
flags.DEFINE_integer("folds", 1, "Folds that a search is cross-validated by.")
flags.DEFINE_integer("fold", None, "Fold of --mode=trial, from 0 on.")
flags.DEFINE_integer("jobs", None, "Runs at a time for --mode=compare.")
flags.DEFINE_bool("smoke", False, "Two steps on a little data, to see that it runs.")
flags.DEFINE_bool("debug", False, "Run eagerly and show tracebacks.")
flags.DEFINE_string("input", None, "Folder or table for --mode=predict.")


def main(argv: list[str]) -> None:
    """Reads the flags, lets workers find each other, does what --mode says."""
    if not FLAGS["verbosity"].present:
        logging.set_verbosity(logging.WARNING)
    devices = dict.fromkeys(p5.plan.RUNS, FLAGS.strategy) | {"compare": "cpu"}
    strategy = p5.strategy.get(devices.get(FLAGS.mode, "none"), FLAGS.tpu)
    plan = p5.plan.decide(FLAGS.flag_values_dict(), p5.strategy.is_chief(strategy))
    keras.utils.set_random_seed(FLAGS.seed)
    keras.config.set_dtype_policy(plan.config.precision)
    train(plan, strategy) if FLAGS.mode in p5.plan.NEW_MODES else use(plan)


def use(plan) -> None:
    """Evaluates, exports or predicts with the best model of a workdir."""
    model, size = plan.workdir.best_model(), plan.config.batch_size
    split, batches = {"eval": "test", "export": "validation"}.get(FLAGS.mode), None
    if split and plan.recipe:
        source = plan.recipe.data(plan.config, model.tasks, split)
        batches = p5.data.evaluation(source, model.tasks, size)
    if FLAGS.mode == "eval":
        p5.plan.show_changes(plan, model.tasks, source)
        p5.results.show(model, batches, p5.data.by_source(source, model.tasks, size))
    elif FLAGS.mode == "export":
        p5.export.write(model, plan.workdir.path, FLAGS.export, batches, FLAGS.tasks)
    else:
        out = plan.workdir / "predictions"
        done, skipped = p5.predict_input(model, FLAGS.input, out, plan.options)
        print(f"{done} predictions in {p5.naming.printable(out)}, {skipped} skipped")


def train(plan, strategy) -> None:
    """Trains a recipe, from the start or from where its workdir is."""
    recipe, config, workdir = plan.recipe, plan.config, plan.workdir
    shard = p5.strategy.shard(strategy, config.batch_size)
    runs = FLAGS.mode in p5.plan.RUNS
    if runs and (finished := workdir.begin(plan.decided)):
        print(p5.report.leaderboard(finished))
        return

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
    p5.faults.run(main)


if __name__ == "__main__":
    run()
