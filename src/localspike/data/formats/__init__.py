"""Readers and writers of event files, all in NumPy: one ``read_X`` and ``write_X`` per format.

``read`` finds the format by content. Readers trust no size in a file and raise DataError for
whatever is damaged, truncated or foreign; writers refuse what their format cannot give back
exactly, and leave a whole file or none.
"""

from .aedat2 import LAYOUTS, read_aedat2, write_aedat2
from .aedat3 import read_aedat3, write_aedat3
from .aedat4 import read_aedat4, write_aedat4
from .clip import Clip, check_clip
from .dat import read_dat, write_dat
from .evt2 import read_evt2, write_evt2
from .evt3 import read_evt3, write_evt3
from .flac import read_flac, write_flac
from .nmnist import NCALTECH, NMNIST, read_nmnist, write_nmnist
from .npz import read_npz, write_npz
from .recognise import READERS, read, recognise
from .recording import Recording, check_recording
from .shd import CHANNELS, read_shd, write_shd
from .wave import read_wave, write_wave

__all__ = [
    "CHANNELS",
    "LAYOUTS",
    "NCALTECH",
    "NMNIST",
    "READERS",
    "Clip",
    "Recording",
    "check_clip",
    "check_recording",
    "read",
    "read_aedat2",
    "read_aedat3",
    "read_aedat4",
    "read_dat",
    "read_evt2",
    "read_evt3",
    "read_flac",
    "read_nmnist",
    "read_npz",
    "read_shd",
    "read_wave",
    "recognise",
    "write_aedat2",
    "write_aedat3",
    "write_aedat4",
    "write_dat",
    "write_evt2",
    "write_evt3",
    "write_flac",
    "write_nmnist",
    "write_npz",
    "write_shd",
    "write_wave",
]
