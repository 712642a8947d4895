"""The small, precompiled package that is deployed: ``make deploy`` and ``make package`` make it first.

It is kept where Chalice looks for a package made before, under ``.chalice/deployments``, by the name that Chalice gives
to exactly these sources: ``chalice deploy`` and ``chalice package`` find it there and take it as it is.
docs/decisions/0025-what-is-deployed-is-a-small-precompiled-bundle.md says what is in it and why.
"""
