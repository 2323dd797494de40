"""Untrusted models, tried in a process of their own before they are loaded into ours.

What can be known of a folder is looked at first (`engine.model_folder`). The rest shows when it runs: a graph of few
nodes may ask for all memory or never end, and a library may end the process. So a folder is opened once, and run once,
by a child with a limit on its time and memory, and the verdict is kept until one of its files changes.
"""
