"""The panel behind SAMedSlicer.py: one class per file, everything it needs handed in."""
