"""The `localspike` command: parse, call one function, give its exit code."""

from __future__ import annotations

from .main import main

__all__ = ["main"]
