"""Many requests at once by one loaded model: who may sit down, and whose passes go together.

Above `TokenCache`: each seat has a completer with a cache of its own. A request runs the ordinary decode loop in it, on
its own thread. Only the forward passes meet, in the scheduler.
"""
