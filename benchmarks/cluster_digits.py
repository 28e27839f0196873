"""Do clusters that are found beside another task agree with what digits are?

python benchmarks/cluster_digits.py --seeds 2 3 4

The 1,797 handwritten digits of 8 x 8 pixels that scikit-learn carries, without labels.
Prints how ten clusters of all of them agree with the ten digits, normalised mutual
information and adjusted Rand index, mean and spread over seeds: k-means on the pixels
from one random start; `Clustering` by itself, on a small convolutional trunk; and
beside SimCLR, at a weight of 0.1.
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

import p5_keras as p5

BATCH = 256


def k_means(seed: int) -> tuple[float, float]:
    """Returns NMI and ARI of k-means on the pixels."""
    x, digit = load_digits(return_X_y=True)
    found = KMeans(10, init="random", n_init=1, random_state=seed).fit_predict(x)
    pair = (digit, found)
    return normalized_mutual_info_score(*pair), adjusted_rand_score(*pair)


def clustering(seed: int, steps: int, simclr: bool) -> tuple[float, float]:
    """Returns NMI and ARI of `Clustering`, by itself or beside SimCLR.

    Args:
        seed: Of the weights, the order and the views.
        steps: Training steps.
        simclr: Whether it is beside SimCLR.
    """
    keras.utils.set_random_seed(seed)
    digits = load_digits()
    x = (digits.images[..., None] * (255 / 16)).astype("float32")
    weight = 0.1 if simclr else 1.0
    tasks: list[p5.Task] = [
        p5.tasks.Clustering("kind", num_clusters=10, loss_weight=weight)
    ]
    labels = {"kind": digits.target.astype("int32")}
    if simclr:
        views = {"area": 0.6, "color": 0.2, "flip": False}
        tasks.append(p5.pretraining.SimCLR("views", **views))
        labels["views"] = np.zeros(len(x), "float32")
    trunk = p5.trunks.Conv(16, 1, levels=3)
    model = p5.build_model(trunk, tasks, x.shape[1:])
    model.compile(keras.optimizers.Adam(1e-3))
    epochs = -(-steps // -(-len(x) // BATCH))
    model.fit(x, labels, batch_size=BATCH, epochs=epochs, verbose=0)
    logs = model.evaluate(x, labels, batch_size=BATCH, return_dict=True, verbose=0)
    return logs["kind_nmi"], logs["kind_ari"]


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[2, 3, 4])
    parser.add_argument("--steps", type=int, default=600)
    arguments = parser.parse_args()
    arms = {
        "k-means": k_means,
        "by itself": lambda seed: clustering(seed, arguments.steps, False),
        "beside SimCLR": lambda seed: clustering(seed, arguments.steps, True),
    }
    for name, arm in arms.items():
        found = np.array([arm(seed) for seed in arguments.seeds])
        mean, spread = found.mean(axis=0), found.std(axis=0, ddof=1)
        pairs = zip(mean, spread, strict=True)
        print(f"| {name} | {' | '.join(f'{m:.3f} ± {s:.3f}' for m, s in pairs)} |")


if __name__ == "__main__":
    main()
