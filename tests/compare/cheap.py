"""Hundreds of small networks trained at once: how often is a comparison right?"""

import numpy as np
import tensorflow as tf


def trained(x, y, units, replicas, seed, steps=240, batch=50, rate=0.01):
    """Trains networks that differ in their weights and in the order of the examples.

    Args:
        x: `(examples, inputs)`.
        y: `(examples, tasks)`, learned together on the sum of their squared errors.
        units: Size of the one hidden layer, with ReLU.
        replicas: How many networks.
        seed: What they are drawn by.
        steps: Steps of Adam, with a cosine decay to 0.
        batch: Examples a step.
        rate: First learning rate.

    Returns:
        From inputs `(examples, inputs)` to predictions `(replicas, examples, tasks)`.
    """
    rng = np.random.default_rng(seed)
    x, y = tf.constant(x, tf.float32), tf.constant(y, tf.float32)
    shapes = [(x.shape[1], units), (1, units), (units, y.shape[1]), (1, y.shape[1])]
    scale = [np.sqrt(2 / x.shape[1]), 0.0, np.sqrt(1 / units), 0.0]
    weights = [
        tf.Variable(s * rng.normal(size=(replicas, *shape)), dtype=tf.float32)
        for s, shape in zip(scale, shapes, strict=True)
    ]
    first = [tf.Variable(tf.zeros_like(w)) for w in weights]
    second = [tf.Variable(tf.zeros_like(w)) for w in weights]

    def network(x):
        a, b, c, d = weights
        return tf.matmul(tf.nn.relu(tf.matmul(x, a) + b), c) + d

    @tf.function
    def step(order, k):
        with tf.GradientTape() as tape:
            error = network(tf.gather(x, order)) - tf.gather(y, order)
            loss = tf.reduce_sum(tf.reduce_mean(error**2, axis=1))
        lr = rate * (1 + tf.cos(np.pi * k / steps)) / 2
        gradients = tape.gradient(loss, weights)
        for w, g, m, v in zip(weights, gradients, first, second, strict=True):
            m.assign(0.9 * m + 0.1 * g)
            v.assign(0.999 * v + 0.001 * g**2)
            up, low = m / (1 - 0.9 ** (k + 1)), v / (1 - 0.999 ** (k + 1))
            w.assign_sub(lr * up / (tf.sqrt(low) + 1e-7))

    each = len(x) // batch
    for k in range(steps):
        if k % each == 0:
            orders = rng.permuted(np.tile(np.arange(len(x)), (replicas, 1)), axis=1)
        part = orders[:, k % each * batch :][:, :batch]
        step(tf.constant(part), tf.constant(k, tf.float32))
    return lambda x: network(tf.constant(x, tf.float32)[None]).numpy()
