"""The tables of a run: each file computes the numbers of one table, words its rows, and writes it.

What they do alike stands in `sections` and `paired_cells`, how a table looks in each format in `bench.analysis.layout`;
no table knows another one's columns.
"""
