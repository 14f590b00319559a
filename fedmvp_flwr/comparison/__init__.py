"""Methods side by side: it starts runs and reads their folders, and takes no part in any."""
