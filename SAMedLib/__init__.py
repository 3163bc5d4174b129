"""SAMed (arXiv 2304.13785) as a library and a command line: segment, train, evaluate.

Importing this package costs nothing: torch and the imaging libraries load with the module that needs them.
"""

__version__ = "0.1.0"
