"""ACE-Step, the first version: a bundle in the published form, or in this project's own."""
