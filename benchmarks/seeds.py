"""Test metrics of several runs of one recipe: mean ± standard deviation over seeds.

for s in 0 1 2; do python train.py --seed=$s --workdir=runs/quickstart_$s; done
python benchmarks/seeds.py runs/quickstart_*
"""

import json
import pathlib
import statistics
import sys


def main(workdirs: list[str]) -> None:
    """Prints a Markdown table."""
    runs = [
        json.loads((pathlib.Path(w) / "results.json").read_text()) for w in workdirs
    ]
    print("| task | metric | test, mean ± sd | each seed | trivial predictor |")
    print("|---|---|---|---|---|")
    for task, found in runs[0]["tasks"].items():
        for name, metric in found["metrics"].items():
            values = [r["tasks"][task]["metrics"][name]["test"] for r in runs]
            spread = statistics.stdev(values) if len(values) > 1 else 0.0
            arrow = "↑" if metric["better"] == "higher" else "↓"
            each = ", ".join(f"{v:.3f}" for v in values)
            print(
                f"| {task} | {name} {arrow} | {statistics.mean(values):.3f} ± "
                f"{spread:.3f} | {each} | {metric['trivial']:.3f} |"
            )
    lows = [
        found["score"]["interval"][0] for r in runs for found in r["tasks"].values()
    ]
    seconds = [r["train"]["wall_seconds"] for r in runs]
    took = ", ".join(f"{s:.0f}" for s in seconds)
    shown = sum(low > 0 for low in lows)
    print(
        f"\nSeeds {[r['seed'] for r in runs]}; training took {took} s."
        f" Of {len(lows)} paired differences "
        f"to the trivial predictor, {shown} have a 95 % interval above 0."
    )


if __name__ == "__main__":
    main(sys.argv[1:])
