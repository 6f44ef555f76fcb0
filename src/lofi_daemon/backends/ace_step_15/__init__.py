"""ACE-Step 1.5: text to stereo music by flow matching over the latents of a waveform autoencoder.

One file a stage: prompt, text, condition, schedule, solvers, correction, guidance, latents, decode;
`pipeline` joins them, `backend` puts them behind the protocol, `graphs` writes the ONNX files from
a checkpoint's tensors. Algorithm: ace-step/ACE-Step-1.5 (MIT).
"""
