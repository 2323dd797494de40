"""Messages of the client, read leniently: what is needed of them, and nothing else.

A client is served whatever it says in fields that nobody here reads. So the parameters of every method are read from
plain JSON by `parameters`, which takes what it can use, brings numbers into range, and leaves out the rest.
"""
