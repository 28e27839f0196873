"""The table of docs/tpu.md: what each recipe's steps need on a TPU.

    python benchmarks/tpu_table.py [--topology=v5e:2x2] [--only=quickstart,camvid]
        [--options="blood_cells --data_dir=PATH"] [--options=...]

Runs `python train.py --recipe=NAME --mode=tpu_check` for every file of models/ and puts
the lines together. `--options` adds flags to the command of one recipe.
"""

import pathlib
import re
import shlex
import subprocess
import sys

from absl import app, flags

ROOT = pathlib.Path(__file__).parents[1]
FLAGS = flags.FLAGS
flags.DEFINE_string("topology", "v5e:2x2", "As --tpu_topology of train.py.")
flags.DEFINE_string("precision", "mixed_bfloat16", "As --precision of train.py.")
flags.DEFINE_list("only", None, "Names of recipes. Default: all.")
flags.DEFINE_multi_string("options", [], "A recipe, and further flags for it.")


def main(argv: list[str]) -> None:
    """Prints a line of the table for each step, as soon as a recipe is done."""
    options = {words[0]: words[1:] for words in map(shlex.split, FLAGS.options)}
    heading = ""
    for name in FLAGS.only or sorted(p.stem for p in (ROOT / "models").glob("*.py")):
        done = subprocess.run(
            [
                *(sys.executable, ROOT / "train.py", f"--recipe={name}"),
                *("--mode=tpu_check", f"--tpu_topology={FLAGS.topology}"),
                *(f"--precision={FLAGS.precision}", *options.get(name, [])),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            print(f"{name}: {done.stderr.strip().splitlines()[-1:]}", flush=True)
            continue
        lines = done.stdout.splitlines()
        (start,) = (i for i, x in enumerate(lines) if x.startswith("on one chip"))
        batch = re.findall(r"(\d+) examples of", lines[start - 1])[0]
        most = re.findall(r"([\d,]+) a chip, by", lines[-1])[0]
        head, *rows = (re.split(" {2,}", x) for x in lines[start:-1])
        if not heading:
            heading = markdown("recipe", "batch", *head, "largest batch")
            print(heading, markdown(*["---"] * (len(head) + 3)), sep="\n")
        for row in rows:
            print(markdown(name, batch, *row, most), flush=True)


def markdown(*cells: str) -> str:
    """Returns a line of a table."""
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    app.run(main)
