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

from SAMedLib.model.cpu_attention import attend_head_by_head, is_for_one_head_at_a_time
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
        height, width = x.shape[1:3]
        qkv = self.qkv(x)
        if self.window_size:
            qkv, padded = self._to_windows(qkv)
        out = self._attend(qkv)
        if self.window_size:
            out = _from_windows(out, self.window_size, padded, (height, width))
        return self.proj(out)

    def _attend(self, qkv: Tensor) -> Tensor:
        """[N, S, S, 3C] -> [N, S, S, C], every token to every token of its window."""
        n, side, _, width = qkv.shape
        tokens, heads, dim = side * side, self.num_heads, self.head_dim
        q, k, v = qkv.view(n, tokens, 3, heads, dim).permute(2, 0, 3, 1, 4).unbind(0)  # each [N, heads, tokens, dim]
        rows, columns = self._relative_positions(q.view(n, heads, side, side, dim))
        q = torch.cat([q * dim**-0.5, rows.flatten(2, 3), columns.flatten(2, 3)], dim=-1)
        k = torch.cat([k, grid_one_hot(side, k).expand(n, heads, -1, -1)], dim=-1)
        out = _softmax_attention(q, k, v)
        return out.transpose(1, 2).reshape(n, side, side, width // 3)

    def _relative_positions(self, q: Tensor) -> tuple[Tensor, Tensor]:
        """Bias of every query towards every key row and every key column, each [N, heads, S, S, S]."""
        table_h, table_w = (table.to(q.dtype) for table in self.tables())
        rows = torch.matmul(q, table_h.transpose(1, 2))  # a matrix for each query row
        columns = torch.matmul(q.transpose(2, 3), table_w.transpose(1, 2)).transpose(2, 3)
        return rows, columns

    def tables(self) -> tuple[Tensor, Tensor]:
        """What rows [query row, key row, dim] and columns of a query and a key add to their score, times the query."""
        index = torch.arange(self.side, device=self.rel_pos_h.device)
        distance = index[:, None] - index[None, :] + self.side - 1
        return self.rel_pos_h[distance], self.rel_pos_w[distance]

    def _to_windows(self, qkv: Tensor) -> tuple[Tensor, int]:
        """[B, H, W, 3C] -> [B * windows, S, S, 3C] and the padded side."""
        batch, height, width, channels = qkv.shape
        size = self.window_size
        padded = -(-height // size) * size
        if padded != height:
            filled = self.qkv.bias.to(qkv.dtype).expand(batch, padded, padded, channels).clone()
            filled[:, :height, :width] = qkv
            qkv = filled
        count = padded // size
        windows = qkv.view(batch, count, size, count, size, channels).transpose(2, 3)
        return windows.reshape(-1, size, size, channels), padded


def _softmax_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """softmax(q k^T) v for [..., tokens, dim] operands, v narrower than q and k."""
    if is_for_one_head_at_a_time(q, k.shape[-2]):
        return attend_head_by_head(q, k, v)
    if q.is_cpu and (q.requires_grad or q.dtype != torch.float32):
        # on a CPU the fused kernel is slower here: 0.27 against 0.19 s a training step of the embedded model
        return torch.softmax(q @ k.transpose(-2, -1), dim=-1) @ v
    # the flash kernels want equal widths
    padded = F.pad(v, (0, q.shape[-1] - v.shape[-1]))
    return F.scaled_dot_product_attention(q, k, padded, scale=1.0)[..., : v.shape[-1]]


def _from_windows(windows: Tensor, size: int, padded: int, original: tuple[int, int]) -> Tensor:
    count = padded // size
    grid = windows.view(-1, count, count, size, size, windows.shape[-1]).transpose(2, 3)
    return grid.reshape(-1, padded, padded, windows.shape[-1])[:, : original[0], : original[1]]


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
