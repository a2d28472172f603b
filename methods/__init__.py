"""The built-in methods: one file (or folder, where a method is large) each."""
