"""Two conflicting losses in the plane: which weightings reach the Pareto set.

    python benchmarks/toy.py [--methods=MGDA,NashMTL] [--starts=-8.5,7.5;0,0] \
        [--scale=0.1,1] [--steps=35000] [--plot=runs/toy/toy.png]

The problem of CAGrad's and Nash-MTL's papers: two parameters, 35,000 steps of Adam at
1e-3. Every method is one of the package, through its own `step()`, with its defaults
but for what `SETTINGS` says. Those of the losses alone need positive losses, and these
here are negative: all methods see L − (−21 s, −21), as FAMO's paper has it, which
changes no gradient. An epoch is 350 steps. GradDrop works at features, of which there
are none: it gets the parameters' gradients as those of features that are all positive.
"""

import concurrent.futures
import os
import pathlib
import sys
import time
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from absl import app, flags

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from p5_keras import weighting
from p5_keras.weighting.base import Clock, GramWeighting, Weighting
from p5_keras.weighting.masked import adam

FLAGS = flags.FLAGS

Tensor = Any
#: FAMO's paper runs this problem without weight decay.
SETTINGS = {"CosineGate": {"primary": "first"}, "FAMO": {"weight_decay": 0.0}}
TASKS = ["first", "second"]
#: Steps in one call, of which the last point is kept.
STRIDE = 350
#: The Pareto set is x2 = VALLEY with x1 from −ENDS to ENDS, up to NEAR.
VALLEY, ENDS, NEAR = -8.3552, 7.0, 0.15


def losses(points: Tensor, scale: Tensor) -> Tensor:
    """Computes both losses.

    Args:
        points: `(..., 2)` x1 and x2.
        scale: `(...)` s.

    Returns:
        `(..., 2)`.
    """
    x, y = tf.unstack(points, axis=-1)
    bend = tf.tanh(-y)
    f1 = tf.math.log(tf.maximum(tf.abs(0.5 * (-x - 7) - bend), 5e-6)) + 6
    f2 = tf.math.log(tf.maximum(tf.abs(0.5 * (-x + 3) + bend + 2), 5e-6)) + 6
    q1 = ((-x + 7) ** 2 + 0.1 * (-y - 8) ** 2) / 10 - 20
    q2 = ((-x - 7) ** 2 + 0.1 * (-y - 8) ** 2) / 10 - 20
    # `maximum` passes the gradient at y = 0, where a `relu` would stop both.
    above = tf.maximum(tf.tanh(y / 2), 0)
    below = tf.maximum(tf.tanh(-y / 2), 0)
    first, second = f1 * above + q1 * below, f2 * above + q2 * below
    return tf.stack([scale * first, second], -1)


def jacobian(points: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the losses and `(..., 2, 2)` gradients, a row a loss."""
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(points)
        values = losses(points, scale)
        each = tf.unstack(values, axis=-1)
    return values, tf.stack([tape.gradient(one, points) for one in each], -2)


def direction(
    method: Weighting,
    values: Tensor,
    rows: Tensor,
    clock: Clock,
    seed: int,
    state: Any,
) -> tuple[Tensor, Any]:
    """Returns the update of one run, as the model's training step makes it."""
    present = tf.ones(len(TASKS), tf.bool)
    seeds = tf.stack([tf.constant(seed, tf.int64), clock.step])
    if isinstance(method, weighting.GradDrop):
        ones = tf.ones_like(rows[0])[None]
        return method.combine([ones], [rows[:, None]], present, seeds)[0][0], state
    needs = isinstance(method, GramWeighting)
    gram = tf.matmul(rows, rows, transpose_b=True) if needs else None
    weights, new = method.step(values, gram, present, clock, seeds, state)
    # `vectorized_map` fails on a result that is a tensor from outside, as the epoch is.
    state = {**state, **{name: tf.identity(value) for name, value in new.items()}}
    return tf.linalg.matvec(rows, weights, transpose_a=True), state


def paths(
    method: Weighting,
    starts: np.ndarray,
    scales: np.ndarray,
    steps: int = 35_000,
    rate: float = 1e-3,
    seed: int = 0,
) -> np.ndarray:
    """Runs a method from all starts at once.

    Args:
        method: The method.
        starts: `(runs, 2)`.
        scales: `(runs,)` s of each run.
        steps: Steps of Adam.
        rate: Adam's learning rate.
        seed: Of a method that draws.

    Returns:
        `(points, runs, 2)` every 350th point, the first and the last.
    """
    runs = len(starts)
    scale = tf.constant(scales, tf.float64)
    least = tf.stack([-21 * scale, tf.fill([runs], tf.constant(-21.0, tf.float64))], 1)
    moved = tf.ones((runs, 2), tf.bool)

    def move(step: Tensor, points: Tensor, own: Any, memory: Any) -> tuple[Any, ...]:
        values, rows = jacobian(points, scale)
        clock = Clock(step, step // STRIDE)

        def one(run: Any) -> Any:
            return direction(method, *run[:2], clock, seed, run[2])

        update, own = tf.vectorized_map(one, (values - least, rows, own))
        points, memory = adam(points, update, moved, rate, memory)
        return step + 1, points, own, memory

    @tf.function(jit_compile=True)
    def advance(step: Tensor, last: Tensor, *rest: Any) -> Any:
        return tf.while_loop(lambda now, *_: now < last, move, (step, *rest))

    own = {
        name: tf.constant(np.stack([value] * runs))
        for name, value in method.start(TASKS).items()
    }
    zero = tf.zeros((runs, 2), tf.float64)
    memory = {name: zero for name in ("adam_mean", "adam_square", "adam_steps")}
    state = (tf.constant(0, tf.int64), tf.constant(starts), own, memory)
    found = [np.array(starts)]
    while (done := int(state[0])) < steps:
        last = tf.constant(min(done + STRIDE, steps), tf.int64)
        state = advance(state[0], last, *state[1:])
        found.append(state[1].numpy())
    return np.stack(found)


def reached(ends: np.ndarray) -> np.ndarray:
    """Returns which of the points `(..., 2)` are on the Pareto set."""
    on = np.abs(ends[..., 1] - VALLEY) < NEAR
    return on & (np.abs(ends[..., 0]) < ENDS + NEAR)


def make(name: str) -> Weighting:
    """Makes a method.

    Raises:
        ValueError: There is none of that name.
    """
    if name not in all_methods():
        raise ValueError(
            f"`methods` must be of {all_methods()}. Received: methods={name!r}"
        )
    return getattr(weighting, name)(**SETTINGS.get(name, {}))


def all_methods() -> list[str]:
    """Names of all methods of the package."""
    bases = ("GramWeighting", "Weighting")
    kinds = {name: getattr(weighting, name) for name in weighting.__all__}
    return [
        name
        for name, kind in kinds.items()
        if isinstance(kind, type) and issubclass(kind, Weighting) and name not in bases
    ]


def draw(found: dict[str, np.ndarray], scales: list[float], path: str) -> None:
    """Draws the paths: a panel for each scale and method.

    Args:
        found: By method, `(points, scales, starts, 2)`.
        scales: Factors s.
        path: Where to save the picture.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    columns = min(6, len(found))
    rows = -(-len(found) // columns)
    size = (3 * columns, 3 * rows * len(scales))
    figure, axes = plt.subplots(
        rows * len(scales), columns, figsize=size, squeeze=False, layout="constrained"
    )
    for axis in axes.flat:
        axis.set_axis_off()
    every = np.concatenate([points.reshape(-1, 2) for points in found.values()])
    low, high = every.min(0) - 1, every.max(0) + 1
    mesh = np.meshgrid(*np.linspace(low, high, 200).T)
    for i, scale in enumerate(scales):
        height = losses(np.stack(mesh, -1), scale).numpy().sum(-1)
        panels = axes[i * rows : (i + 1) * rows].flat
        for axis, (name, points) in zip(panels, found.items(), strict=False):
            axis.set_axis_on()
            axis.set_title(f"{name}, s = {scale:g}", fontsize=9)
            axis.contour(*mesh, height, 30, linewidths=0.4, cmap="viridis")
            axis.plot([-ENDS, ENDS], [VALLEY, VALLEY], color="0.5", lw=4, zorder=2)
            for path_of_one in points[:, i].swapaxes(0, 1):
                line = axis.plot(*path_of_one.T, lw=1)[0]
                axis.plot(*path_of_one[0], "o", color="black", ms=4)
                axis.plot(*path_of_one[-1], "*", color=line.get_color(), ms=9, zorder=3)
            axis.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=80)
    plt.close(figure)


def main(argv: list[str]) -> None:
    """Runs, prints a Markdown table and draws."""
    tf.get_logger().setLevel("ERROR")  # a function a method is what is wanted
    names = FLAGS.methods or all_methods()
    methods = [make(name) for name in names]
    scales = [float(scale) for scale in FLAGS.scale]
    starts = np.array([p.split(",") for p in FLAGS.starts.split(";")], "float64")
    shape = (-1, len(scales), *starts.shape)
    runs = (np.tile(starts, (len(scales), 1)), np.repeat(scales, len(starts)))
    begun = time.perf_counter()
    settings = (FLAGS.steps, FLAGS.learning_rate, FLAGS.seed)

    def run(method: Weighting) -> np.ndarray:
        return paths(method, *runs, *settings).reshape(shape)

    with concurrent.futures.ThreadPoolExecutor(FLAGS.jobs) as pool:
        found = dict(zip(names, pool.map(run, methods), strict=True))
    cells = " | ".join(f"s = {scale:g}" for scale in scales)
    print(f"| method | {cells} | starts that do not reach it, and where they end |")
    print("|---" * (len(scales) + 2) + "|")
    for name, points in found.items():
        on = reached(points[-1])
        counts = " | ".join(f"{n} of {len(starts)}" for n in on.sum(1))
        left = [
            f"s = {scales[i]:g}: ({starts[j][0]:g}, {starts[j][1]:g}) → "
            f"({points[-1, i, j, 0]:.2f}, {points[-1, i, j, 1]:.2f})"
            for i, j in np.argwhere(~on)
        ]
        print(f"| {name} | {counts} | {'; '.join(left)} |")
    took = time.perf_counter() - begun
    print(f"\nReached: |x2 + 8.3552| < {NEAR} and |x1| < {ENDS + NEAR}.")
    print(f"{FLAGS.steps} steps, {len(names)} methods, {took:.0f} s.")
    print(f"Not the defaults: {SETTINGS}.")
    draw(found, scales, FLAGS.plot)
    print(f"Paths: {FLAGS.plot}")


def define_flags() -> None:
    """Defines the flags: not on import, which a test does beside other programs."""
    flags.DEFINE_list("methods", [], "Names from `p5_keras.weighting`; all if empty.")
    flags.DEFINE_string("starts", "-8.5,7.5;0,0;9,9;-7.5,-0.5;9,-1", "x1,x2;x1,x2;…")
    flags.DEFINE_list("scale", ["0.1", "1"], "Factors s of the first loss.")
    flags.DEFINE_integer("steps", 35_000, "Steps of Adam.")
    flags.DEFINE_float("learning_rate", 1e-3, "Of Adam.")
    flags.DEFINE_integer("seed", 0, "Of the methods that draw.")
    flags.DEFINE_integer("jobs", 2, "Methods that run at once.")
    flags.DEFINE_string("plot", "runs/toy/toy.png", "Picture of the paths.")


if __name__ == "__main__":
    define_flags()
    app.run(main)
