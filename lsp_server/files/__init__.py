"""Files on disk: which of them must not be read (settings, .gitignore), and the repository that one lies in.

Nothing here reads the text of a file for the model.
"""
