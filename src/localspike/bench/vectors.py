"""TESS beside recorded vectors of the rule's authors, where LOCALSPIKE_VECTORS names a folder.

The naive baseline is compared with this package's gradient before it is timed, so that what holds
for the one holds for the other.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ..errors import ConfigError, NumericalError
from ..verify.compare import verify_file
from ..verify.vectors import Vectors

VARIABLE = "LOCALSPIKE_VECTORS"


def verified() -> dict[str, Any] | None:
    """Which files agreed, on all schedules; None where no folder is named.

    Raises
    ------
    ConfigError
        If the folder named has no vectors of TESS.
    NumericalError
        If one differs: nothing is timed then.
    """
    folder = os.environ.get(VARIABLE)
    if not folder:
        return None
    files = sorted(Path(folder).glob("tess_*.npz"))
    if not files:
        raise ConfigError(f"no recorded vectors of TESS in {folder}", fix=f"Unset {VARIABLE}")
    for file in files:
        if not all(report.ok for report in verify_file(Vectors(file))):
            raise NumericalError(
                f"TESS differs from {file}", fix=f"Look at it with: localspike verify {file}"
            )
    return {"files": [file.name for file in files]}
