# fish: what can be typed is asked of posctl itself, so it is never stale.
posctl completions fish | source
