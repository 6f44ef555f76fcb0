"""Text to stereo music by flow-matching diffusion in a compressed mel space.

The shape that ACE-Step and the bundled model share: a folder of five graphs, whose manifest makes
the difference. One file a stage: text, context, schedule, solvers, guidance, latents, decode;
`pipeline` joins them, `backend` puts them behind the protocol.
"""
