"""Win rates: which completions met and what a judge said of them, rates and ratings from that, and their table.

Verdicts are read or follow from stored scores; nothing here asks a judge, which is what `bench.judging` does.
"""
