"""Claims: sentences with their tests, written down before a run, and what came of them: from a number per cell
(`quantities`) over a test of its kind (`kinds`) to a verdict and its table. What a file of claims may say, and how a
run keeps it, is `bench.records.claims`; nothing here writes into a run's records."""
