"""Data sets as time-first batches, by name: see ``names()``; events, frames and audio."""

from . import encoders, formats, transforms
from .augment import (
    ColourAugment,
    EventAugment,
    ImageAugment,
    MaskAugment,
    SpatialAugment,
)
from .batching import batch_count, batches, order, stream
from .binning import Binned, ByCount, ByFrames, ByTime, Dropped, bin_events, bin_recording
from .bucket import bucketed, mask, padding
from .cache import CacheWarning, Note, cached, load_cached
from .cache_store import Cache
from .caltech import ncaltech101
from .cards import CARDS, Card, Citation, File
from .check import Finding, Report, check
from .chunks import chunks_of, save_chunks
from .cifar import cifar10, cifar100
from .cifar10dvs import cifar10dvs
from .cochlea import FrontEnd, encode, encode_clips
from .commands import speech_commands
from .dataset import Batch, Dataset, Frames, StaticImages
from .digits import nmnist
from .events import EVENT, BinnedEvents, Sensor, check_events, make_events
from .files import resolve_root
from .frame_stream import stream_frames
from .gestures import dvs_gesture
from .get import Got, get
from .heidelberg import shd, ssc
from .idx import read_idx
from .mnist import fashion_mnist, mnist
from .packed import PackedFrames, pack, packed, unpack
from .poker import pokerdvs
from .registry import Info, info, load, names
from .slicing import Windows, count_windows, windows
from .sparse import csr_rows, csr_steps, sparse_frames
from .speech import keywords, read_keywords
from .survey import survey
from .touch import braille

__all__ = [
    "CARDS",
    "EVENT",
    "Batch",
    "Binned",
    "BinnedEvents",
    "ByCount",
    "ByFrames",
    "ByTime",
    "Cache",
    "CacheWarning",
    "Card",
    "Citation",
    "ColourAugment",
    "Dataset",
    "Dropped",
    "EventAugment",
    "File",
    "Finding",
    "Frames",
    "FrontEnd",
    "Got",
    "ImageAugment",
    "Info",
    "MaskAugment",
    "Note",
    "PackedFrames",
    "Report",
    "Sensor",
    "SpatialAugment",
    "StaticImages",
    "Windows",
    "batch_count",
    "batches",
    "bin_events",
    "bin_recording",
    "braille",
    "bucketed",
    "cached",
    "check",
    "check_events",
    "chunks_of",
    "cifar10",
    "cifar10dvs",
    "cifar100",
    "count_windows",
    "csr_rows",
    "csr_steps",
    "dvs_gesture",
    "encode",
    "encode_clips",
    "encoders",
    "fashion_mnist",
    "formats",
    "get",
    "info",
    "keywords",
    "load",
    "load_cached",
    "make_events",
    "mask",
    "mnist",
    "names",
    "ncaltech101",
    "nmnist",
    "order",
    "pack",
    "packed",
    "padding",
    "pokerdvs",
    "read_idx",
    "read_keywords",
    "resolve_root",
    "save_chunks",
    "shd",
    "sparse_frames",
    "speech_commands",
    "ssc",
    "stream",
    "stream_frames",
    "survey",
    "transforms",
    "unpack",
    "windows",
]
