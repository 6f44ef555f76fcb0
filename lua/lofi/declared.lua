---The parameters of one track as the daemon declares them. Written by
---`python -m scripts.plugin_parameters`; change the declarations, not this file.
-- luacheck: no max line length

---@class lofi.GenerateOptions
---@field prompt? string What the music should be like, in 1 to 512 characters.
---@field duration_sec? number Length of the track in seconds: 5 to 240 (musicgen: 5 to 120).
---@field backend? string Which model makes the track: ace_step, musicgen or demo. Default: the configured one, else the best one installed.
---@field seed? integer|string Same seed, same track: 0 to 2^64 - 1. Default: random.
---@field priority? "normal"|"high" normal or high: high goes before every normal track that waits.
---@field quality? "fast"|"normal"|"reference" fast, normal or reference (as the original, slowest): the steps and the solver, where they are not given themselves. ace_step and demo only.
---@field inference_steps? integer Diffusion steps (model calls, for adams), 1 to 200: more is slower and better. ace_step and demo only.
---@field scheduler? "euler"|"heun"|"pingpong"|"adams" Solver of the diffusion: euler, heun (twice the work a step), pingpong, or adams, which needs the fewest model calls. ace_step and demo only.
---@field guidance_scale? number How closely to follow the prompt, 1.0 to 30.0. ace_step and demo only.
---@field cfg_type? "apg"|"cfg"|"cfg_star" Form of the guidance: apg, cfg or cfg_star. ace_step and demo only.
---@field erg? boolean Entropy-rectifying guidance. Default: on where the model files can do it. ace_step and demo only.
---@field play? boolean play the track when it is ready (default false)

---@type lofi.Parameter[]
return {
  {
    name = "duration_sec",
    key = "duration",
    types = { "number" },
    help = "Length of the track in seconds: 5 to 240 (musicgen: 5 to 120).",
  },
  {
    name = "backend",
    key = "backend",
    types = { "string" },
    choices = { "ace_step", "musicgen", "demo" },
    help = "Which model makes the track: ace_step, musicgen or demo. Default: the configured one, else the best one installed.",
  },
  {
    name = "seed",
    key = "seed",
    types = { "number", "string" },
    help = "Same seed, same track: 0 to 2^64 - 1. Default: random.",
  },
  {
    name = "priority",
    key = "priority",
    types = { "string" },
    choices = { "normal", "high" },
    help = "normal or high: high goes before every normal track that waits.",
  },
  {
    name = "quality",
    key = "quality",
    types = { "string" },
    choices = { "fast", "normal", "reference" },
    help = "fast, normal or reference (as the original, slowest): the steps and the solver, where they are not given themselves. ace_step and demo only.",
  },
  {
    name = "inference_steps",
    key = "steps",
    types = { "number" },
    help = "Diffusion steps (model calls, for adams), 1 to 200: more is slower and better. ace_step and demo only.",
  },
  {
    name = "scheduler",
    key = "scheduler",
    types = { "string" },
    choices = { "euler", "heun", "pingpong", "adams" },
    help = "Solver of the diffusion: euler, heun (twice the work a step), pingpong, or adams, which needs the fewest model calls. ace_step and demo only.",
  },
  {
    name = "guidance_scale",
    key = "guidance",
    types = { "number" },
    help = "How closely to follow the prompt, 1.0 to 30.0. ace_step and demo only.",
  },
  {
    name = "cfg_type",
    key = "cfg",
    types = { "string" },
    choices = { "apg", "cfg", "cfg_star" },
    help = "Form of the guidance: apg, cfg or cfg_star. ace_step and demo only.",
  },
  {
    name = "erg",
    key = "erg",
    types = { "boolean" },
    choices = { "true", "false" },
    help = "Entropy-rectifying guidance. Default: on where the model files can do it. ace_step and demo only.",
  },
}
