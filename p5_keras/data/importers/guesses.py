"""What was decided by a guess that the data themselves do not show."""

from collections.abc import Collection

from p5_keras.data.records import Records
from p5_keras.data.summary import KINDS
from p5_keras.inputs import Text, Waveform

_DECIDES_KINDS = (
    "--dataset_options=kind.TASK=KIND, with classification, multi_label, regression, "
    "detection or segmentation; to leave a task out give --dataset_options=ignore=TASK"
)


def of_records(records: Records, given: Collection[str]) -> dict[str, str]:
    """Returns what a loader chose for tasks and inputs, and the option that decides it.

    Args:
        records: The records.
        given: Names of the options that decide already.
    """
    found: dict[str, str] = {}
    free = [name for name in records.fields if f"kind.{name}" not in given]
    if free:
        found[KINDS] = _DECIDES_KINDS
    for name, encoder in records.encoders.items():
        if isinstance(encoder, Waveform):
            sizes = {"rate": f"{encoder.rate} samples a second"}
            sizes["seconds"] = f"{encoder.seconds:g} s long"
            for option, size in sizes.items():
                if option not in given:
                    what = f"{name}: {size}, by the training sounds"
                    found[what] = f"--dataset_options={option}=NUMBER"
        elif isinstance(encoder, Text):
            unit = "characters" if encoder.split == "character" else "words"
            what = f"{name}: the first {encoder.length} {unit} of {encoder.column!r}"
            found[what] = "p5.inputs.Text in a recipe"
    return found
