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
            found = unit(weights @ rows)
            difference = np.linalg.norm(found - unit(theirs))
            print(f"{name} {case} {count} {seed}: {difference:.1e}")
            assert difference < 1e-4
