"""Settings of the whole suite: one thread, so that numbers and times repeat on any machine."""

from __future__ import annotations

import signal

import pytest
import torch
from hypothesis import settings

# Examples repeat on every machine, and a slow one fails nothing.
settings.register_profile("suite", derandomize=True, database=None, deadline=None, max_examples=60)
settings.load_profile("suite")
pytest.register_assert_rewrite("helpers", "helpers_reference")


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def ctrl_c_is_heard() -> None:
    """A suite started in the background inherits an ignored SIGINT, and so would what it starts."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes stay out of names: gzip writes the time, and parallel workers compare names."""
    return argname if isinstance(val, bytes | bytearray | memoryview) else None
