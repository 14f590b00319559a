"""From holes to prepared features: frozen models fill, a gate decides, a store keeps."""
