"""Connections to addresses that users choose: the one filter that all of them pass.

``fetch.py`` is the door; what it asks stands in ``target.py`` (spelling of URLs),
``rules.py`` (what the operator allows), ``addresses.py`` (what nobody may reach),
``names.py`` (resolution), ``connection.py`` and ``response.py`` (HTTP with limits).
Source: contract operations.md §8.2; why it is made so: docs/adr/0020-outbound-filter.md.
"""
