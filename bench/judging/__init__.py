"""A judge compares what a run's policies wrote, after the run; its answers are kept in the store and in the run.

No measure of a single policy, and nothing that trains: reading the answers is the analysis's.
"""
