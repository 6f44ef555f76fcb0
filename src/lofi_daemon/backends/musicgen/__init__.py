"""MusicGen: text to music by an autoregressive transformer over EnCodec tokens.

One file a stage: text, decoder (with sampling, delay_pattern and continuation around it), codec;
`pipeline` joins them, `backend` puts them behind the protocol. `native` writes the form that is
fast on a CPU.
"""
