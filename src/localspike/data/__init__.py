"""Data sets as time-first batches, by name: see ``names()``; events, frames and audio."""

from .augment import EventAugment, ImageAugment
from .batching import batch_count, batches, order, stream
from .caltech import ncaltech101
from .cards import CARDS, Card, Citation, File
from .check import Finding, Report, check
from .cifar import cifar10, cifar100
from .cifar10dvs import cifar10dvs
from .cochlea import FrontEnd, encode
from .commands import speech_commands
from .dataset import Batch, Dataset, StaticImages
from .digits import nmnist
from .events import EVENT, BinnedEvents, Sensor, bin_events, check_events, make_events
from .files import resolve_root
from .gestures import dvs_gesture
from .get import Got, get
from .heidelberg import shd, ssc
from .idx import read_idx
from .mnist import fashion_mnist, mnist
from .poker import pokerdvs
from .registry import Info, info, load, names
from .speech import keywords, read_keywords
from .survey import survey
from .touch import braille

__all__ = [
    "CARDS",
    "EVENT",
    "Batch",
    "BinnedEvents",
    "Card",
    "Citation",
    "Dataset",
    "EventAugment",
    "File",
    "Finding",
    "FrontEnd",
    "Got",
    "ImageAugment",
    "Info",
    "Report",
    "Sensor",
    "StaticImages",
    "batch_count",
    "batches",
    "bin_events",
    "braille",
    "check",
    "check_events",
    "cifar10",
    "cifar10dvs",
    "cifar100",
    "dvs_gesture",
    "encode",
    "fashion_mnist",
    "get",
    "info",
    "keywords",
    "load",
    "make_events",
    "mnist",
    "names",
    "ncaltech101",
    "nmnist",
    "order",
    "pokerdvs",
    "read_idx",
    "read_keywords",
    "resolve_root",
    "shd",
    "speech_commands",
    "ssc",
    "stream",
    "survey",
]
