"""Hyper-parameter search: each arm's trials, what they are after, and the tuned matrix that comes of them.

A trial is an ordinary run of a matrix; no method, measure or stage knows that it is being tuned.
"""
