"""`bench check`: what is promised of methods, tasks, judges and measures, checked on a tiny world, in plain words.

The promises are in `methods`, `tasks`, `judges` and `measures`, each with what to say where it is broken. Nothing here
knows a matrix, a run or its records.
"""
