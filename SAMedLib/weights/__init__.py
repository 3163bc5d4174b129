"""Where weights come from: the registry (data), the folder they lie in, downloads, imports, and the embedded model."""
