"""An endless programme: what comes next, what is made for it, and the station that plays it."""
