"""What a process under torchrun knows of the others, and what it takes of the computer."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from SAMedLib import ranks, segment
from SAMedLib.data.phantom import make_phantom
from SAMedLib.imaging.volume import write_array
from SAMedLib.training.fabric import make_fabric

OF_TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "OMP_NUM_THREADS")


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    for name in OF_TORCHRUN:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def threads(monkeypatch):
    """Those of PyTorch, 3 at first, on a computer of six processors."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    monkeypatch.setattr(ranks, "_processors", lambda: 6)
    yield torch.get_num_threads
    torch.set_num_threads(before)


def test_a_process_of_its_own_is_the_first_and_alone():
    assert (ranks.rank(), ranks.local_rank(), ranks.world_size(), ranks.local_world_size()) == (0, 0, 1, 1)
    assert not ranks.has_partners()


def test_one_of_four_on_two_computers(monkeypatch):
    for name, value in zip(OF_TORCHRUN, ("3", "4", "1", "2", "head"), strict=False):
        monkeypatch.setenv(name, value)
    assert (ranks.rank(), ranks.local_rank(), ranks.world_size(), ranks.local_world_size()) == (3, 1, 4, 2)
    assert ranks.has_partners()


def test_processes_without_a_way_to_talk_are_no_partners(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert ranks.local_world_size() == 2
    assert not ranks.has_partners()


@pytest.mark.parametrize("value", ["", "first", "-1"])
def test_what_is_no_number_was_not_set_by_torchrun(monkeypatch, value):
    monkeypatch.setenv("RANK", value)
    monkeypatch.setenv("WORLD_SIZE", value)
    assert (ranks.rank(), ranks.world_size()) == (0, 1)


@pytest.mark.parametrize(
    ("processes", "omp", "expected"),
    [
        ("2", "1", 3),  # torchrun's own choice
        ("4", "1", 1),
        ("8", "1", 1),
        ("2", "2", 5),  # the user's: stays as it is, here 5
        ("1", "1", 5),
        (None, "1", 5),
    ],
)
def test_processes_share_the_processors_that_torchrun_leaves_unused(monkeypatch, threads, processes, omp, expected):
    torch.set_num_threads(5)
    if processes:
        monkeypatch.setenv("LOCAL_WORLD_SIZE", processes)
    monkeypatch.setenv("OMP_NUM_THREADS", omp)
    ranks.share_processors()
    assert threads() == expected


def test_threads_of_a_core_count_as_one_processor():
    count = ranks._processors()
    assert 1 <= count <= (os.cpu_count() or 1)
    if hasattr(os, "sched_getaffinity"):
        code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\nfrom SAMedLib import ranks\n"
        done = subprocess.run(
            [sys.executable, "-c", code + "print(ranks._processors())"], capture_output=True, text=True, check=True
        )
        assert done.stdout == "1\n"


def test_training_takes_its_part(monkeypatch, threads):
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    make_fabric("cpu")
    assert threads() == 2


def test_segmenting_takes_its_part(monkeypatch, threads, tmp_path):
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    phantom = make_phantom(0, in_plane=64, num_slices=1)
    write_array(tmp_path / "ct.nii.gz", phantom.volume.array, phantom.volume.geometry)
    assert segment.main([str(tmp_path / "ct.nii.gz"), "-o", str(tmp_path / "labels.nii.gz"), "--device", "cpu"]) == 0
    assert threads() == 2
