"""SAM's image encoder prepared for inference on a CPU: same numbers, about half the time.

Against the module that is trained, it
* has its weights packed once for oneDNN's matrix products, LoRA merged, the scale of attention folded in,
* computes padded window tokens neither as queries nor through any linear layer: they are keys only, all alike,
* attends in parts, whose maps stay in the cache (`model/cpu_attention.py`),
* in float32 and int8 goes slice by slice and through the MLP in runs of tokens, whose hidden layer stays in the cache,
* in bfloat16 multiplies in bfloat16 but keeps the residual stream and layer norms in float32,
* in int8 multiplies weights in int8 and attends in bfloat16, or in float32 where the CPU has no bfloat16.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from SAMedLib.inference.packed_linear import multiplies, pack
from SAMedLib.model import Network, SAMed
from SAMedLib.model.attention import EncoderBlock, RelativePositionAttention, grid_one_hot
from SAMedLib.model.cpu_attention import attend_in_parts
from SAMedLib.model.lora import LoRALinear
from SAMedLib.model.sam import ImageEncoder

_TOKENS = 512  # of the MLP at a time, so that its hidden layer stays in the cache


def prepare_for_cpu(model: Network, dtype: torch.dtype, batch_size: int = 1, in_place: bool = False) -> Network | None:
    """A model that shares `model`'s weights but for an encoder as fast as this CPU allows.

    The encoder's weights are copied as they are now, merged or not.

    Args:
        dtype: what linear layers multiply in: float32, bfloat16 or int8.
        batch_size: how many slices will usually come at once; other numbers work too.
        in_place: `model` itself gets that encoder, block after block, so that its weights are never held twice; it can
            then be neither trained nor saved. Otherwise it is not changed.

    Returns:
        None where there is nothing to gain: another network than SAMed, or a PyTorch without oneDNN.
    """
    if not isinstance(model, SAMed) or not multiplies(dtype):
        return None
    prepared = model
    if not in_place:
        prepared = copy.copy(model)
        prepared._modules = dict(model._modules)
    prepared.image_encoder = CPUEncoder(model.image_encoder, dtype, batch_size, in_place)
    return prepared


@dataclass(frozen=True)
class Windows:
    """Windows with equally many real tokens: `count` of `rows` x `columns`; each attends to `side` x `side` keys."""

    count: int
    rows: int
    columns: int
    side: int


def _arrange(grid: int, size: int) -> tuple[list[Windows], Tensor]:
    """Windows of a token grid by their real size, and the grid's tokens in the order of these windows."""
    tokens = torch.arange(grid * grid).view(grid, grid)
    by_size: dict[tuple[int, int], list[Tensor]] = {}
    for row in range(0, grid, size):
        for column in range(0, grid, size):
            window = tokens[row : row + size, column : column + size]
            by_size.setdefault((window.shape[0], window.shape[1]), []).append(window.flatten())
    windows = [Windows(len(found), *shape, size) for shape, found in by_size.items()]
    return windows, torch.cat([window for found in by_size.values() for window in found])


class CPUEncoder(nn.Module):
    """ImageEncoder, for inference on a CPU. Keeps nothing between calls, so threads can share it.

    Args:
        encoder: what it is made from; with `empty` it has no blocks afterwards.
    """

    def __init__(self, encoder: ImageEncoder, dtype: torch.dtype, batch_size: int, empty: bool = False) -> None:
        super().__init__()
        self.embed, self.neck = encoder.embed, encoder.neck
        self.pos_embed = encoder.pos_embed.detach().flatten(1, 2)
        self.grid = grid = encoder.pos_embed.shape[1]
        blocks = list(encoder.blocks)
        if empty:
            encoder.blocks = nn.ModuleList()
        size = max(block.attn.window_size for block in blocks)  # they have the same, or 0
        windows, self.order = _arrange(grid, size or grid)
        self.original_order = torch.argsort(self.order)
        whole, tokens = [Windows(1, grid, grid, grid)], grid**2
        self.steps = []
        blocks.reverse()
        while blocks:  # a block's own weights go before the next one's are packed
            block = blocks.pop()
            reach = windows if block.attn.window_size else whole
            self.steps.append(PackedBlock(block, reach, tokens, batch_size, dtype))

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """[B, 1 or 3, S, S] -> embeddings [B, decoder width, S/16, S/16]."""
        x = (self.embed(images).flatten(1, 2) + self.pos_embed).contiguous()
        by_window = False  # the order of tokens at present; only attention minds it
        for block in self.steps:
            if block.by_window != by_window:
                x = x[:, self.order if block.by_window else self.original_order]
                by_window = block.by_window
            block(x)
        if by_window:
            x = x[:, self.original_order]
        return self.neck(x.transpose(1, 2).unflatten(2, (self.grid, self.grid)))


class PackedBlock:
    """One transformer block, in place on float32 tokens.

    Attributes:
        by_window: whether tokens have to come in the order of the windows, rather than of the grid.
    """

    def __init__(
        self, block: EncoderBlock, windows: list[Windows], tokens: int, batch_size: int, dtype: torch.dtype
    ) -> None:
        self.by_window = bool(block.attn.window_size)
        self.norm1, self.norm2 = block.norm1, block.norm2
        self.of_norm = torch.float32 if dtype == torch.int8 else dtype
        self.in_runs = dtype != torch.bfloat16  # its products are slower with fewer rows than they gain
        self.attention = PackedAttention(block.attn, windows, tokens * (1 if self.in_runs else batch_size), dtype)
        lin1, lin2 = block.mlp.lin1, block.mlp.lin2
        rows = _TOKENS if self.in_runs else tokens * batch_size
        self.lin1 = pack(lin1.weight.detach(), lin1.bias.detach(), rows, dtype, gelu=True)
        self.lin2 = pack(lin2.weight.detach(), lin2.bias.detach(), rows, dtype, by_token=True)

    def __call__(self, x: Tensor) -> None:
        """[B, N, C], contiguous, changed in place."""
        for part in x.split(1 if self.in_runs else len(x)):
            part += self.attention(self.norm1(part).to(self.of_norm))
        tokens = x.view(-1, x.shape[-1])
        for part in tokens.split(_TOKENS if self.in_runs else len(tokens)):
            part += self.lin2(self.lin1(self.norm2(part).to(self.of_norm)))


class PackedAttention:
    """RelativePositionAttention on tokens in the order of the windows."""

    def __init__(
        self, attention: RelativePositionAttention, windows: list[Windows], rows: int, dtype: torch.dtype
    ) -> None:
        self.heads, self.dim, self.windows = attention.num_heads, attention.head_dim, windows
        width, scale = self.heads * self.dim, self.dim**-0.5
        weight, bias = _merged(attention.qkv), attention.qkv.bias.detach().clone()
        weight[:width] *= scale
        bias[:width] *= scale
        self.qkv = pack(weight, bias, rows, dtype)
        self.proj = pack(_merged(attention.proj), attention.proj.bias.detach(), rows, dtype, by_token=True)
        self.dtype = dtype
        if dtype == torch.int8:
            self.dtype = torch.bfloat16 if multiplies(torch.bfloat16) else torch.float32
        self.table_h, self.table_w = ((table.detach() / scale).to(self.dtype) for table in attention.tables())
        # a padded token is zero after the layer norm, so its key and value are the projection's bias
        _, self.pad_key, self.pad_value = bias.to(self.dtype).view(3, self.heads, 1, 1, self.dim).unbind(0)

    def __call__(self, x: Tensor) -> Tensor:
        """[B, N, C] -> [B, N, C]."""
        batch, tokens, _ = x.shape
        qkv = self.qkv(x).to(self.dtype).view(batch, tokens, 3, self.heads, self.dim)
        out = torch.empty(batch, tokens, self.heads, self.dim, dtype=self.dtype)
        start = 0
        for windows in self.windows:
            end = start + windows.count * windows.rows * windows.columns
            part = qkv[:, start:end].unflatten(1, (windows.count, -1))
            attended = self._attend(part.permute(3, 0, 1, 4, 2, 5), windows)
            out[:, start:end].unflatten(1, (windows.count, -1)).copy_(attended.transpose(2, 3))
            start = end
        return self.proj(out.flatten(2))

    def _attend(self, qkv: Tensor, windows: Windows) -> Tensor:
        """[3, B, windows, heads, tokens, dim] -> [B, windows, heads, tokens, dim]."""
        q, k, v = self._queries(qkv[0], windows), self._keys(qkv[1], windows), self._values(qkv[2], windows)
        return attend_in_parts(q, k, v).view(qkv.shape[1:])

    def _queries(self, q: Tensor, windows: Windows) -> Tensor:
        """[B, windows, heads, tokens, dim] -> [B * windows * heads, tokens, dim + 2 * side]."""
        rows, columns, side = windows.rows, windows.columns, windows.side
        extended = q.new_empty(q.shape[:3].numel(), rows, columns, self.dim + 2 * side)
        own, by_row, by_column = extended.split([self.dim, side, side], dim=-1)
        own.unflatten(0, q.shape[:3]).copy_(q.unflatten(3, (rows, columns)))
        by_row.copy_(own @ self.table_h[:rows].transpose(1, 2))
        by_column.transpose(1, 2).copy_(own.transpose(1, 2) @ self.table_w[:columns].transpose(1, 2))
        return extended.flatten(1, 2)

    def _keys(self, k: Tensor, windows: Windows) -> Tensor:
        """[B, windows, heads, tokens, dim] -> [B * windows * heads, side * side, dim + 2 * side], padding filled in."""
        extended = k.new_empty(k.shape[:3].numel(), windows.side**2, self.dim + 2 * windows.side)
        extended[..., self.dim :] = grid_one_hot(windows.side, k)
        _fill(extended[..., : self.dim], k, windows, self.pad_key)
        return extended

    def _values(self, v: Tensor, windows: Windows) -> Tensor:
        """[B, windows, heads, tokens, dim] -> [B * windows * heads, side * side, dim], padding filled in."""
        filled = v.new_empty(v.shape[:3].numel(), windows.side**2, self.dim)
        _fill(filled, v, windows, self.pad_value)
        return filled


def _fill(windowful: Tensor, real: Tensor, windows: Windows, pad: Tensor) -> None:
    """Real tokens [B, windows, heads, tokens, dim] and [heads, 1, 1, dim] in all other places, in place."""
    rows, columns, side = windows.rows, windows.columns, windows.side
    grid = windowful.unflatten(0, real.shape[:3]).unflatten(3, (side, side))
    if (rows, columns) != (side, side):
        grid.copy_(pad)
    grid[..., :rows, :columns, :] = real.unflatten(3, (rows, columns))


def _merged(linear: nn.Linear) -> Tensor:
    """The weight with LoRA in it, as a copy; the layer stays as it is."""
    if isinstance(linear, LoRALinear):
        return linear.merged_weight()
    return linear.weight.detach().clone()
