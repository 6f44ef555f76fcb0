"""The music models, each in its own folder, all behind `protocol.Backend`.

`registry` lists them, a line each. From outside only these two modules are imported.
"""
