"""Eight bits for the network of a LiteRT file, floats for what its outputs become."""

from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

#: Operations that have weights, or do as much arithmetic.
HEAVY = {
    "CONV_2D",
    "CONV_3D",
    "DEPTHWISE_CONV_2D",
    "TRANSPOSE_CONV",
    "FULLY_CONNECTED",
    "BATCH_MATMUL",
}


def quantized(
    converter: Any, examples: Callable[[], Iterator[dict[str, Any]]]
) -> bytes:
    """Converts with values in 8 bits up to each head's last heavy operation.

    All that follows stays in floats. Its operations must share one scale among what
    they put together or pass on, be it boxes, logits or pixels, and eight bits are few
    for the overlap of two boxes.

    Args:
        converter: A `TFLiteConverter` of the signature `serving_default`.
        examples: Returns inputs by name, a batch of one each, to calibrate with.
    """
    from tensorflow.lite.tools import flatbuffer_utils  # slow to import

    def inputs() -> Iterator[tuple[str, dict[str, Any]]]:
        return (("serving_default", example) for example in examples())

    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = inputs
    options = tf.lite.experimental.QuantizationDebugOptions()
    debugger = tf.lite.experimental.QuantizationDebugger(
        converter=converter, debug_dataset=inputs, debug_options=options
    )
    content = bytearray(debugger.calibrated_model)
    model = flatbuffer_utils.convert_bytearray_to_object(content)
    main, *loops = model.subgraphs
    codes = [
        flatbuffer_utils.opcode_to_name(model, o.opcodeIndex) for o in main.operators
    ]
    last = after_heavy(main.operators, codes)
    values = [main.tensors[t] for i in last for t in main.operators[i].outputs]
    # A value without a range is not quantized of itself. The loops are of suppression.
    for tensor in values + [t for loop in loops for t in loop.tensors]:
        tensor.quantization = None
    # Nor by what it is made of, if it is refused by name; but the names of operations
    # with several outputs are not understood, so these are refused by their kind.
    options.denylisted_nodes = [tensor.name.decode() for tensor in values]
    before = {code for i, code in enumerate(codes) if i not in last}
    options.denylisted_ops = sorted({codes[i] for i in last} - before)
    debugger.calibrated_model = flatbuffer_utils.convert_object_to_bytearray(model)
    return debugger.get_nondebug_quantized_model()


def after_heavy(operators: list[Any], codes: list[str]) -> set[int]:
    """Finds the operations that are not heavy, and that no heavy one depends on.

    Args:
        operators: Operations in the order of execution, with the numbers of the values
            that are their `inputs` and `outputs`.
        codes: What each does.
    """
    needed: set[int] = set()
    found = set()
    for i in reversed(range(len(operators))):
        outputs = {int(t) for t in operators[i].outputs}
        if codes[i] in HEAVY or outputs & needed:
            needed.update(int(t) for t in operators[i].inputs)
        else:
            found.add(i)
    return found
