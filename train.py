"""Trains, evaluates, exports and uses a multi-task model: python train.py --flags."""

import dataclasses
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import tensorflow as tf
from absl import app, flags

import p5_keras as p5

FLAGS = flags.FLAGS
flags.DEFINE_string("recipe", "quickstart", "Name of a file in models/, or a path.")
flags.DEFINE_string("workdir", None, "Folder of the run. Default: runs/<recipe>.")
flags.DEFINE_enum(
    "mode", "train", ["train", "eval", "predict", "export", "summary"], "What to do."
)
flags.DEFINE_multi_string("set", [], "name=value of the recipe's Config; repeatable.")
flags.DEFINE_string("data_dir", None, "Folder with a local copy of the data.")
flags.DEFINE_integer("batch_size", None, "Global batch size.")
flags.DEFINE_integer("epochs", None, "Number of epochs.")
flags.DEFINE_integer("steps_per_epoch", None, "Steps an epoch. Default: all examples.")
flags.DEFINE_float("learning_rate", None, "Highest learning rate of the schedule.")
flags.DEFINE_enum(
    "precision", None, ["float32", "mixed_bfloat16", "mixed_float16"], "Dtype policy."
)
flags.DEFINE_enum("strategy", "auto", ["auto", "none", "mirrored", "tpu"], "Devices.")
flags.DEFINE_string("tpu", None, "Address of a TPU; 'local' in Colab.")
flags.DEFINE_integer("steps_per_execution", 1, "Training steps in one call.")
flags.DEFINE_bool("jit", None, "Compile with XLA. Default: Keras decides.")
flags.DEFINE_integer("seed", 0, "Seed of weights, order, augmentation and dropout.")
flags.DEFINE_bool("export", True, "Export a SavedModel after training.")
flags.DEFINE_bool("smoke", False, "Two steps on a little data, to see that it runs.")
flags.DEFINE_bool("debug", False, "Run eagerly, check numbers, show tracebacks.")
flags.DEFINE_string("input", None, "Folder of images for --mode=predict.")


def main(argv: list[str]) -> None:
    """Reads the flags and does what --mode says."""
    if argv[1:]:
        raise ValueError(f"Arguments must be --flags. Received: {argv[1:]}")
    recipe = p5.recipe.load(FLAGS.recipe)
    config = p5.recipe.configure(recipe.Config(), FLAGS.set)
    names = {field.name for field in dataclasses.fields(config)}
    given = {n: FLAGS[n].value for n in names if n in FLAGS and FLAGS[n].present}
    config = dataclasses.replace(config, **given)
    if FLAGS.smoke:
        config = dataclasses.replace(config, epochs=1, steps_per_epoch=2)
    name = os.path.basename(FLAGS.recipe).removesuffix(".py")
    workdir = p5.Workdir(FLAGS.workdir or os.path.join("runs", name))
    keras.utils.set_random_seed(FLAGS.seed)
    keras.config.set_dtype_policy(config.precision)
    if FLAGS.debug:
        tf.debugging.enable_check_numerics()

    if FLAGS.mode in ("train", "summary"):
        train(recipe, config, workdir)
        return
    model = workdir.best_model()
    if FLAGS.mode == "eval":
        test = recipe.data(config, model.tasks, "test")
        batches = p5.data.evaluation(test, model.tasks, config.batch_size)
        for key, value in model.evaluate(batches, return_dict=True, verbose=0).items():
            print(f"{key:32s} {value:.4f}")
    elif FLAGS.mode == "predict":
        done, skipped = p5.predict_folder(model, FLAGS.input, workdir / "predictions")
        print(f"{done} images in {workdir / 'predictions'}, {skipped} skipped")
    elif FLAGS.mode == "export":
        p5.export.saved_model(model, workdir / "export")


def train(recipe, config, workdir) -> None:
    """Trains a recipe, from the start or from where its workdir is."""
    strategy = p5.strategy.get(FLAGS.strategy, FLAGS.tpu)
    p5.strategy.check_batch(strategy, config.batch_size)
    decided = {"recipe": FLAGS.recipe, "seed": FLAGS.seed, "smoke": FLAGS.smoke}
    decided |= p5.recipe.describe(config)
    if FLAGS.mode == "train" and (finished := workdir.begin(decided)):
        print(p5.report.leaderboard(finished))
        return

    # Data: examples by number, from which batches are made for training and evaluation.
    tasks = recipe.tasks(config)
    sources = [recipe.data(config, tasks, s) for s in ("train", "validation", "test")]
    if FLAGS.smoke:
        few = 2 * config.batch_size
        sources = [dataclasses.replace(s, size=min(s.size, few)) for s in sources]
    held = [p5.data.evaluation(s, tasks, config.batch_size) for s in sources]
    for dataset in held:
        p5.data.check(tasks, dataset)
    labels = p5.data.adapt(tasks, held[0])
    _, val, test = held
    steps = config.steps_per_epoch or p5.data.steps_per_epoch(
        sources[0], config.batch_size
    )

    # Model: one trunk, a head a task, one joint objective.
    with strategy.scope():
        model = recipe.model(config, tasks)
        optimizer = getattr(recipe, "optimizer", p5.recipe.default_optimizer)
        model.compile(
            optimizer(config, config.epochs * steps),
            steps_per_execution=FLAGS.steps_per_execution,
            jit_compile="auto" if FLAGS.jit is None else FLAGS.jit,
            run_eagerly=FLAGS.debug,
        )
    if FLAGS.mode == "summary":
        model.summary(expand_nested=True)
        return

    # Training: every epoch is scored against a predictor that never sees an input.
    priors = p5.evaluation.priors(tasks, labels)
    trivial = p5.evaluation.trivial_metrics(tasks, val, priors)
    checkpoints = p5.Checkpoints(
        workdir / "checkpoints",
        workdir / "logs" / "history.csv",
        score=lambda logs: p5.evaluation.skill(tasks, logs, trivial, prefix="val_"),
        patience=config.patience,
    )
    checkpoints.fit(
        model,
        lambda step: p5.data.training(
            sources[0], tasks, config.batch_size, FLAGS.seed, start=step
        ),
        epochs=config.epochs,
        steps_per_epoch=steps,
        validation_data=val,
        callbacks=[
            p5.EpochTable(tasks, config.epochs),
            keras.callbacks.TensorBoard(workdir / "logs", write_graph=False),
        ],
        verbose=0,
    )

    # Results: the best epoch by validation, measured once on the test split.
    results = p5.results.finish(
        workdir, checkpoints.progress, decided, val, test, priors
    )
    print(p5.report.leaderboard(results))
    if FLAGS.export:
        p5.export.saved_model(workdir.best_model(), workdir / "export")
    print(f"Report: {workdir / 'report.html'}")


def run() -> None:
    """Runs the command; a user's mistake is one line, not a traceback."""
    try:
        app.run(main)
    except ValueError as error:
        if "--debug" in sys.argv:
            raise
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    run()
