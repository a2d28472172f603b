"""The built-in tasks, one file or folder each: a world's text, its annotator, its gold reward and its questions.

They build on `bench` alone; no task knows another, a method or a run.
"""
