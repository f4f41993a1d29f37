"""Importing this makes a process ready to work: datatrove's workers, new for each phase, are forked from such a one.

The first call of a kernel loads numba's target, the first array that pyarrow makes of numpy loads pandas where that is
installed: 400 modules, which a worker that is forked behind them need not load.
"""

import numpy as np
import pyarrow as pa

from tokenmill.kernels.union_find import Forest

_forest = Forest()
_forest.add(np.zeros(1, np.int64), np.ones(1, np.int64))
_forest.components()
pa.array(np.zeros(1)).to_numpy()
