"""Your own data without code: what `--dataset` trains.

Data: `folder:PATH`, `voc:PATH`, `coco:PATH`, `table:PATH`, or the name of a public set
of TFDS. Tasks are inferred from what is labelled; see docs/your_own_data.md.
Command: `python train.py --dataset=voc:PATH`, with `--dataset_options=name=value` and
`--on_bad_example=skip` where they are needed.
"""

import dataclasses
import functools

import p5_keras as p5
from p5_keras.data import summary
from p5_keras.data.importers.guesses import of_records
from p5_keras.data.records import Records


@dataclasses.dataclass(frozen=True)
class Config(p5.recipe.Config):
    """What this recipe decides.

    Attributes:
        trunk: The trunk for pictures; small ones get fewer of its levels.
        table_trunk: The trunk for the columns of tables.
        text_trunk: The trunk for text.
        sound_trunk: The trunk for sound.
        dataset: As in `user_data`.
        dataset_options: As in `user_data`.
        on_bad_example: "raise" or "skip".
        image_size: Height and width of the model input. By default what suits the
            pictures, with no side longer than `largest_side`.
        largest_side: See `image_size`, in pixels.
        epochs: By default as many as make `steps` steps, between 5 and 60.
        steps: See `epochs`.
        flip: Mirror half of the training pictures left to right. By default where
            nothing speaks against it; see `UserData.why_unmoved`.
        zoom: Largest zoom into a training picture, 1 for none. By default 1.25 where
            nothing speaks against it.
        color: Largest relative change of contrast and, for RGB, saturation, and twice
            the largest shift of brightness; 0 is none.
    """

    trunk: p5.Trunk = p5.trunks.Conv(width=24, depth=2, levels=5)
    table_trunk: p5.Trunk = p5.trunks.TabularDense([256, 128], dropout=0.1)
    text_trunk: p5.Trunk = p5.trunks.TextConv(width=128, dropout=0.3)
    sound_trunk: p5.Trunk = p5.trunks.AudioConv(width=32)
    dataset: str = ""
    dataset_options: tuple[str, ...] = ()
    on_bad_example: str = "raise"
    image_size: int | tuple[int, int] | None = None
    largest_side: int = 224
    epochs: int | None = None
    steps: int = 1500
    flip: bool | None = None
    zoom: float | None = None
    color: float = 0.2
    batch_size: int = 32
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    clip_norm: float | None = 5.0
    ema: float | None = 0.99


def complete(config: Config) -> Config:
    """Decides what depends on the data: size of the input and number of epochs."""
    data, size, epochs = found(config), config.image_size, config.epochs
    if data.records.inputs is None:
        size = size or data.image_size(config.largest_side)
        size = (size, size) if isinstance(size, int) else tuple(size)
    if epochs is None:
        examples = int((data.records.splits == "train").sum())
        epochs = round(config.steps * config.batch_size / examples)
        epochs = min(max(epochs, 5), 60)
    moved = data.records.inputs is None and not data.why_unmoved()
    return dataclasses.replace(
        config,
        image_size=size,
        epochs=epochs,
        flip=moved if config.flip is None else config.flip,
        zoom=(1.25 if moved else 1.0) if config.zoom is None else config.zoom,
    )


def found(config: Config) -> p5.data.UserData:
    """The data, read once; of a run that has begun, as it has read them before."""
    given = (config.dataset, config.dataset_options, config.on_bad_example)
    return _found(*given, config.data_dir, reading=config.reading)


_found = functools.lru_cache(1)(p5.data.user_data)


def tasks(config: Config) -> list[p5.Task]:
    """One for each thing that is labelled."""
    return found(config).tasks(config.image_size, _levels(config))


def data(config: Config, tasks: list[p5.Task], split: str) -> p5.data.Source:
    """The examples of a split, as their files are now."""
    read = found(config)
    if read.records.inputs is not None:
        return read.source(split)
    return read.source(split, config.image_size, augmentation(config, tasks))


def augmentation(config: Config, tasks: list[p5.Task]) -> p5.data.Augment:
    """Random changes that labels of unknown pictures survive."""
    return p5.data.Augment(
        tasks,
        flip_horizontal=bool(config.flip),
        zoom=config.zoom or 1.0,
        brightness=config.color / 2,
        contrast=config.color,
        saturation=config.color if found(config).shape == (3,) else 0.0,
    )


def about(config: Config, tasks: list[p5.Task]) -> dict:
    """What is known of the data, for the table before training and the report."""
    read = found(config)
    augment = None
    if read.records.inputs is None:
        augment = augmentation(config, tasks)
    found_out = summary.describe(read, tasks, config.image_size, augment)
    found_out["guesses"] |= _guessed(config, read.records)
    return found_out


def _guessed(config: Config, records: Records) -> dict[str, str]:
    """What nobody has decided, and the option that does."""
    given = [option.partition("=")[0] for option in config.dataset_options]
    guesses = of_records(records, given)
    names = ["epochs"]
    if records.inputs is None:
        names += ["image_size", "flip", "zoom"]
    free = complete(dataclasses.replace(config, **dict.fromkeys(names)))
    settings = [
        f"{name} {getattr(free, name)}"
        for name in names
        if getattr(config, name) == getattr(free, name)
    ]
    if settings:
        what = f"settings, by the data: {', '.join(settings)}"
        guesses[what] = "--set NAME=VALUE"
    return guesses


def model(config: Config, tasks: list[p5.Task]) -> p5.MultiTaskModel:
    """One trunk under all heads."""
    read = found(config)
    if read.records.inputs is None:
        shape, trunk = (*config.image_size, *read.shape), config.trunk
        if hasattr(trunk, "levels"):
            levels = {"levels": _levels(config)}
            trunk = type(trunk)(**{**trunk.get_config(), **levels})
    else:
        shape, trunk = read.records.encoders, _trunk(config, read.records.encoders)
    return p5.recipe.build(dataclasses.replace(config, trunk=trunk), tasks, shape)


def _trunk(config: Config, inputs: dict[str, p5.inputs.Input]) -> p5.Trunk:
    """The trunk of the one input, or of several side by side."""
    known = {
        p5.inputs.Table: config.table_trunk,
        p5.inputs.Text: config.text_trunk,
        p5.inputs.Waveform: config.sound_trunk,
    }
    trunks = {name: known[type(one)] for name, one in inputs.items()}
    return (
        p5.trunks.MultiInput(trunks) if len(trunks) > 1 else trunks[next(iter(trunks))]
    )


def _levels(config: Config) -> int:
    """The trunk's levels: the last map of a picture of 32 pixels has 2 x 2 cells."""
    levels = getattr(config.trunk, "levels", 5)
    if config.image_size is None:
        return levels
    return max(2, min(levels, min(config.image_size).bit_length() - 2))
