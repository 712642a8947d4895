"""Stands in for Powertools' JMESPath helpers in the bundle.

The logger imports them for ``correlation_id_path``, which Vitrine does not use. The real module brings
typing_extensions.
"""
