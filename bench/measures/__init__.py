"""What is measured, and how: pure functions of columns, one file per kind of measure, and the page that lists them.

Running a model to get the columns is `models`' part; no stage, record or file is known here.
"""
