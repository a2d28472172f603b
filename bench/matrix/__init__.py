"""Matrix files: read, checked, spanned into cells, and described by a schema; the built-in ones and their claims.

A matrix says what is to run: how it runs, is stored and is analysed is not known here.
"""
