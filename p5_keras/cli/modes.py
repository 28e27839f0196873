"""What the command can do, and which flags each of it reads."""

#: Modes that make a run, that start from a recipe, and from what a workdir holds.
RUNS = ("train", "trial")
NEW_MODES = (*RUNS, "compare", "summary", "tpu_check")
MODES = (*NEW_MODES, "eval", "predict", "export")

#: Flags by group, and the modes that read them.
GROUPS: dict[str, dict[str, tuple[str, ...]]] = {
    "What to do": dict.fromkeys(("mode", "workdir", "smoke", "debug"), MODES),
    "Data": {
        **dict.fromkeys(("recipe", "dataset", "data_dir", "set"), MODES),
        **dict.fromkeys(("dataset_options", "on_bad_example"), MODES),
        "batch_size": (*NEW_MODES, "eval", "export"),
        "input": ("predict",),
    },
    "Model": dict.fromkeys(
        ("trunk", "init_from", "freeze", "sharing", "weighting", "precision"), NEW_MODES
    )
    | {"tasks": (*NEW_MODES, "export")},
    "Training": dict.fromkeys(
        ("epochs", "steps_per_epoch", "learning_rate", "seed"), NEW_MODES
    ),
    "Devices": {
        **dict.fromkeys(("strategy", "tpu"), (*RUNS, "compare")),
        "steps_per_execution": NEW_MODES,
        "jit": NEW_MODES,
        "tpu_topology": ("tpu_check",),
    },
    "After training": {"export": (*RUNS, "compare", "export")},
    "Comparing": {
        **dict.fromkeys(
            ("compare", "seeds", "budget_minutes", "trials", "jobs"), ("compare",)
        ),
        "folds": ("compare", "trial"),
        "fold": ("trial",),
    },
}
#: Modes that read a flag.
READ = {name: modes for group in GROUPS.values() for name, modes in group.items()}
