"""Untrusted models, tried in a process of their own before they are loaded into ours.

Everything that can be known without running the model is checked first (`engine.model_folder`). But a graph of few
nodes may ask for all memory or never end, and a library may end the process. So a child process opens each folder once
and runs it once, with limits on time and memory. The verdict is kept until one of the folder's files changes.
"""
