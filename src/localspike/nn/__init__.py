"""Networks: synapse × neuron × parameter-free tail, with explicit state."""

from . import models
from .fold import fold
from .layer import Activity, BlockState, Spiking, Weights
from .network import INPUT, Network, Run
from .neuron import ALIF, LIF, CubaLIF, Integrator
from .readout import Readout
from .synapse import Conv2d, Linear, Synapse
from .tail import AvgPool, Dropout, Flatten, GlobalAvgPool, MaxPool

__all__ = [
    "ALIF",
    "INPUT",
    "LIF",
    "Activity",
    "AvgPool",
    "BlockState",
    "Conv2d",
    "CubaLIF",
    "Dropout",
    "Flatten",
    "GlobalAvgPool",
    "Integrator",
    "Linear",
    "MaxPool",
    "Network",
    "Readout",
    "Run",
    "Spiking",
    "Synapse",
    "Weights",
    "fold",
    "models",
]
