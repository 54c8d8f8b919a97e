"""Make the environment of other people's readers, against which the tests hold the package's own.

    python scripts/make_oracles.py ~/oracles
    LOCALSPIKE_ORACLES=~/oracles/bin/python pytest tests/data/formats/test_oracles.py

Nothing of it is ever imported by the package or put into its own environment: tonic, which is under
the GPL, and the others run in processes of their own. benchmarks/formats.py uses it too.
"""

from __future__ import annotations

import argparse
import subprocess
import venv
from pathlib import Path

LIBRARIES = ("expelliarmus", "dv-processing", "evlib", "aedat", "h5py", "tonic", "torch")
"""torch is what tonic imports without saying so."""


def main() -> None:
    """Make the environment and say what it holds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where to make the environment")
    parser.add_argument("--libraries", nargs="+", default=LIBRARIES, help="what to install")
    given = parser.parse_args()
    venv.create(given.folder, with_pip=True)
    python = str(given.folder / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "--quiet", *given.libraries], check=True)
    subprocess.run([python, "-m", "pip", "list"], check=True)
    print(f"export LOCALSPIKE_ORACLES={given.folder.absolute() / 'bin' / 'python'}")


if __name__ == "__main__":
    main()
