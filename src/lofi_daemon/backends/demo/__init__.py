"""The bundled model: a prompt becomes a plan and a score, and a small diffusion plays it."""
