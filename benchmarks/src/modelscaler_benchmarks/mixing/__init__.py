"""What two pools at once save against one, replayed on generated days."""
