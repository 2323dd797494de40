"""Files on disk: which of them must not be read (settings, .gitignore), and the repository of a file.

Nothing here reads the text of a file for the model.
"""
