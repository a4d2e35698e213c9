"""What people do after a run, from files to files; the pure parts are in `isac2.classes`."""
