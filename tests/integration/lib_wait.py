# SPDX-License-Identifier: BSD-2-Clause
"""Waiting for what must come, however busy the host is with others."""
import time


def wait_until(condition, seconds=30):
    """Whether it has held within that time, at the end of it for the last time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True
