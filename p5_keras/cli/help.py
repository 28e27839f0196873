"""What `--help` says."""

from collections.abc import Mapping
from typing import Any

EXAMPLES = {
    "train": "python train.py --dataset=folder:PATH",
    "summary": "python train.py --dataset=voc:PATH --mode=summary",
    "compare": "python train.py --dataset=folder:PATH --mode=compare --seeds=3",
    "trial": "a run that compare starts, which leaves the test split alone",
    "tpu_check": "python train.py --mode=tpu_check --tpu_topology=v5e:2x2",
    "eval": "python train.py --mode=eval --workdir=runs/quickstart",
    "predict": "python train.py --mode=predict --workdir=runs/scans --input=FOLDER",
    "export": "python train.py --mode=export --workdir=runs/quickstart --export=onnx",
}


def text(flags: Any, groups: Mapping[str, Mapping[str, tuple[str, ...]]]) -> str:
    """Returns the flags by group, with the modes that read them, and examples.

    Args:
        flags: absl's flags.
        groups: Names of flags by group, with the modes that read each.
    """
    lines = ["Trains, evaluates, exports and uses a multi-task model.", ""]
    lines += ["Examples, by --mode:"]
    lines += [f"  {mode:10} {example}" for mode, example in EXAMPLES.items()]
    for group, names in groups.items():
        lines += ["", f"{group}:"]
        for name, modes in names.items():
            flag = flags[name]
            told = flag.help.rpartition(">: ")[2].partition(";\n")[0]
            known = getattr(flag.parser, "enum_values", None)
            told += f" One of {', '.join(known)}." if known else ""
            if flag.value not in (None, False, []):
                value = flag.value
                told += f" [{','.join(value) if isinstance(value, list) else value}]"
            lines.append(f"  --{name:20} {told}")
            if len(modes) < len(EXAMPLES):
                lines.append(f"    {'':20} in {', '.join(modes)}")
    return "\n".join(lines)
