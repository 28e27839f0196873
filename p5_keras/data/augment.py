"""Random changes of an image that its boxes and maps follow."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import tensorflow as tf

from p5_keras.data import color, geometry
from p5_keras.data.changes import COLOR, FLIPS, GEOMETRY, refuse
from p5_keras.data.fields import Example, read, replace
from p5_keras.task import Task


@dataclass(frozen=True, eq=False)
class Augment:
    """Random changes of images and of the labels that follow, in one declaration.

    A pure function of example and seed: the same in any parallel order, and after a
    restart. Tasks are an argument, since a recipe that declares its augmentation has
    them in its hand; they say which field is a map and which holds boxes, and which
    change their label cannot follow. A field that the examples lack, because
    `Source.transform` derives it afterwards, has nothing to follow.

    Everything that moves is composed to one matrix, and image and maps are read once:
    the image bilinearly, with its edge repeated where nothing of it is shown, since
    mirrored objects would have no boxes; maps from the nearest pixel, without a label
    where nothing is shown. Flips and transposes alone move pixels as they are. Boxes
    become the upright box around their moved corners, clipped; those with less than a
    third in view are dropped. The order: transpose, flips, stretch, shear, rotation,
    zoom, translation; then colour, then erasing.

    Attributes:
        tasks: The tasks that read labels of these examples.
        boxes: A further field with boxes, that labels are derived from later.
        maps: Further fields with class maps; they get 255 where nothing is shown.
        flip_horizontal: Mirror half of the images left to right.
        flip_vertical: Mirror half of the images top to bottom.
        transpose: Swap the axes of half of the images; they must be square.
        zoom: Largest magnification, into a random window: 1.5 shows two thirds of the
            height and width. Or smallest and largest, at least 0.5.
        stretch: Largest change of the aspect ratio: 1.2 is up to 6/5, or down to 5/6.
        rotate: Largest angle in degrees, either way, around the centre.
        shear: Largest angle in degrees by which either axis tilts.
        translate: Largest shift as a share of height and width.
        brightness: Largest shift, as a share of the full range.
        contrast: Largest relative change.
        saturation: Largest relative change, for RGB.
        hue: Largest turn, in 0..0.5, for RGB.
        rand_augment: Number of colour operations of RandAugment, for RGB.
        magnitude: Strength of these operations, 0 to 1.
        erase: Largest share of the image that one rectangle covers. Labels stay.

    Raises:
        ValueError: An argument is out of range, or a task cannot follow.
    """

    tasks: Sequence[Task]
    boxes: str | None = None
    maps: tuple[str, ...] = ()
    flip_horizontal: bool = False
    flip_vertical: bool = False
    transpose: bool = False
    zoom: float | tuple[float, float] = 1.0
    stretch: float = 1.0
    rotate: float = 0.0
    shear: float = 0.0
    translate: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    rand_augment: int = 0
    magnitude: float = 0.5
    erase: float = 0.0

    def __post_init__(self) -> None:
        """Checks the arguments, and asks every task."""
        low, high = self._zooms
        rule = "at least 1, or a pair of at least 0.5, the smaller number first"
        self._check("zoom", 0.5 <= low <= high, rule)
        self._check("stretch", self.stretch >= 1, "at least 1")
        self._check("rotate", 0 <= self.rotate <= 180, "from 0 to 180 degrees")
        self._check("shear", 0 <= self.shear < 45, "from 0 to less than 45 degrees")
        for name in ("translate", "brightness", "contrast", "saturation", "magnitude"):
            self._check(name, 0 <= getattr(self, name) <= 1, "from 0 to 1")
        self._check("hue", 0 <= self.hue <= 0.5, "from 0 to 0.5")
        self._check("rand_augment", self.rand_augment >= 0, "0 or more")
        self._check("erase", 0 <= self.erase < 1, "from 0 to less than 1")
        refuse(self.tasks, {name: getattr(self, name) for name in self.used})

    def _check(self, name: str, right: bool, rule: str) -> None:
        if not right:
            raise ValueError(
                f"`{name}` must be {rule}. Received: {name}={getattr(self, name)}"
            )

    @property
    def used(self) -> tuple[str, ...]:
        """Names of the changes that are switched on."""
        return tuple(
            f.name
            for f in fields(self)
            if f.name in GEOMETRY + COLOR and getattr(self, f.name) != f.default
        )

    def __call__(self, example: Example, seed: tf.Tensor) -> Example:
        """Changes one example.

        Args:
            example: An example without a batch axis; its image `(height, width,
                channels)` from 0 to 255.
            seed: `(2,)` integers.

        Returns:
            The example; its image is float32.
        """
        used = set(self.used)
        example = dict(example)
        seeds = tf.random.split(seed, 4)
        if used.intersection(GEOMETRY):
            example = self._move(example, tf.random.stateless_uniform([12], seeds[0]))
        image = tf.cast(example["image"], tf.float32)
        for name in used.intersection(("saturation", "hue", "rand_augment")):
            if image.shape[-1] != 3:
                raise ValueError(
                    f"`{name}` is for images with three channels. Received: "
                    f"{name}={getattr(self, name)} and images {image.shape}"
                )
        image = color.jitter(
            image, seeds[1], self.brightness, self.contrast, self.saturation, self.hue
        )
        if self.rand_augment:
            count, magnitude = self.rand_augment, self.magnitude
            image = color.rand_augment(image, seeds[2], count, magnitude)
        if self.erase:
            image = color.erase(image, seeds[3], self.erase)
        example["image"] = image
        return example

    @property
    def _zooms(self) -> tuple[float, float]:
        if isinstance(self.zoom, tuple | list):
            low, high = self.zoom
            return low, high
        return 1.0, self.zoom

    def _move(self, example: Example, draws: tf.Tensor) -> Example:
        """Moves image, maps and boxes; draws are 12 numbers in 0..1."""
        image = tf.convert_to_tensor(example["image"])
        shape = image.shape[:2]
        if self.transpose and shape[0] != shape[1]:
            raise ValueError(
                "`transpose` needs square images. "
                f"Received: transpose=True and images {image.shape}"
            )
        flips = [
            getattr(self, name) and draws[i] < 0.5
            for i, name in enumerate(("flip_vertical", "flip_horizontal", "transpose"))
        ]
        size = tf.cast(tf.shape(image)[:2], tf.float32)
        matrix = self._matrix(flips, draws, size)
        moves = set(self.used).intersection(GEOMETRY)
        exact = moves <= set(FLIPS)
        inside = moves <= {*FLIPS[:2], "zoom"} and self._zooms[0] >= 1
        voids, boxes = self._fields(example)
        for path, void in {"image": None, **voids}.items():
            plane = tf.convert_to_tensor(read(example, path))
            _check_plane(path, plane, shape, None if exact else void)
            if exact:
                moved = geometry.turn(plane, *flips)
            elif inside and path == "image":
                moved = tf.ensure_shape(geometry.window(plane, matrix), plane.shape)
            else:
                moved = geometry.warp(plane, matrix, void)
            example = replace(example, path, moved)
        for path in boxes:
            old = read(example, path)
            bbox = tf.convert_to_tensor(old["bbox"] if isinstance(old, dict) else old)
            new, kept = geometry.move_boxes(tf.reshape(bbox, [-1, 4]), matrix, size)
            new = tf.ensure_shape(tf.reshape(new, tf.shape(bbox)), bbox.shape)
            if isinstance(old, dict):
                new = {**old, "bbox": new}
                if "label" in old:
                    label = tf.convert_to_tensor(old["label"])
                    new["label"] = tf.where(kept, label, -tf.ones_like(label))
            example = replace(example, path, new)
        return example

    def _fields(self, example: Example) -> tuple[dict[str, int], list[str]]:
        """Returns the fields that are maps, with the value of no label, and boxes."""
        voids = dict.fromkeys(self.maps, 255)
        boxes = [self.boxes] if self.boxes else []
        for path in [*voids, *boxes]:
            if read(example, path) is None:
                raise ValueError(
                    "`maps` and `boxes` must be fields of the examples. "
                    f"Received: {path!r}; fields={list(example)}"
                )
        for task in self.tasks:
            if not task.follows or read(example, task.label) is None:
                continue
            if task.follows == "map":
                voids[task.label] = task.void
            elif task.label not in boxes:
                boxes.append(task.label)
        return voids, boxes

    def _matrix(self, flips: list[Any], draws: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
        """Returns where each point of the image is shown."""
        height, width = size[0], size[1]
        signed = 2 * draws - 1
        vertical, horizontal, transposed = (tf.cast(f, tf.float32) for f in flips)
        # Each step acts on what the steps before it made, around the centre.
        swap = [[1 - transposed, transposed, 0], [transposed, 1 - transposed, 0]]
        mirror = [[1 - 2 * horizontal, 0, 0], [0, 1 - 2 * vertical, 0]]
        steps = [swap, mirror]
        if self.stretch > 1:
            root = self.stretch ** (signed[3] / 2)
            steps.append([[root, 0, 0], [0, 1 / root, 0]])
        if self.shear:
            tilt = tf.tan(math.radians(self.shear) * signed[4:6])
            steps.append([[1, tilt[0], 0], [tilt[1], 1, 0]])
        if self.rotate:
            angle = math.radians(self.rotate) * signed[6]
            sine, cosine = tf.sin(angle), tf.cos(angle)
            steps.append([[cosine, -sine, 0], [sine, cosine, 0]])
        low, high = self._zooms
        zoom = low + draws[7] * (high - low)
        # The window lies anywhere in the image, or the image anywhere in the window.
        right = (zoom - 1) * width * (0.5 - draws[8])
        down = (zoom - 1) * height * (0.5 - draws[9])
        right += self.translate * width * signed[10]
        down += self.translate * height * signed[11]
        steps.append([[zoom, 0, right + width / 2], [0, zoom, down + height / 2]])
        matrix = geometry.affine([[1, 0, -width / 2], [0, 1, -height / 2]])
        for step in steps:
            matrix = geometry.affine(step) @ matrix
        return matrix


def _check_plane(path: str, plane: tf.Tensor, shape: Any, void: int | None) -> None:
    if plane.shape[:2] != shape:
        raise ValueError(
            "Maps must have the size of their image. "
            f"Received: {plane.shape} in the field {path!r}; image {shape}"
        )
    kind = plane.dtype
    if void is not None and (kind.is_bool or (void < 0 and kind.is_unsigned)):
        raise ValueError(
            "A map that is zoomed, turned or shifted must have room for pixels without "
            "a label: an integer type, and an `ignore_label` of its task if that is "
            f"unsigned. Received: {kind.name} in the field {path!r}"
        )
