"""Crop, mirror and cutout of a whole batch of images in one pass of plain copies.

One slice copy an image is several times faster than gathering with index tensors, and gives the
same numbers.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .moves import overlap


def cropped(
    images: Tensor,
    corner: Tensor,
    mirrored: Tensor | None = None,
    hole: Tensor | None = None,
    cutout: int = 0,
) -> Tensor:
    """Images [B, C, H, W] on the CPU, each moved, mirrored left to right, and blanked in a square.

    ``corner`` [2, B] is the row and column of the image that come to lie at the top left (negative:
    zeros come in), ``mirrored`` [B] says which are mirrored after that, ``hole`` [2, B] is where a
    row and column begin of a square of ``cutout`` zeros, over the edges too.

    >>> image = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    >>> cropped(image, torch.tensor([[0], [1]])).flatten().tolist()
    [2.0, 0.0, 4.0, 0.0]
    """
    batch, _, height, width = images.shape
    given = images.detach().numpy()
    out = np.zeros(images.shape, given.dtype)
    flips = [False] * batch if mirrored is None else mirrored.tolist()
    for b, (top, left, flip) in enumerate(zip(*corner.tolist(), flips, strict=True)):
        to_y, of_y = overlap(-top, height)
        to_x, of_x = overlap(-left, width)
        seen = given[b, :, of_y, of_x]
        if flip:
            to_x, seen = slice(width - to_x.stop, width - to_x.start), seen[..., ::-1]
        out[b, :, to_y, to_x] = seen
    if hole is not None:
        for b, (row, column) in enumerate(zip(*hole.tolist(), strict=True)):
            rows = slice(max(row, 0), max(row + cutout, 0))
            out[b, :, rows, max(column, 0) : max(column + cutout, 0)] = 0
    return torch.from_numpy(out)
