"""From CT to labels with the published test protocol, in batches on any device."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from SAMedLib.errors import SAMedError, is_out_of_memory
from SAMedLib.events import SILENT, Reporter
from SAMedLib.imaging.orientation import reorient, restore
from SAMedLib.imaging.resample import zoom_cubic, zoom_nearest
from SAMedLib.imaging.volume import Volume, window
from SAMedLib.inference.augment import average_probabilities
from SAMedLib.inference.cpu_encoder import prepare_for_cpu
from SAMedLib.inference.devices import (
    choose_device,
    choose_dtype,
    default_batch_size,
    free_memory,
)
from SAMedLib.inference.slice_order import SliceOrder
from SAMedLib.model import Network


class Segmenter:
    """A model on a device, ready to segment.

    Args:
        model: moved to the device and put into eval mode; on the CPU its weights count as they are now.
        device: "auto" (CUDA, then MPS, then the CPU) or a device's name.
        precision: "auto" (bfloat16 on GPUs that compute in it, else float32), "fp32", "bf16", or "int8" (CPU only).
        batch_size: slices at once, None for a default that suits the device. Halved when memory runs out; when a
            single slice does not fit, the work goes on on the CPU.
        tta: average over small rotations, and over mirror images if the model was trained on them (`augment.py`).
        stride: look at every so many slices first, and at others only where organs reach them; see SliceOrder.
            Slices left out have confidence 0.
        spare_memory: the model is for this segmenter alone, which may replace parts of it by faster ones. Otherwise it
            stays as it is and the CPU's encoder is a copy.

    Attributes:
        dtype: what is multiplied in.

    Raises:
        SAMedError: if the device or the precision is not available.
    """

    def __init__(
        self,
        model: Network,
        device: str = "auto",
        precision: str = "auto",
        batch_size: int | None = None,
        tta: bool = False,
        stride: int = 1,
        spare_memory: bool = False,
    ) -> None:
        if batch_size is not None and batch_size < 1:
            raise SAMedError(f"The batch size is {batch_size}; it must be at least 1.")
        if stride < 1:
            raise SAMedError(f"The stride is {stride}; it must be at least 1, which leaves no slice out.")
        self.device = choose_device(device)
        self.precision = precision
        self.dtype = choose_dtype(precision, self.device)
        self.batch_size = batch_size or default_batch_size(self.device, model.config.image_size)
        self.tta = tta
        self.stride = stride
        self._spare_memory = spare_memory
        self.model = model.to(self.device).eval()
        self._prepare()

    def predict(self, volume: np.ndarray, report: Reporter = SILENT) -> np.ndarray:
        """Labels of a windowed volume, by the published test protocol.

        Each slice is zoomed with cubic splines to the model's slice_size, then to its image_size (each only if the
        size differs); the class with the highest softmax probability is zoomed back with order 0.

        Args:
            volume: [D, H, W] in [0, 1], slices in the model's orientation.

        Returns:
            uint8 [D, H, W].

        Raises:
            SAMedError: if this is not a volume.
            Cancelled: if the user asked to stop.
        """
        return self._run(_three_axes(volume), _as_float32, report, with_confidence=False)[0]

    def predict_with_confidence(self, volume: np.ndarray, report: Reporter = SILENT) -> tuple[np.ndarray, np.ndarray]:
        """As `predict`, with the softmax probability of the chosen class as float32 [D, H, W].

        It is zoomed back with order 0 as the labels are, so it belongs to the very pixel that gave the label.
        """
        labels, confidence = self._run(_three_axes(volume), _as_float32, report, with_confidence=True)
        assert confidence is not None
        return labels, confidence

    def segment(self, volume: Volume, report: Reporter = SILENT) -> np.ndarray:
        """Labels of a CT in HU, uint8 [Z, Y, X] on its own grid, whatever its orientation."""
        return self._segment(volume, report, with_confidence=False)[0]

    def segment_with_confidence(self, volume: Volume, report: Reporter = SILENT) -> tuple[np.ndarray, np.ndarray]:
        """As `segment`, with the softmax probability of the chosen class, float32 on the same grid."""
        labels, confidence = self._segment(volume, report, with_confidence=True)
        assert confidence is not None
        return labels, confidence

    def _segment(self, volume: Volume, report: Reporter, with_confidence: bool) -> tuple[np.ndarray, np.ndarray | None]:
        metadata, direction = self.model.metadata, volume.geometry.direction
        turned = reorient(_three_axes(volume.array), direction, metadata.orientation)
        labels, confidence = self._run(turned, lambda hu: window(hu, *metadata.window), report, with_confidence)
        labels = np.ascontiguousarray(restore(labels, direction, metadata.orientation))
        if confidence is not None:
            confidence = np.ascontiguousarray(restore(confidence, direction, metadata.orientation))
        return labels, confidence

    def _run(
        self, slices: np.ndarray, prepare: Callable[[np.ndarray], np.ndarray], report: Reporter, with_confidence: bool
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Batch after batch; only the labels, and the confidence if wanted, are held for the whole volume."""
        labels = np.zeros(slices.shape, dtype=np.uint8)
        confidence = np.zeros(slices.shape, dtype=np.float32) if with_confidence else None
        order, total = SliceOrder(len(slices), self.stride), len(slices)
        report.progress("segmenting", 0, total)
        while (places := order.following(self.batch_size)).size:
            batch = np.ascontiguousarray(prepare(slices[places]))
            try:
                chosen, sureness = self._segment_batch(batch, with_confidence)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                chosen = None
            if chosen is None:  # outside the except block, where the failed tensors are no longer referred to
                self._need_less_memory(report)
                continue
            labels[places] = chosen
            if confidence is not None:
                confidence[places] = sureness
            order.note(places, chosen.any(axis=(1, 2)))
            report.progress("segmenting", order.done, total)
        if order.done < total:
            report.progress("segmenting", total, total)
        return labels, confidence

    @torch.inference_mode()
    def _segment_batch(self, batch: np.ndarray, with_confidence: bool) -> tuple[np.ndarray, np.ndarray | None]:
        """float32 [B, H, W] -> uint8 labels [B, H, W], float32 probabilities [B, H, W]."""
        config = self.model.config
        images = torch.from_numpy(batch).to(self.device)
        for size in (config.slice_size, config.image_size):
            images = zoom_cubic(images, (size, size))
        images = images[:, None]
        if self.tta:
            probabilities = average_probabilities(images, self._probabilities, mirror=self._knows_mirror_images)
        else:
            probabilities = self._probabilities(images)
        sureness, chosen = probabilities.max(dim=1)
        own_size = (batch.shape[1], batch.shape[2])
        labels = zoom_nearest(chosen.to(torch.uint8), own_size).cpu().numpy()
        return labels, zoom_nearest(sureness, own_size).cpu().numpy() if with_confidence else None

    def _probabilities(self, images: Tensor) -> Tensor:
        """[B, 1, S, S] -> softmax [B, K, S, S], float32."""
        return torch.softmax(self.model.masks(self.logits(images)), dim=1)

    def logits(self, images: Tensor) -> Tensor:
        """What the network says of images on its device, [B, 1, S, S] -> [B, K, L, L], in this segmenter's precision.

        They are float32 whatever the precision: interpolated bfloat16 logits would tie between classes.
        """
        with self.computing() as network:
            return network.low_res_logits(images).float()

    @contextlib.contextmanager
    def computing(self) -> Iterator[Network]:
        """The network that does the work, within this segmenter's precision."""
        mixed = self._prepared is None and self.dtype == torch.bfloat16
        with torch.autocast(self.device.type, self.dtype) if mixed else contextlib.nullcontext():
            yield self._prepared or self.model

    def _prepare(self) -> None:
        """Give the model a faster encoder on the CPU, where there is one.

        Raises:
            SAMedError: if only that could do what is asked for.
        """
        self._prepared = None
        if self.device.type == "cpu":
            self._prepared = prepare_for_cpu(self.model, self.dtype, self.batch_size, in_place=self._spare_memory)
        if self.dtype == torch.int8 and self._prepared is None:
            raise SAMedError(
                "int8 needs a SAMed model, a CPU with VNNI instructions and PyTorch 2.4 or newer; "
                "use --precision bf16 or fp32."
            )

    @property
    def _knows_mirror_images(self) -> bool:
        # files in the published layout carry no provenance; they were trained with the published augmentation
        training = self.model.metadata.provenance.get("training", {})
        return training.get("augmentation", "published") == "published"

    def _need_less_memory(self, report: Reporter) -> None:
        """Halve the batch; with a single slice go over to the CPU.

        Raises:
            SAMedError: if the CPU cannot hold a single slice.
        """
        free_memory(self.device)
        if self.batch_size > 1:
            self.batch_size //= 2
            report.note(f"Memory ran out on {self.device}; going on with {self.batch_size} slices at once.")
        elif self.device.type != "cpu":
            report.note(f"One slice does not fit the memory of {self.device}; going on on the CPU.")
            self.device = torch.device("cpu")
            self.dtype = choose_dtype(self.precision, self.device)
            self.model.to(self.device)
            self._prepare()
        else:
            raise SAMedError("The machine's memory does not hold a single slice; close other programs and try again.")


def _three_axes(array: np.ndarray) -> np.ndarray:
    if array.ndim != 3 or not array.size:
        raise SAMedError(f"A volume has three axes (slices, rows, columns) with voxels; this array is {array.shape}.")
    return array


def _as_float32(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32, copy=False)
