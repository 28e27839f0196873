"""A trunk that learns from pictures without labels, for other runs to start from.

Data: `pictures:PATH`, all pictures in a folder, or any data set of `your_data`, whose
labels are not trained on; a classification among them measures progress by a linear
probe and nearest neighbours (`val_probe_*` in `logs/history.csv`).
Command: `python train.py --recipe=pretrain --dataset=pictures:PATH --export=
--workdir=runs/pretrained`, and then `python train.py --dataset=... --trunk=Conv
--init_from=run:runs/pretrained`. `--set methods=SimCLR,Rotation` adds up several;
what it is worth where labels are few: docs/transfer.md.
"""

import dataclasses
import functools

import p5_keras as p5


@dataclasses.dataclass(frozen=True)
class Config(p5.recipe.Config):
    """What this recipe decides.

    Attributes:
        trunk: The trunk, which later runs must have as well.
        dataset: "pictures:PATH", or as in `p5.data.user_data`.
        dataset_options: As in `p5.data.user_data`.
        on_bad_example: "raise" or "skip".
        methods: Classes of `p5.pretraining`, each a task.
        image_size: Height and width of the model input.
        probe_every: Epochs from one probe to the next.
    """

    trunk: p5.Trunk = p5.trunks.Conv(width=16, depth=1, levels=4)
    dataset: str = ""
    dataset_options: tuple[str, ...] = ()
    on_bad_example: str = "raise"
    methods: tuple[str, ...] = ("SimCLR",)
    image_size: int = 32
    probe_every: int = 5
    epochs: int = 50
    batch_size: int = 256
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2


def found(config: Config) -> p5.data.UserData:
    """The data, read once."""
    given = (config.dataset, config.dataset_options, config.on_bad_example)
    return _found(*given, reading=config.reading)


_found = functools.lru_cache(1)(functools.partial(p5.data.user_data, labelled=False))


def tasks(config: Config) -> list[p5.Task]:
    """One for each method."""
    known = {n: getattr(p5.pretraining, n) for n in p5.pretraining.METHODS}
    for name in config.methods:
        if name not in known:
            raise ValueError(
                f"`methods` must be some of {list(known)}. Received: {config.methods}"
            )
    return [known[name](name.lower()) for name in config.methods]


def data(config: Config, tasks: list[p5.Task], split: str) -> p5.data.Source:
    """The pictures of a split, as they are: the model itself makes views of them."""
    return found(config).source(split, (config.image_size, config.image_size))


def model(config: Config, tasks: list[p5.Task]) -> p5.MultiTaskModel:
    """One trunk under all methods."""
    shape = (config.image_size, config.image_size, *found(config).shape)
    return p5.recipe.build(config, tasks, shape)


def callbacks(config: Config, tasks: list[p5.Task]) -> list:
    """A probe for each classification that the data are labelled with."""
    size = (config.image_size, config.image_size)
    read = found(config)
    labelled = read.tasks(size) if read.records.fields else []
    return [
        p5.pretraining.Probe(
            task, read.source("train", size), read.source("validation", size),
            config.probe_every,
        )
        for task in labelled
        if isinstance(task, p5.tasks.Classification)
    ]  # fmt: skip
