"""The panels, one file each: what it shows, its lines as pure functions, and the widget."""
