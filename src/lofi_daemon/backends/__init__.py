"""The music models, each in its own folder behind `protocol.Backend`; `registry` lists them."""
