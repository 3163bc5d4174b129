"""Experiments: several trainings that differ in one thing, scored on one test set, as a table and figures."""
