---The parameters of one track as the daemon declares them. Written by
---`python -m scripts.plugin_parameters`; change the declarations, not this file.
-- luacheck: no max line length

---@class lofi.GenerateOptions
---@field prompt? string What the music should be like, in 1 to 512 characters. With a task the source's own where it is left out, without one required.
---@field duration_sec? number Length of the track in seconds: 5 to 600 (ace_step: 5 to 240; musicgen: 5 to 120; demo: 5 to 240).
---@field backend? string Which model makes the track: ace_step_15, ace_step, musicgen or demo. Default: the configured one, else the best one installed.
---@field seed? integer|string Same seed, same track: 0 to 2^64 - 1. Default: random.
---@field priority? "normal"|"high" normal or high: high goes before every normal track that waits.
---@field format? "wav16"|"wav24"|"flac"|"flac24" How the file is written: wav16, wav24, flac or flac24. A track that is there already stays as it is. Default: the configured one.
---@field inference_steps? integer Diffusion steps (model calls, for adams), 1 to 200: more is slower and better. ace_step_15, ace_step and demo only.
---@field guidance_scale? number How closely to follow the prompt, 1.0 to 30.0. ace_step_15, ace_step and demo only.
---@field variation? number How far to go from the seed's track to another one, 0.0 to 1.0. ace_step_15, ace_step and demo only.
---@field variation_seed? integer|string Where a variation goes to: 0 to 2^64 - 1. Default: the next seed. ace_step_15, ace_step and demo only.
---@field loop? boolean A track that ends where it begins: its last seconds lead into its first. Its length becomes a whole number of bars where the model counts them. ace_step_15, ace_step and demo only.
---@field scheduler? "euler"|"heun"|"pingpong"|"adams" Solver of the diffusion: euler, heun (twice the work a step) or pingpong. ace_step_15, ace_step and demo only.
---@field bpm? integer Beats a minute, 30 to 300. Default: what the prompt says. ace_step_15 only.
---@field key? string The key, as "A minor" or "F# major". Default: what the prompt says. ace_step_15 only.
---@field time_signature? "2"|"3"|"4"|"6" Beats a bar: 2, 3, 4 or 6. Default: what the prompt says. ace_step_15 only.
---@field lyrics? string What is sung, with tags like [verse] on lines of their own, up to 4095 characters. Default: instrumental. ace_step_15 and ace_step only.
---@field language? string The language of the lyrics as a code, such as en or ja. ace_step_15 and ace_step only.
---@field shift? number How much of the steps is spent at high noise, 1.0 to 5.0. ace_step_15 only.
---@field dcw? boolean Correct each step in the wavelet domain. Default: on for turbo models. ace_step_15 only.
---@field repaint_mask? "original"|"explicit" What repaint and extend tell the model of what is made anew: nothing, as the original does (original, the default), or where it is (explicit). ace_step_15 only.
---@field quality? "fast"|"normal"|"reference" fast, normal or reference (as the original, slowest): the steps and the solver, where they are not given themselves. ace_step and demo only.
---@field cfg_type? "apg"|"cfg"|"cfg_star" Form of the guidance: apg, cfg or cfg_star. ace_step and demo only.
---@field erg? boolean Entropy-rectifying guidance. Default: on where the model files can do it. ace_step and demo only.
---@field play? boolean play the track as soon as it can be heard (default false)

---@type lofi.Parameter[]
return {
  {
    name = "duration_sec",
    key = "duration",
    types = { "number" },
    help = "Length of the track in seconds: 5 to 600 (ace_step: 5 to 240; musicgen: 5 to 120; demo: 5 to 240).",
  },
  {
    name = "backend",
    key = "backend",
    types = { "string" },
    choices = { "ace_step_15", "ace_step", "musicgen", "demo" },
    help = "Which model makes the track: ace_step_15, ace_step, musicgen or demo. Default: the configured one, else the best one installed.",
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
    name = "format",
    key = "format",
    types = { "string" },
    choices = { "wav16", "wav24", "flac", "flac24" },
    help = "How the file is written: wav16, wav24, flac or flac24. A track that is there already stays as it is. Default: the configured one.",
  },
  {
    name = "inference_steps",
    key = "steps",
    types = { "number" },
    help = "Diffusion steps (model calls, for adams), 1 to 200: more is slower and better. ace_step_15, ace_step and demo only.",
  },
  {
    name = "guidance_scale",
    key = "guidance",
    types = { "number" },
    help = "How closely to follow the prompt, 1.0 to 30.0. ace_step_15, ace_step and demo only.",
  },
  {
    name = "variation",
    key = "variation",
    types = { "number" },
    help = "How far to go from the seed's track to another one, 0.0 to 1.0. ace_step_15, ace_step and demo only.",
  },
  {
    name = "variation_seed",
    key = "variation_seed",
    types = { "number", "string" },
    help = "Where a variation goes to: 0 to 2^64 - 1. Default: the next seed. ace_step_15, ace_step and demo only.",
  },
  {
    name = "loop",
    key = "loop",
    types = { "boolean" },
    choices = { "true", "false" },
    help = "A track that ends where it begins: its last seconds lead into its first. Its length becomes a whole number of bars where the model counts them. ace_step_15, ace_step and demo only.",
  },
  {
    name = "scheduler",
    key = "scheduler",
    types = { "string" },
    choices = { "euler", "heun", "pingpong", "adams" },
    help = "Solver of the diffusion: euler, heun (twice the work a step) or pingpong. ace_step_15, ace_step and demo only.",
  },
  {
    name = "bpm",
    key = "bpm",
    types = { "number" },
    help = "Beats a minute, 30 to 300. Default: what the prompt says. ace_step_15 only.",
  },
  {
    name = "key",
    key = "key",
    types = { "string" },
    help = 'The key, as "A minor" or "F# major". Default: what the prompt says. ace_step_15 only.',
  },
  {
    name = "time_signature",
    key = "time_signature",
    types = { "string" },
    choices = { "2", "3", "4", "6" },
    help = "Beats a bar: 2, 3, 4 or 6. Default: what the prompt says. ace_step_15 only.",
  },
  {
    name = "lyrics",
    key = "lyrics",
    types = { "string" },
    help = "What is sung, with tags like [verse] on lines of their own, up to 4095 characters. Default: instrumental. ace_step_15 and ace_step only.",
  },
  {
    name = "language",
    key = "language",
    types = { "string" },
    help = "The language of the lyrics as a code, such as en or ja. ace_step_15 and ace_step only.",
  },
  {
    name = "shift",
    key = "shift",
    types = { "number" },
    help = "How much of the steps is spent at high noise, 1.0 to 5.0. ace_step_15 only.",
  },
  {
    name = "dcw",
    key = "dcw",
    types = { "boolean" },
    choices = { "true", "false" },
    help = "Correct each step in the wavelet domain. Default: on for turbo models. ace_step_15 only.",
  },
  {
    name = "repaint_mask",
    key = "repaint_mask",
    types = { "string" },
    choices = { "original", "explicit" },
    help = "What repaint and extend tell the model of what is made anew: nothing, as the original does (original, the default), or where it is (explicit). ace_step_15 only.",
  },
  {
    name = "quality",
    key = "quality",
    types = { "string" },
    choices = { "fast", "normal", "reference" },
    help = "fast, normal or reference (as the original, slowest): the steps and the solver, where they are not given themselves. ace_step and demo only.",
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
