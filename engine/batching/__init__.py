"""Many requests at once with one loaded model: which requests get a seat, and which forward passes are joined.

Each seat has a completer with a `TokenCache` of its own. A request runs the ordinary decode loop in it, on its own
thread. Only the forward passes of different requests meet, in the scheduler.
"""
