"""ACE-Step: text to stereo music by flow-matching diffusion in a compressed mel space.

One file a stage: text, context, schedule, solvers, guidance, latents, decode; `pipeline` joins
them, `backend` puts them behind the protocol. Imports onnx, audio and the ground floor only.
"""
