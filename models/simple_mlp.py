"""Is a handwritten digit odd, is it large, has it a loop: three answers on one trunk.

First form: flatten, dense layers of 128, 64 and 32, one sigmoid output, for 28x28x1
images. Here there is an output for each question, and pixels enter as 0 to 1; `--set
questions=odd` leaves one output. Adam, warmed up and brought to 0.
Data: MNIST, by `datasets/multi_mnist`.
Command: `python train.py --recipe=simple_mlp`, with `--data_dir=FOLDER` for a local
copy.
On the test split, mean ± standard deviation over seeds 0 to 2, accuracy: odd 0.988 ±
0.001 (majority: 0.507), large 0.985 ± 0.000 (0.514), loop 0.987 ± 0.000 (0.608). A run
takes 62 s of CPU time; see docs/results.md.
"""

import dataclasses

import tensorflow as tf

import p5_keras as p5

#: The digits to which the answer is yes.
QUESTIONS = {"odd": [1, 3, 5, 7, 9], "large": [5, 6, 7, 8, 9], "loop": [0, 6, 8, 9]}


@dataclasses.dataclass(frozen=True)
class Config(p5.recipe.Config):
    """What this recipe decides.

    Attributes:
        questions: Some of "odd", "large" (5 or more) and "loop".
    """

    trunk: p5.Trunk = p5.trunks.Dense([128, 64, 32])
    questions: tuple[str, ...] = ("odd", "large", "loop")
    epochs: int = 6
    batch_size: int = 128
    learning_rate: float = 2e-3


def tasks(config: Config) -> list[p5.Task]:
    """A yes or no to each question."""
    if not config.questions or not set(config.questions) <= set(QUESTIONS):
        raise ValueError(
            f"`questions` must be some of {list(QUESTIONS)}. "
            f"Received: questions={config.questions}"
        )
    return [p5.tasks.Binary(question) for question in config.questions]


def data(config: Config, tasks: list[p5.Task], split: str) -> p5.data.Source:
    """MNIST; the last 17 % of the training pictures validate."""
    builder = p5.data.builder(
        "multi_mnist", manual_dir=config.data_dir, config="single"
    )
    parts = {"train": "train[:-17%]", "validation": "train[-17%:]", "test": "test"}
    return p5.data.from_tfds(builder, parts[split], transform=answer)


def answer(example: dict) -> dict:
    """Answers all questions by the class of the digit."""
    for question, digits in QUESTIONS.items():
        table = tf.constant([float(digit in digits) for digit in range(10)])
        example = {**example, question: tf.gather(table, example["label"])}
    return example


def model(config: Config, tasks: list[p5.Task]) -> p5.MultiTaskModel:
    """One dense trunk under all heads."""
    return p5.recipe.build(config, tasks, (28, 28, 1))
