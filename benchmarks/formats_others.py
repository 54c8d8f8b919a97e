"""Other people's readers, run by formats.py in the environment of scripts/make_oracles.py.

python formats_others.py LIBRARY: only that library is imported, and only its readers are served.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from serve import Reader, serve


class Columns:
    """What `serve` asks of events, for a library that gives columns of its own kind."""

    def __init__(self, **columns: Any) -> None:
        self.columns = columns

    def __len__(self) -> int:
        return len(self.columns["t"])

    def __getitem__(self, name: str) -> Any:
        return self.columns[name]


def tonic() -> dict[str, Reader]:
    """Its own functions. Its reader of AEDAT 3.1 (read_dvs_ibm of 1.7.0) asks for two of the three
    values that its reader of headers gives, so its body is here."""
    import tonic.io as source
    from tonic.datasets.hsd import HSD

    def aedat3(path: str) -> Any:
        version, start, _ = source.read_aedat_header_from_file(path)
        raw = source.get_aer_events_from_file(path, version, start)
        word, t = raw["address"], raw["timeStamp"]
        x, y, p = (word >> 17) & 0x1FFF, (word >> 2) & 0x1FFF, (word >> 1) & 1
        return source.make_structured_array(x, y, t, p)

    def aedat4(path: str) -> Any:
        found = source.read_aedat4(path)
        found.dtype.names = ["t", "x", "y", "p"]  # as its data sets do
        return found

    def shd(path: str) -> Any:
        data = HSD.__new__(HSD)
        data.location_on_system, data.data_filename = path.rsplit("/", 1)
        data.transform = data.target_transform = None
        events = np.concatenate([data[index][0] for index in range(len(data))])
        return Columns(t=events["t"], x=events["x"], y=0 * events["p"], p=0 * events["p"])

    nmnist = np.dtype([("x", int), ("y", int), ("t", int), ("p", int)])
    return {
        "aedat2": lambda path: source.read_davis_346(path)[2],
        "aedat3": aedat3,
        "aedat4": aedat4,
        "aedat4-lz4": aedat4,
        "aedat4-zstd": aedat4,
        "nmnist": lambda path: source.read_mnist_file(path, nmnist),
        "shd-small": shd,
        "shd": shd,
    }


def expelliarmus() -> dict[str, Reader]:
    """Compiled C."""
    from expelliarmus import Wizard

    return {
        "dat": Wizard(encoding="dat").read,
        "evt2": Wizard(encoding="evt2").read,
        "evt3": Wizard(encoding="evt3").read,
        "evt3-rows": Wizard(encoding="evt3").read,
    }


def evlib() -> dict[str, Reader]:
    """Compiled Rust; it sorts unless told not to."""
    import evlib as source

    def read(path: str) -> Any:
        found = source.load_events(path, sort=False).collect()
        t = found["t"].dt.total_microseconds().to_numpy()
        x, y, p = (found[name].to_numpy() for name in ("x", "y", "polarity"))
        return Columns(t=t, x=x, y=y, p=p > 0)

    return {"evt2": read, "evt3": read, "evt3-rows": read}


def dv_processing() -> dict[str, Reader]:
    """Compiled C++, by the makers of AEDAT 4.0."""
    import dv_processing as source

    def read(path: str) -> Any:
        recording, parts = source.io.MonoCameraRecording(path), []
        while recording.isRunning():
            batch = recording.getNextEventBatch()
            if batch is not None:
                parts.append(batch.numpy())
        found = np.concatenate(parts)
        return Columns(t=found["timestamp"], x=found["x"], y=found["y"], p=found["polarity"])

    return dict.fromkeys(("aedat4", "aedat4-lz4", "aedat4-zstd"), read)


LIBRARIES = {
    "tonic": tonic,
    "expelliarmus": expelliarmus,
    "evlib": evlib,
    "dv_processing": dv_processing,
}

if __name__ == "__main__":
    serve(LIBRARIES[sys.argv[1]]())
