"""Every method, task, judge and measure by its name, those of plug-ins included, and what there is to know of each.

Nothing is built, run or read from a matrix here, and no heavy library imported.
"""
