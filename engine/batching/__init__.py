"""Serve many requests at once with one loaded model: which requests get a seat, and which forward passes run together.

Each seat has a completer with a `TokenCache` of its own. A request runs the ordinary decode loop there, on its own
thread. Only the forward passes of different requests are combined, by the scheduler.
"""
