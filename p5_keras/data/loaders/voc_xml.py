"""One annotation in the layout of the PASCAL VOC challenge."""

import math
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from xml.parsers import expat

import numpy as np

from p5_keras.data.loaders.fault import Fault
from p5_keras.data.loaders.header import Size

_CORNERS = ("ymin", "xmin", "ymax", "xmax")


@dataclass(frozen=True)
class Annotation:
    """What is used of an annotation.

    Attributes:
        file: Where it was read, for messages.
        filename: The picture that it names, without folders, or "".
        size: `(height, width)` of the picture, 0 where it does not say.
        names: The class of each of `m` objects.
        corners: `(m, 4)` as ymin, xmin, ymax, xmax, in pixels, as written.
        difficult: `(m,)` booleans.
        lines: The line that each object begins at.
    """

    file: str
    filename: str
    size: Size
    names: tuple[str, ...]
    corners: np.ndarray
    difficult: np.ndarray
    lines: tuple[int, ...]

    def where(self, i: int) -> str:
        """Names the place of an object, for a person."""
        return f"{self.file}, line {self.lines[i]}"


def parse(content: bytes, file: str) -> Annotation:
    """Parses an annotation.

    Args:
        content: The text of the file, in whatever encoding it declares.
        file: The file to name in messages.

    Raises:
        Fault: It is no XML, no annotation, or an object lacks its class or its box.
    """
    root = _tree(content, file)
    if root.tag != "annotation":
        reason = f"it holds <{root.tag}>, and an annotation holds <annotation>"
        raise Fault(_where(root, file), reason)
    size = root.find("size")
    height, width = (
        0 if size is None else int(_number(size, side, file, "0"))
        for side in ("height", "width")
    )
    names, corners, difficult, lines = [], [], [], []
    for item in root.iterfind("object"):
        name = (item.findtext("name") or "").strip()
        # The boxes of an object's parts lie deeper, and are not its own.
        box = item.find("bndbox")
        if not name or box is None:
            missing = "<bndbox>" if name else "<name>"
            raise Fault(_where(item, file), f"an object has no {missing}")
        names.append(name)
        corners.append([_number(box, corner, file) for corner in _CORNERS])
        difficult.append((item.findtext("difficult") or "").strip() in ("1", "true"))
        lines.append(int(item.attrib["line"]))
    return Annotation(
        file,
        (root.findtext("filename") or "").replace("\\", "/").rpartition("/")[2].strip(),
        (height, width) if min(height, width) > 0 else (0, 0),
        tuple(names),
        np.array(corners, "float64").reshape(-1, 4),
        np.array(difficult, bool),
        tuple(lines),
    )


def _tree(content: bytes, file: str) -> ET.Element:
    """Returns the elements, each with its line as the only attribute."""
    parser, builder = expat.ParserCreate(), ET.TreeBuilder()
    parser.buffer_text = True
    parser.StartElementHandler = lambda tag, _: builder.start(
        tag, {"line": str(parser.CurrentLineNumber)}
    )
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        reason = expat.ErrorString(error.code)
        raise Fault(f"{file}, line {error.lineno}", f"it is no XML: {reason}") from None
    except (LookupError, ValueError) as error:
        reason = f"its encoding cannot be read: {error}"
        raise Fault(f"{file}, line 1", reason) from None
    return builder.close()


def _number(parent: ET.Element, tag: str, file: str, default: str = "") -> float:
    """Returns the number in a child, where it is missing or empty the default."""
    child = parent.find(tag)
    text = ("" if child is None else child.text or "").strip() or default
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        where = _where(parent if child is None else child, file)
        raise Fault(where, f"<{tag}> must hold a number, and holds {text!r}")
    return number


def _where(element: ET.Element, file: str) -> str:
    return f"{file}, line {element.attrib['line']}"
