"""Fails unless a run of the default recipe is as good as promised."""

import json
import sys

FLOORS = {
    ("digit", "accuracy"): 0.93,
    ("count", "accuracy"): 0.93,
    ("mask", "miou"): 0.75,
    ("digits", "map50"): 0.80,
}

with open(sys.argv[1]) as file:
    tasks = json.load(file)["tasks"]
low = []
for (task, metric), floor in FLOORS.items():
    value = tasks[task]["metrics"][metric]["test"]
    print(f"{task} {metric}: {value:.4f}, at least {floor}")
    if value < floor:
        low.append(task)
for task, found in tasks.items():
    if found["score"]["interval"][0] <= 0:
        low.append(f"{task}: not shown to beat the trivial predictor")
sys.exit(f"too low: {low}" if low else 0)
