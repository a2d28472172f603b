"""`bench new`: a working method, task or measure, with its test, to be changed into what its author has in mind.

The templates are Python files that run as they are, with names to replace and nothing else to fill in.
"""
