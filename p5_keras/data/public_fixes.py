"""What public data sets mean by their values, where their features do not say."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Fix:
    """What is to be known of one public data set.

    Attributes:
        masks: For each field that is a mask, names of classes by pixel value; a pixel
            of any other value has no label.
        drop: Fields that say nothing new, and why.
    """

    masks: dict[str, dict[int, str]] = field(default_factory=dict)
    drop: dict[str, str] = field(default_factory=dict)


#: By name of the data set, without its configuration and version.
FIXES = {
    "oxford_iiit_pet": Fix(
        masks={"segmentation_mask": {1: "pet", 2: "background", 3: "border"}}
    ),
    "voc": Fix(
        drop={"labels_no_difficult": "it repeats 'labels' without difficult objects"}
    ),
}
