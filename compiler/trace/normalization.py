"""The enclosure of normalisations: the variance may be a mean of squares less a square, which cancels."""

from __future__ import annotations

import numpy as np

from subbyte.compiler.ir.ops_normalization import LayerNormalization, Normalization, RMSNormalization
from subbyte.compiler.trace.enclosure import EXTRA, LIBRARY, Doubles, Enclosure, encloses, gamma


@encloses(LayerNormalization, RMSNormalization)
def normalization(node: Normalization, x: Enclosure, *affine: Enclosure) -> Enclosure:
    """d * inverse * scale + bias, d = x - mean, inverse = 1 / sqrt(v + epsilon), v the mean of d^2.

    Over the n elements of a row, |mean - exact| <= mean(error) + gamma(n) * mean|x|, and v, as the mean of squares or
    that of x^2 less mean^2, is within 4 * mean(|x| * error) + gamma(2 * n) * mean(x^2) of its exact value; half of
    that, relative to v + epsilon, is the relative error of inverse.
    """
    axes = tuple(range(node.axis, x.real.ndim))
    terms = int(np.prod([x.real.shape[axis] for axis in axes])) + EXTRA

    def mean(array: Doubles) -> Doubles:
        return np.asarray(array.mean(axis=axes, keepdims=True))

    largest = x.largest
    centre, of_centre = np.zeros(()), np.zeros(())
    if isinstance(node, LayerNormalization):
        centre, of_centre = mean(x.real), mean(x.error) + gamma(terms) * mean(largest)
    apart = Enclosure(x.real - centre, x.error + of_centre).widened(1, largest + np.abs(centre))
    power = mean(apart.real**2) + float(np.float32(node.epsilon))
    of_power = 4 * mean(largest * x.error) + gamma(2 * terms) * mean(largest**2)
    left = np.where(power > of_power, power - of_power, 0)
    relative = np.where(left > 0, 0.5 * of_power / np.where(left > 0, left, 1), np.inf) + gamma(LIBRARY)
    inverse = 1 / np.sqrt(power)
    y = Enclosure(apart.real * inverse, (apart.error + apart.largest * relative) * inverse)
    for factor in affine[:1]:
        carried = np.abs(factor.real) * y.error + factor.error * y.largest
        y = Enclosure(y.real * factor.real, carried).widened(EXTRA, np.abs(y.real * factor.real))
    for bias in affine[1:]:
        y = Enclosure(y.real + bias.real, y.error + bias.error).widened(EXTRA, y.largest + bias.largest)
    return y
