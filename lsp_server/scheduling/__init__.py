"""The life of a completion request between its arrival and its answer: debounce, cache, model call, cancellation.

                known before
arrived ---------------------------------------------------> answered
   | debounce                                                   ^
   v            a running call writes what was typed            |
waiting -----------------------------------> taken over --------+
   | the model is ready                                         |
   v                                                            |
running (a model call) -----------------------------------------+
   |                                                            |
   |   the first words are certain (early), or time is over     |
   +---> answered with a part; the call goes on, and at its     |
   |     end the client hears that there is more ---------------+
   |
   v   superseded, cancelled or its document closed
dropped: the answer is empty, the call stops at its next step unless the text that it writes is being typed
"""
