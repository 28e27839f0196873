"""Random changes of an image that its boxes and maps follow."""

from dataclasses import dataclass
from typing import Any

import tensorflow as tf

Example = dict[str, Any]


@dataclass(frozen=True)
class Augment:
    """Flips, zooms and colour changes, a pure function of example and seed.

    Labels of whole images are left as they are: choose only what does not change
    them. Boxes of which less than a third stays in view are dropped.

    Attributes:
        boxes: Field with boxes, or `None`.
        maps: Fields with label maps.
        flip_horizontal: Mirror half of the images left to right.
        flip_vertical: Mirror half of the images top to bottom.
        transpose: Swap the axes of half of the images; they must be square.
        zoom: Largest zoom into a random window: 1.5 shows two thirds of the height
            and width. 1 is none.
        brightness: Largest shift, as a share of the full range.
        contrast: Largest relative change.
        saturation: Largest relative change, for RGB.
        hue: Largest turn, in 0..0.5, for RGB.
    """

    boxes: str | None = None
    maps: tuple[str, ...] = ()
    flip_horizontal: bool = False
    flip_vertical: bool = False
    transpose: bool = False
    zoom: float = 1.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0

    def __call__(self, example: Example, seed: tf.Tensor) -> Example:
        """Changes one example.

        Args:
            example: An example without a batch axis; its image `(height, width,
                channels)` from 0 to 255.
            seed: `(2,)` integers.
        """
        example = dict(example)
        draws = tf.random.stateless_uniform([6], seed)
        images = ["image", *self.maps]
        for on, draw, axis in (
            (self.flip_vertical, draws[0], 0),
            (self.flip_horizontal, draws[1], 1),
        ):
            if on:
                example = self._flip(example, images, draw < 0.5, axis)
        if self.transpose:
            example = self._transpose(example, images, draws[2] < 0.5)
        if self.zoom > 1:
            example = self._zoom(example, draws[3:6])
        example["image"] = self._color(tf.cast(example["image"], tf.float32), seed)
        return example

    def _flip(
        self, example: Example, images: list[str], on: tf.Tensor, axis: int
    ) -> Example:
        for name in images:
            flipped = tf.reverse(example[name], [axis])
            example[name] = tf.where(on, flipped, example[name])
        if self.boxes:
            y1, x1, y2, x2 = tf.unstack(example[self.boxes]["bbox"], axis=-1)
            flipped = (
                (1 - y2, x1, 1 - y1, x2) if axis == 0 else (y1, 1 - x2, y2, 1 - x1)
            )
            self._set_boxes(example, on, tf.stack(flipped, axis=-1))
        return example

    def _transpose(self, example: Example, images: list[str], on: tf.Tensor) -> Example:
        for name in images:
            turned = tf.transpose(example[name], [1, 0, 2])
            example[name] = tf.where(on, turned, example[name])
        if self.boxes:
            boxes = tf.gather(example[self.boxes]["bbox"], [1, 0, 3, 2], axis=-1)
            self._set_boxes(example, on, boxes)
        return example

    def _set_boxes(self, example: Example, on: tf.Tensor, boxes: tf.Tensor) -> None:
        old = example[str(self.boxes)]
        example[str(self.boxes)] = {**old, "bbox": tf.where(on, boxes, old["bbox"])}

    def _zoom(self, example: Example, draws: tf.Tensor) -> Example:
        side = 1 / (1 + draws[0] * (self.zoom - 1))
        top, left = draws[1] * (1 - side), draws[2] * (1 - side)
        window = tf.stack([top, left, top + side, left + side])
        for name in ("image", *self.maps):
            image = example[name]
            zoomed = tf.image.crop_and_resize(
                tf.cast(image, tf.float32)[None],
                window[None],
                [0],
                image.shape[:2],
                method="bilinear" if name == "image" else "nearest",
            )[0]
            example[name] = zoomed if name == "image" else tf.cast(zoomed, image.dtype)
        if self.boxes:
            old = example[self.boxes]
            corner = tf.stack([top, left, top, left])
            moved = (old["bbox"] - corner) / side
            clipped = tf.clip_by_value(moved, 0.0, 1.0)
            kept = _areas(clipped) >= tf.maximum(_areas(moved) / 3, 1e-6)
            label = tf.where(kept, old["label"], -tf.ones_like(old["label"]))
            boxes = tf.where(kept[:, None], clipped, tf.zeros_like(clipped))
            example[self.boxes] = {**old, "bbox": boxes, "label": label}
        return example

    def _color(self, image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        seeds = tf.random.split(seed, 4)
        if self.brightness:
            image += tf.random.stateless_uniform(
                [], seeds[0], -255 * self.brightness, 255 * self.brightness
            )
        if self.contrast:
            image = tf.image.stateless_random_contrast(
                image, 1 - self.contrast, 1 + self.contrast, seeds[1]
            )
        image = tf.clip_by_value(image, 0.0, 255.0)
        if self.saturation:
            image = tf.image.stateless_random_saturation(
                image, 1 - self.saturation, 1 + self.saturation, seeds[2]
            )
        if self.hue:
            image = 255 * tf.image.stateless_random_hue(image / 255, self.hue, seeds[3])
        return tf.clip_by_value(image, 0.0, 255.0)


def _areas(boxes: tf.Tensor) -> tf.Tensor:
    y1, x1, y2, x2 = tf.unstack(boxes, axis=-1)
    return tf.maximum(y2 - y1, 0.0) * tf.maximum(x2 - x1, 0.0)
