"""SAM's encoder attention with decomposed relative positions, on fused kernels and without computing padding.

Same numbers as segment_anything/modeling/image_encoder.py to float32 rounding. Two identities carry it:

* The bias of query i towards key j is rel_h(q_i)[row of j] + rel_w(q_i)[column of j]. It equals extra dot-product
  dimensions: q' = [q * scale, rel_h(q), rel_w(q)], k' = [k, onehot(row), onehot(column)]. So softmax(q' k'^T) v is
  plain attention, and no N x N bias exists, forward or backward.
* SAM pads a window after the layer norm with zeros, and a zero token projects to the bias of the projection. So only
  real tokens go through the qkv projection, and padding is filled with that bias; padded tokens still take part in
  the softmax as keys, which the published results depend on.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from SAMedLib.model.cpu_attention import attend_in_parts, is_for_parts
from SAMedLib.model.cpu_linear import Linear


class RelativePositionAttention(nn.Module):
    """Multi-head self-attention over a token grid, global or within windows.

    Args:
        dim: token width.
        num_heads: heads; they divide `dim`.
        grid: tokens along one side of the image.
        window_size: tokens along one side of a window, 0 for attention over the whole grid.
    """

    def __init__(self, dim: int, num_heads: int, grid: int, window_size: int = 0) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.head_dim = dim // num_heads
        self.window_size = window_size
        self.side = window_size or grid
        self.qkv = Linear(dim, 3 * dim)
        self.proj = Linear(dim, dim)
        self.rel_pos_h = nn.Parameter(torch.zeros(2 * self.side - 1, self.head_dim))
        self.rel_pos_w = nn.Parameter(torch.zeros(2 * self.side - 1, self.head_dim))

    def forward(self, x: Tensor) -> Tensor:
        """[B, H, W, C] normalised tokens -> [B, H, W, C]."""
        qkv = self.qkv(x)
        if not self.window_size:
            out = self._attend(qkv)
        elif x.is_cpu:
            out = self._attend_in_bands(qkv)
        else:  # in one piece: a GPU minds launches more than padded queries
            out = self._attend_in_windows(self._padded(qkv))[:, : x.shape[1], : x.shape[2]]
        return self.proj(out)

    def _attend_in_bands(self, qkv: Tensor) -> Tensor:
        """[B, H, W, 3C] -> [B, H, W, C]; windows of the same real size together, so that no query is padded."""
        bands = [_bands(length, self.side) for length in qkv.shape[1:3]]
        parts = [[self._attend_in_windows(qkv[:, rows, columns]) for columns in bands[1]] for rows in bands[0]]
        return torch.cat([torch.cat(row, dim=2) for row in parts], dim=1)

    def _attend_in_windows(self, qkv: Tensor) -> Tensor:
        """[B, H, W, 3C] -> [B, H, W, C]; H and W are those of one window, or whole multiples of its side."""
        batch, height, width, _ = qkv.shape
        rows, columns = min(height, self.side), min(width, self.side)
        windows = qkv.unflatten(2, (-1, columns)).unflatten(1, (-1, rows)).transpose(2, 3)
        out = self._attend(windows.flatten(0, 2)).unflatten(0, windows.shape[:3])
        return out.transpose(2, 3).reshape(batch, height, width, -1)

    def _attend(self, qkv: Tensor) -> Tensor:
        """[N, rows, columns, 3C] -> [N, rows, columns, C], every token to all of its window, padded to S x S."""
        n, rows, columns, width = qkv.shape
        side, heads, dim = self.side, self.num_heads, self.head_dim
        q, k, v = qkv.reshape(n, rows, columns, 3, heads, dim).permute(3, 0, 4, 1, 2, 5).unbind(0)
        by_row, by_column = self._relative_positions(q)
        q = torch.cat([q * dim**-0.5, by_row, by_column], dim=-1).flatten(2, 3)
        if (rows, columns) != (side, side):
            _, of_k, of_v = self.qkv.bias.to(qkv.dtype).view(3, heads, 1, 1, dim).unbind(0)
            k, v = _filled_up(k, of_k, side), _filled_up(v, of_v, side)
        k = torch.cat([k.flatten(2, 3), grid_one_hot(side, k).expand(n, heads, -1, -1)], dim=-1)
        out = _softmax_attention(q, k, v.flatten(2, 3))
        return out.transpose(1, 2).reshape(n, rows, columns, width // 3)

    def _relative_positions(self, q: Tensor) -> tuple[Tensor, Tensor]:
        """[N, heads, rows, columns, dim] -> bias towards every key row, and column: [N, heads, rows, columns, S]."""
        table_h, table_w = (table.to(q.dtype) for table in self.tables())
        rows, columns = q.shape[2:4]
        by_row = torch.matmul(q, table_h[:rows].transpose(1, 2))  # a matrix for each query row
        by_column = torch.matmul(q.transpose(2, 3), table_w[:columns].transpose(1, 2)).transpose(2, 3)
        return by_row, by_column

    def tables(self) -> tuple[Tensor, Tensor]:
        """What rows [query row, key row, dim] and columns of a query and a key add to their score, times the query."""
        index = torch.arange(self.side, device=self.rel_pos_h.device)
        distance = index[:, None] - index[None, :] + self.side - 1
        return self.rel_pos_h[distance], self.rel_pos_w[distance]

    def _padded(self, qkv: Tensor) -> Tensor:
        """[B, H, W, 3C] with what padded tokens project to, up to whole windows."""
        batch, height, width, channels = qkv.shape
        size = self.window_size
        down, right = -(-height // size) * size, -(-width // size) * size
        if (down, right) == (height, width):
            return qkv
        filled = self.qkv.bias.to(qkv.dtype).expand(batch, down, right, channels).clone()
        filled[:, :height, :width] = qkv
        return filled


def _bands(length: int, side: int) -> list[slice]:
    """The whole windows of a side of the image, and what is left of it."""
    whole = length // side * side
    return [band for band in (slice(0, whole), slice(whole, length)) if band.start < band.stop]


def _filled_up(real: Tensor, pad: Tensor, side: int) -> Tensor:
    """[N, heads, rows, columns, dim] -> [N, heads, S, S, dim] with pad [heads, 1, 1, dim] in all other places."""
    filled = pad.expand(*real.shape[:2], side, side, -1).clone()
    filled[:, :, : real.shape[2], : real.shape[3]] = real
    return filled


def _softmax_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """softmax(q k^T) v for [..., tokens, dim] operands, v narrower than q and k."""
    if is_for_parts(q):
        return attend_in_parts(q, k, v)
    # the flash kernels want equal widths
    padded = F.pad(v, (0, q.shape[-1] - v.shape[-1]))
    return F.scaled_dot_product_attention(q, k, padded, scale=1.0)[..., : v.shape[-1]]


def grid_one_hot(side: int, like: Tensor) -> Tensor:
    """[S * S, 2 S]: which row and which column each token of a square grid is in."""
    eye = torch.eye(side, device=like.device).to(like.dtype)  # PyTorch 2.2 makes none of bfloat16 itself
    rows = eye[:, None].expand(side, side, side)
    columns = eye[None].expand(side, side, side)
    return torch.cat([rows, columns], dim=-1).view(side * side, 2 * side)


class MLP(nn.Module):
    """Two layers with GELU between them; parameter names are SAM's."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.lin1, self.lin2 = Linear(dim, hidden), Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.lin2(F.gelu(self.lin1(x)))


class EncoderBlock(nn.Module):
    """One transformer block of SAM's encoder; parameter names are SAM's."""

    def __init__(self, dim: int, num_heads: int, grid: int, window_size: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = RelativePositionAttention(dim, num_heads, grid, window_size)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = MLP(dim, 4 * dim)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))
