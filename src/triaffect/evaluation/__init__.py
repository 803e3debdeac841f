"""Scores of runs and models, comparisons of recipes, challenge submissions."""
