"""Stand-ins for Slicer's own Python modules, imported as slicer.<name>; only what scripted modules commonly use."""
