"""The workbench in the browser: `samed web`, which needs the extra `web`.

The only part of SAMedLib that stands on Slicer's classes. What leads the work is the 3D Slicer module's own
(SAMedSlicerLib); here are the page, the views, and what a server needs: who may come in, and where uploads lie.
Nothing outside this folder imports it.
"""
