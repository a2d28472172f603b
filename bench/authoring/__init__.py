"""For who writes a plug-in: a working start (`scaffold`), and whether it keeps its promises (`checking`).

It stands on the stages and the catalogue; nothing below the command line may need it.
"""
