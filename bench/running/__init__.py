"""From a matrix to a folder of records: which cells and stages must run, and the processes that run them. What a stage
does is not said here, nor what becomes of the records."""
