"""Low-rank adapters on linear layers (LoRA, arXiv 2106.09685), as SAMed uses them.

W x becomes W x + B (A x): no scaling factor (alpha = rank), no bias, no dropout. A starts kaiming-uniform, B at zero.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from SAMedLib.model.config import SAMedConfig
from SAMedLib.model.cpu_linear import Linear
from SAMedLib.model.sam import ImageEncoder
from SAMedLib.model.segment_anything_modeling import MaskDecoder


class LoRALinear(Linear):
    """A frozen linear layer with low-rank updates on slices of its outputs.

    One class serves SAM's fused qkv projection (an adapter on the q slice, one on the v slice) and the separate
    projections of the mask decoder. `weight` and `bias` keep their names, so SAM's state dict still fits.

    Attributes:
        a, b: adapters by target name; a[t] is [rank, in], b[t] is [size of the slice, rank].
        merged: whether `weight` holds W + B A at present.
    """

    def __init__(self, linear: nn.Linear, slices: dict[str, slice], rank: int) -> None:
        super().__init__(linear.in_features, linear.out_features, bias=linear.bias is not None, device="meta")
        self.weight, self.bias = linear.weight, linear.bias
        self.slices = slices
        like = {"dtype": linear.weight.dtype, "device": linear.weight.device}
        self.a = nn.ParameterDict({t: nn.Parameter(torch.empty(rank, self.in_features, **like)) for t in slices})
        self.b = nn.ParameterDict(
            {t: nn.Parameter(torch.zeros(s.stop - s.start, rank, **like)) for t, s in slices.items()}
        )
        for a in self.a.values():
            nn.init.kaiming_uniform_(a, a=math.sqrt(5))
        self._unmerged_weight: Tensor | None = None

    @property
    def merged(self) -> bool:
        return self._unmerged_weight is not None

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        if self.merged:
            return y
        # all targets in one sum: added slice by slice in place, autograd would copy all of y for each
        a = torch.cat([self.a[target] for target in self.slices])
        b = torch.cat([self._over_all_outputs(target) for target in self.slices], dim=1)
        return y + F.linear(F.linear(x, a), b)

    def _over_all_outputs(self, target: str) -> Tensor:
        """B of a target with zeros for the outputs that it does not reach, [out, rank]."""
        s = self.slices[target]
        return F.pad(self.b[target], (0, 0, s.start, self.out_features - s.stop))

    @torch.no_grad()
    def merge(self) -> None:
        """Add B A to the weight."""
        if not self.merged:
            self._unmerged_weight, self.weight.data = self.weight.data, self.merged_weight()

    @torch.no_grad()
    def merged_weight(self) -> Tensor:
        """W + B A as a new tensor, computed in float64 (on the CPU: Apple's GPUs have none)."""
        merged = self.weight.detach().clone()
        if not self.merged:
            for target, s in self.slices.items():
                product = self.b[target].cpu().double() @ self.a[target].cpu().double()
                merged[s] = (merged[s].cpu().double() + product).to(merged)
        return merged

    @torch.no_grad()
    def unmerge(self) -> None:
        """Put the weight back exactly as it was before merge()."""
        if self.merged:
            self.weight.data = self._unmerged_weight.to(self.weight)
            self._unmerged_weight = None


def add_encoder_lora(encoder: ImageEncoder, config: SAMedConfig) -> None:
    """Replace the projections of every block that `config.lora_targets` names."""
    for block in encoder.blocks:
        add_attention_lora(block.attn, config.lora_targets, config.rank)


def add_attention_lora(attention: nn.Module, targets: Sequence[str], rank: int, output: str = "proj") -> None:
    """Replace the fused projection `qkv` and the one called `output`, as far as the targets name them."""
    dim = attention.qkv.in_features
    fused = {t: slice(i * dim, (i + 1) * dim) for i, t in enumerate("qkv") if t in targets}
    if fused:
        attention.qkv = LoRALinear(attention.qkv, fused, rank)
    if "o" in targets:
        setattr(attention, output, LoRALinear(getattr(attention, output), {"o": slice(0, dim)}, rank))


def add_decoder_lora(decoder: MaskDecoder, config: SAMedConfig) -> None:
    """SAMed_s: LoRA on q and v of every attention of the two-way transformer."""
    for _, attention in decoder_attentions(decoder):
        for target in ("q", "v"):
            linear = getattr(attention, f"{target}_proj")
            adapted = LoRALinear(linear, {target: slice(0, linear.out_features)}, config.rank)
            setattr(attention, f"{target}_proj", adapted)


def decoder_attentions(decoder: MaskDecoder) -> list[tuple[str, nn.Module]]:
    """The decoder's attentions with the prefix that published SAMed_s files give each; layer order within a prefix."""
    layers = decoder.transformer.layers
    return [
        *(("sa", layer.self_attn) for layer in layers),
        *(("cti", layer.cross_attn_token_to_image) for layer in layers),
        *(("cit", layer.cross_attn_image_to_token) for layer in layers),
        ("fati", decoder.transformer.final_attn_token_to_image),
    ]
