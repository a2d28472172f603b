"""A run as one HTML page that needs nothing else: summary, claims, tables, plots, and a browser of samples.

What the page says is chosen and worded here; numbers and plots come from the rooms beside this one.
"""
