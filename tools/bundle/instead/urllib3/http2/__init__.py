"""Stands in for urllib3.http2 in the bundle: HTTP/2 is never switched on.

urllib3.connection imports a neighbour of it, and with that the real module, which brings importlib.metadata and the zip
reader to find out which version of a package there is that is not installed here.
"""
