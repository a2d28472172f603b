"""The record of a cell and the folder of a run: their shape, how they are written, read as frames, and packed; and the
claims that a run keeps. Nothing here computes what a table shows, and nothing here runs anything."""
