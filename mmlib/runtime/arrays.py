"""Short names for types of numpy arrays, by what their elements are."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Reals = NDArray[np.floating[Any]]
"""Floats of any size."""
Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Floats16 = NDArray[np.float16]
Ints = NDArray[np.int64]
Ints32 = NDArray[np.int32]
Ints16 = NDArray[np.int16]
Ints8 = NDArray[np.int8]
Words = NDArray[np.uint32]
Words64 = NDArray[np.uint64]
Bytes = NDArray[np.uint8]
Indices = NDArray[np.intp]
"""Places in another array, as numpy's own searches and sorts return them."""
Bools = NDArray[np.bool_]
Texts = NDArray[np.str_]
Ascii = NDArray[np.bytes_]
Records = NDArray[np.void]
"""Of a structured dtype."""
