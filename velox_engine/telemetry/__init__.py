"""What the engine publishes: the region's layout, its writers' side and its reader."""
