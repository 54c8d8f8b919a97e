"""The keyword spotter that adapts: the same on an emulated Cortex-M4F as here, in 256 KB of RAM."""

from __future__ import annotations

import importlib
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from helpers_export import needs_compiler
from localspike.cli import main
from localspike.recipes.exporting import export_c

EXAMPLE = Path(__file__).parents[2] / "examples" / "keyword_spotter"


@pytest.fixture(scope="module")
def adapting() -> ModuleType:
    sys.path.insert(0, str(EXAMPLE))
    try:
        return importlib.import_module("adapting")
    finally:
        sys.path.remove(str(EXAMPLE))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A briefly trained net of the recipe's own size as C."""
    folder = tmp_path_factory.mktemp("spotter")
    settings = ["epochs=2", "data.limit=400", "training.device=cpu"]
    assert main(["train", "keywords-tess", *settings, "--out", str(folder / "run")]) == 0
    export_c(folder / "run", folder / "c", say=lambda _: None)
    return folder / "c"


def test_learns_on_the_device_what_it_learns_here(adapting: ModuleType, exported: Path) -> None:
    """Clips understood before and after, to the clip; what stays still when nothing is learnt."""
    needs_compiler()
    speakers = list(adapting.speakers_of("val", 30))[:2]
    assert len(speakers) == 2 and all(len(s.words) >= 30 for s in speakers)
    few = [replace(s, frames=s.frames[:12], words=s.words[:12]) for s in speakers]
    knobs = adapting.Knobs(rate=1e-3, passes=2)
    here = adapting.adapt(exported, few, knobs, "host")
    still = adapting.adapt(exported, few, replace(knobs, rate=0.0), "host")
    assert [x.clips for x in here] == [12, 12]
    assert all(x.before == x.after for x in still)
    assert [x.before for x in still] == [x.before for x in here]
    assert any(x.before != x.after for x in here)
    if shutil.which("arm-none-eabi-gcc") is None or shutil.which("qemu-system-arm") is None:
        pytest.skip("arm-none-eabi-gcc or qemu-system-arm not installed")
    assert adapting.adapt(exported, few, knobs, "cortex-m4") == here


def test_too_little_ram_is_an_error_at_link_time(
    adapting: ModuleType, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("arm-none-eabi-gcc not installed")
    monkeypatch.setattr(adapting, "RAM", 0x30000)
    few = [
        replace(s, frames=s.frames[:2], words=s.words[:2]) for s in adapting.speakers_of("val", 40)
    ]
    with pytest.raises(RuntimeError, match="overflow"):
        adapting.adapt(exported, few, adapting.Knobs(), "cortex-m4")


def test_folds_spread_every_word(adapting: ModuleType) -> None:
    for speaker in adapting.speakers_of("test", 30):
        fold = speaker.fold_of(5)
        for word in set(speaker.words.tolist()):
            own = [k for k, w in zip(fold, speaker.words.tolist(), strict=True) if w == word]
            assert max(map(own.count, own)) - min(own.count(k) for k in range(5)) <= 1
