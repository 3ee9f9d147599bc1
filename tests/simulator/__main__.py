"""`python -m tests.simulator`: days from seeds; see --help."""

from __future__ import annotations

import random
import sys
import time

from .day import Day, Store
from .mix import MIXES

mix = MIXES[sys.argv[3]] if len(sys.argv) > 3 else MIXES["standard"]
first, n = int(sys.argv[1]), int(sys.argv[2])
store = Store()
begun = time.perf_counter()
bad = 0
for seed in range(first, first + n):
    day = Day(store, random.Random(seed), mix, print if n == 1 else None).run()
    if day.violations:
        bad += 1
        print(seed, day.violations[:4])
print(n, "days", (time.perf_counter() - begun) / n * 1e3, "ms a day,", bad, "bad")
store.close()
