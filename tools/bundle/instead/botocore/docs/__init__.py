"""Stands in for botocore.docs in the bundle: clients without documentation.

botocore.client, .waiter and .handlers import these names while a process starts, to have something that ``help()`` can
make documentation with; the real modules bring an HTML parser and forty templates along.
"""
