"""The page of a run served to this machine's browser, where classes are chosen."""
