"""Directions beside those of another library, where it and PyTorch are installed."""

import numpy as np
import pytest
import tensorflow as tf

from p5_keras import weighting as w
from p5_keras.weighting.gradvac import vaccinated
from p5_keras.weighting.pcgrad import projected
from p5_keras.weighting.unit_gram import unit_gram

torch = pytest.importorskip("torch", reason="compares with PyTorch")
jd = pytest.importorskip("torchjd.aggregation", reason="compares with TorchJD")

CASES = {
    "even": [(2, 5, 0.0, 0.0), (3, 9, 0.0, 0.0), (8, 30, 0.0, 0.0)],
    "in conflict": [(2, 5, 0.0, 0.9), (3, 9, 0.0, 0.9), (8, 30, 0.0, 0.9)],
    "uneven": [(2, 5, 1.0, 0.9), (3, 9, 1.0, 0.9), (8, 30, 1.0, 0.9)],
}


def projector():
    from torchjd.linalg import QuadprogProjector

    return QuadprogProjector(norm_eps=1e-12, reg_eps=1e-12)


#: Ours and theirs, with their regularisers near 0 and their loops long.
PAIRS = {
    "AlignedMTL": (w.AlignedMTL(), lambda count: jd.AlignedMTL()),
    "AlignedMTL median": (
        w.AlignedMTL(scale="median"),
        lambda count: jd.AlignedMTL(scale_mode="median"),
    ),
    "CAGrad": (w.CAGrad(c=0.4), lambda count: jd.CAGrad(c=0.4, norm_eps=1e-12)),
    "ConFIG": (w.ConFIG(), lambda count: jd.ConFIG()),
    "DualProj": (w.DualProj(), lambda count: jd.DualProj(projector=projector())),
    "FairGrad": (w.FairGrad(), lambda count: jd.FairGrad(alpha=2.0)),
    "IMTLG": (w.IMTLG(), lambda count: jd.IMTLG()),
    "MGDA": (w.MGDA(), lambda count: jd.MGDA(epsilon=1e-9, max_iters=20000)),
    "NashMTL": (w.NashMTL(), lambda count: jd.NashMTL(count, optim_niter=200)),
    "UPGrad": (w.UPGrad(), lambda count: jd.UPGrad(projector=projector())),
}


def unit(vector):
    return vector / np.linalg.norm(vector)


#: Where their solver stops short. Each problem has one solution, so directions that
#: differ are judged by the paper's own objective, of which ours must have more.
#: CAGrad maximises min_t g_tᵀd in a ball about the mean: CLARABEL leaves a gap.
#: MGDA minimises ‖Σ α_t g_t‖: Frank-Wolfe creeps, whatever its number of steps.
#: NashMTL maximises Σ log g_tᵀd over unit d, for G w = 1 / w: their sequence of
#: convex programs stops at a distance from that, or keeps the weights it began with.
OBJECTIVES = {
    "CAGrad": lambda rows, d: (rows @ ball(rows, d)).min(),
    "MGDA": lambda rows, d: (rows @ unit(d)).min(),
    "NashMTL": lambda rows, d: np.log(np.maximum(rows @ unit(d), 1e-300)).sum(),
}


def ball(rows, d, c=0.4):
    """The point of the ball's surface that is on d's ray, the farther of the two."""
    mean, d = rows.mean(0), unit(d)
    along = d @ mean
    return d * (along + np.sqrt(along**2 - (1 - c**2) * (mean @ mean)))


@pytest.mark.filterwarnings("ignore")  # Of their solvers.
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", PAIRS)
def test_direction(name, case, weigh, jacobian):
    ours, make = PAIRS[name]
    for count, size, spread, conflict in CASES[case]:
        for seed in range(3):
            rows = jacobian(count, size, spread, conflict, seed)
            theirs = make(count)(torch.tensor(rows)).numpy()
            weights, _ = weigh(ours, rows @ rows.T)
            update = weights @ rows
            difference = np.linalg.norm(unit(update) - unit(theirs))
            if difference > 1e-4 and name in OBJECTIVES:
                value = OBJECTIVES[name]
                assert value(rows, update) > value(rows, theirs)
            else:
                assert difference < 1e-4


def meetings(count, seed):
    """Whom each task meets, and the same without itself."""
    random = np.random.default_rng(seed)
    orders = np.array([random.permutation(count) for _ in range(count)])
    return orders, [row[row != task] for task, row in enumerate(orders)]


@pytest.mark.parametrize("case", CASES)
def test_pcgrad_in_the_same_order(case, jacobian, monkeypatch):
    for count, size, spread, conflict in CASES[case]:
        rows = jacobian(count, size, spread, conflict)
        orders, _ = meetings(count, 0)
        queue = [torch.tensor(row) for row in orders]
        monkeypatch.setattr(torch, "randperm", lambda n, queue=queue: queue.pop(0))
        theirs = jd.PCGrad()(torch.tensor(rows)).numpy()
        gram = unit_gram(tf.constant(rows @ rows.T), tf.fill([count], True))
        units = projected(gram, tf.constant(orders)).numpy()
        update = units / gram.norms.numpy() @ rows
        np.testing.assert_allclose(update, theirs, 1e-8, 1e-10)


@pytest.mark.parametrize("case", CASES)
def test_gradvac_in_the_same_order(case, jacobian, monkeypatch):
    for count, size, spread, conflict in CASES[case]:
        theirs = jd.GradVac(beta=0.3, eps=0.0)
        targets = tf.zeros((count, count), tf.float64)
        for step in range(4):
            rows = jacobian(count, size, spread, conflict, step)
            orders, others = meetings(count, step)
            # They draw places in the list of the other tasks.
            queue = [
                torch.tensor([int(j) - (j > task) for j in row])
                for task, row in enumerate(others)
            ]
            monkeypatch.setattr(torch, "randperm", lambda n, queue=queue: queue.pop(0))
            expected = theirs(torch.tensor(rows)).numpy()
            gram = unit_gram(tf.constant(rows @ rows.T), tf.fill([count], True))
            units, targets = vaccinated(gram, tf.constant(orders), targets, 0.3)
            update = units.numpy() / gram.norms.numpy() @ rows
            np.testing.assert_allclose(update, expected, 1e-6, 1e-8)


@pytest.mark.parametrize("leak", [None, (0.2, 0.0, 0.7)])
def test_graddrop_with_the_same_draws(leak, jacobian, monkeypatch):
    rows, seed = jacobian(3, 50), tf.constant([1, 2])
    drawn = tf.random.stateless_uniform(
        [50], tf.random.split(seed, 1)[0], dtype=tf.float64
    )
    monkeypatch.setattr(torch, "rand", lambda *a, **k: torch.tensor(drawn.numpy()))
    theirs = jd.GradDrop(leak=None if leak is None else torch.tensor(leak))
    expected = theirs(torch.tensor(rows)).numpy()
    found = w.GradDrop(leak=leak or 0.0).combine(
        [tf.ones((1, 50), tf.float64)],
        [tf.constant(rows[:, None])],
        tf.fill([3], True),
        seed,
    )
    np.testing.assert_allclose(found[0].numpy()[0], expected, 1e-6)
