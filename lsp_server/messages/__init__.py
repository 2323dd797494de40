"""Messages of the client, read leniently: only what is needed of them.

Fields that the server does not read can hold anything. So the parameters of every method are read from
plain JSON by `parameters`, which takes what it can use, brings numbers into range, and leaves out the rest.
"""
