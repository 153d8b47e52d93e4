"""The command line: one command a file, arguments in, message out, text on the console.

Operators script it, so it must start fast: a command's file imports click and its neighbours
here; what is heavy (configuration, manager, zmq, asyncio) is imported inside the function that
needs it.
"""
