"""How fast this is on a machine, beside the published algorithm."""
