"""Stand-ins for the modules of pywin32 that extensions import beside isapi.

Only what has a meaning on Linux; a name that is not there raises, as one misspelt would.
"""
