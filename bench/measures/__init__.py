"""What is measured, and how: pure functions of columns, one file per kind of measure, and the page that lists them.

Rests on `models` and `contracts`; knows neither stages nor records.
"""
