"""The tables of `results/tables`, each made as rows of text by one module."""
