"""Run in the oracles' own environment: reads each file with a library of others, saves columns.

PYTHON helpers_foreign_readers.py LIBRARY FILE OUT.npy          (columns t, x, y, p of int64)
PYTHON helpers_foreign_readers.py write LIBRARY FILE IN.npy     (the other way round)
"""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

Columns = tuple[Any, Any, Any, Any]


def expelliarmus(kind: str, path: str) -> Columns:
    """DAT, EVT2 and EVT3."""
    from expelliarmus import Wizard

    found = Wizard(encoding=kind).read(path)
    return found["t"], found["x"], found["y"], found["p"]


def evlib(path: str) -> Columns:
    """EVT2 and EVT3, with its own decoders in Rust."""
    import evlib

    found = evlib.load_events(path).collect()
    t = found["t"].dt.total_microseconds().to_numpy()
    return t, found["x"].to_numpy(), found["y"].to_numpy(), found["polarity"].to_numpy() > 0


def aedat(path: str) -> Columns:
    """AEDAT 4.0, with its own decoder in Rust, which tonic uses."""
    import aedat

    parts = [packet["events"] for packet in aedat.Decoder(path) if "events" in packet]
    found = np.concatenate(parts)
    return found["t"], found["x"], found["y"], found["on"]


def dv_processing(path: str) -> Columns:
    """AEDAT 4.0, by its makers."""
    import dv_processing

    recording, parts = dv_processing.io.MonoCameraRecording(path), []
    while recording.isRunning():
        batch = recording.getNextEventBatch()
        if batch is not None:
            parts.append(batch.numpy())
    found = np.concatenate(parts)
    return found["timestamp"], found["x"], found["y"], found["polarity"]


def tonic_aedat2(path: str) -> Columns:
    """AEDAT 2.0 of a DAVIS346, which tonic turns by 180°."""
    import tonic.io

    _, _, found = tonic.io.read_davis_346(path)
    return found["t"], 345 - found["x"], 259 - found["y"], found["p"]


def tonic_dvs128(path: str) -> Columns:
    """AEDAT 2.0 of a DVS128: tonic's own reader of words; it calls y what the chip calls x."""
    import tonic.io

    version, start, _ = tonic.io.read_aedat_header_from_file(path)
    raw = tonic.io.get_aer_events_from_file(path, version, start)
    word = raw["address"]
    return raw["timeStamp"], (word >> 1) & 0x7F, (word >> 8) & 0x7F, word & 1


def tonic_aedat3(path: str) -> Columns:
    """AEDAT 3.1; tonic's own reader of packets, and its bits of an address."""
    import tonic.io

    version, start, _ = tonic.io.read_aedat_header_from_file(path)
    raw = tonic.io.get_aer_events_from_file(path, version, start)
    word = raw["address"]
    return raw["timeStamp"], word >> 17, (word >> 2) & 0x1FFF, (word >> 1) & 1


def tonic_nmnist(path: str) -> Columns:
    """5-byte events."""
    import tonic.io

    kind = np.dtype([(name, np.int64) for name in "xytp"])
    found = tonic.io.read_mnist_file(path, kind)
    return found["t"], found["x"], found["y"], found["p"]


def h5py_shd(path: str) -> Columns:
    """SHD, all recordings end to end."""
    import h5py

    with h5py.File(path) as file:
        t = np.concatenate([np.asarray(one, np.float64) for one in file["spikes/times"]])
        x = np.concatenate(list(file["spikes/units"]))
    return np.rint(t * 1e6), x, np.zeros(len(x)), np.zeros(len(x))


def numpy_npz(path: str) -> Columns:
    """The package's own container."""
    with np.load(path) as file:
        return file["t"], file["x"], file["y"], file["p"]


LIBRARIES: dict[str, Callable[[str], Columns]] = {
    "expelliarmus dat": lambda path: expelliarmus("dat", path),
    "expelliarmus evt2": lambda path: expelliarmus("evt2", path),
    "expelliarmus evt3": lambda path: expelliarmus("evt3", path),
    "evlib evt2": evlib,
    "evlib evt3": evlib,
    "aedat aedat4": aedat,
    "tonic dvs128": tonic_dvs128,
    "h5py shd": h5py_shd,
    "numpy npz": numpy_npz,
    "dv_processing aedat4": dv_processing,
    "tonic aedat2": tonic_aedat2,
    "tonic aedat3": tonic_aedat3,
    "tonic nmnist": tonic_nmnist,
}


def expelliarmus_write(kind: str, path: str, columns: np.ndarray) -> None:
    """DAT and EVT2."""
    from expelliarmus import Wizard

    fields = [("t", np.int64), ("x", np.int16), ("y", np.int16), ("p", np.uint8)]
    events = np.zeros(columns.shape[1], fields)
    for name, column in zip("txyp", columns, strict=True):
        events[name] = column
    Wizard(encoding=kind).save(fpath=path, arr=events)


def h5py_write(path: str, columns: np.ndarray) -> None:
    """SHD as its authors store it: single precision, two recordings here, labels."""
    import h5py

    half = columns.shape[1] // 2
    with h5py.File(path, "w") as file:
        for name, row, kind in (("times", 0, np.float32), ("units", 1, np.uint16)):
            data = file.create_dataset(f"spikes/{name}", (2,), h5py.vlen_dtype(np.dtype(kind)))
            values = columns[row] / 1e6 if name == "times" else columns[row]
            data[0], data[1] = values[:half].astype(kind), values[half:].astype(kind)
        file["labels"] = np.array([3, 4], np.uint16)


def dv_write(path: str, columns: np.ndarray) -> None:
    """AEDAT 4.0 as DV itself writes it: LZ4, a packet table, streams for everything."""
    import dv_processing as dv

    config = dv.io.MonoCameraWriter.DAVISConfig("DAVIS346_00000000", (346, 260))
    writer = dv.io.MonoCameraWriter(path, config)
    for part in np.array_split(columns, 3, axis=1):
        store = dv.EventStore()
        for t, x, y, p in part.T.tolist():
            store.push_back(t, x, y, bool(p))
        writer.writeEvents(store)


WRITERS: dict[str, Callable[[str, np.ndarray], None]] = {
    "expelliarmus dat": lambda path, columns: expelliarmus_write("dat", path, columns),
    "expelliarmus evt2": lambda path, columns: expelliarmus_write("evt2", path, columns),
    "dv_processing aedat4": dv_write,
    "h5py shd": h5py_write,
}

if __name__ == "__main__" and sys.argv[1] == "write":
    WRITERS[sys.argv[2]](sys.argv[3], np.load(sys.argv[4]))
elif __name__ == "__main__":
    columns = LIBRARIES[sys.argv[1]](sys.argv[2])
    np.save(sys.argv[3], np.stack([np.asarray(one).astype(np.int64) for one in columns]))
