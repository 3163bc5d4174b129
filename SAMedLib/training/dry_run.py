"""What a training step would take, without taking it."""

from __future__ import annotations

import torch
from torch import Tensor

from SAMedLib.model.build import build_network
from SAMedLib.model.networks import NetworkConfig
from SAMedLib.training.losses import samed_loss


def saved_for_backward(config: NetworkConfig) -> int:
    """Bytes that autograd keeps between the forward and the backward pass of one slice in float32, weights apart.

    Runs on PyTorch's meta device, where tensors have a shape but no numbers; global random numbers stay as they are.
    """
    kept: dict[int, tuple[torch.UntypedStorage, int]] = {}
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        model = build_network(config)
        own = {tensor.untyped_storage()._cdata for tensor in (*model.parameters(), *model.buffers())}

        def keep(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            if storage._cdata not in own:
                kept[storage._cdata] = storage, storage.nbytes()  # held, so that its address is not used again
            return tensor

        size, logits_size = config.image_size, config.logits_size
        images, labels = torch.zeros(1, 1, size, size), torch.zeros(1, logits_size, logits_size, dtype=torch.long)
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = samed_loss(model.low_res_logits(images), labels)  # noqa: F841 (its graph holds what is kept)
    return sum(size for _, size in kept.values())
