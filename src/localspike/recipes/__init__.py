"""Runs by name: functions returning a configuration, and what carries one out."""

from __future__ import annotations

from .registry import RECIPES, recipe, summary
from .run import Result, train
from .use import evaluate_run, layers_of_run, load_run, predict_files

__all__ = [
    "RECIPES",
    "Result",
    "evaluate_run",
    "layers_of_run",
    "load_run",
    "predict_files",
    "recipe",
    "summary",
    "train",
]
