"""A worker that trains nothing: it answers the protocol with the times it is told."""

from __future__ import annotations

import json
import os
import sys
import time


def main() -> None:
    """Say what the first argument tells, and end as it tells."""
    ready, seconds, end = json.loads(sys.argv[1])
    print("a library says hello")
    print(json.dumps(ready), flush=True)
    for line in sys.stdin:
        command, _, count = line.strip().partition(" ")
        if command == "quit":
            break
        if end == "die":
            print("first\nlast words", file=sys.stderr, flush=True)
            os._exit(3)
        if end == "hang":
            time.sleep(3600)  # until it is killed
        if command == "peak":
            print(json.dumps({"baseline_mib": 10.0, "peak_mib": 12.5}), flush=True)
        else:
            print(json.dumps({"seconds": [seconds] * int(count)}), flush=True)


if __name__ == "__main__":
    main()
