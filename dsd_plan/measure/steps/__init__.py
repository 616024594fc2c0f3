"""Steps of a model on a device, timed over a grid until their medians are known."""
