"""Build the package that is deployed: the one that Chalice makes, smaller and with bytecode.

``make deploy`` and ``make package`` run this first. The result replaces Chalice's own package under
``.chalice/deployments``, where ``chalice deploy`` and ``chalice package`` look for one that is already built.
``build.STEPS`` lists what is changed in it, and the module of each step says why.
"""
